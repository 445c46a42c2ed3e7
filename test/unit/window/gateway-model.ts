/** The gateway around the windower, reduced to what a kill may interrupt: journal, commits of results, senders that repeat. */

import type { MachineClassConfig } from '../../../src/config/schema.ts';
import type { ChannelRef } from '../../../src/domain/machine.ts';
import { Accepted, type ClosedWindow, Windower } from '../../../src/window/windower.ts';
import { exact, FS, type Sample } from './plant.ts';

interface Batch {
  readonly id: number;
  readonly samples: readonly Sample[];
}

/** What survives a kill. */
class Disk {
  readonly channels: ChannelRef[] = [];
  journal: Batch[] = [];
  nextBatchId = 1;
  readonly closedUntil = new Map<string, number>();
  readonly states = new Map<string, Uint8Array>();
  /** Machine and start -> exact window. */
  readonly windows = new Map<string, string>();
  readonly committedTwice: string[] = [];
  readonly counts = { accepted: 0, windowed: 0, duplicate: 0, late: 0, overLimit: 0 };

  /** Samples that should be in open windows, or in closed ones whose results are not durable. */
  get expectedOpen(): number {
    const { accepted, windowed, duplicate, late, overLimit } = this.counts;
    return accepted - windowed - duplicate - late - overLimit;
  }
}

export const sizeOf = (s: Sample): number => (typeof s.value === 'number' ? 1 : s.value.length);
const keyOf = (s: Sample): string => `${s.machine}/${s.channel}`;

/** One gateway over its lives. Every method is a step after which a kill may come. */
export class GatewayModel {
  readonly disk = new Disk();
  readonly #config: MachineClassConfig;
  #windower: Windower;
  #indexes = new Map<string, number>();
  #newChannels: ChannelRef[] = [];
  #taken: Sample[] = [];
  #journaled: Sample[] = [];
  #computed: ClosedWindow[] = [];
  #trimBelow = 0;

  constructor(config: MachineClassConfig) {
    this.#config = config;
    this.#windower = new Windower({ pump: config });
  }

  /** Takes a sample into the batch of the next commit. */
  take(s: Sample): void {
    const { nextBatchId } = this.disk;
    this.#taken.push(s);
    if (this.#add(s, nextBatchId) === Accepted.YES) this.#journaled.push(s);
  }

  /** Computes at most `count` closed windows: their results are ready for a commit. */
  compute(count: number): void {
    for (let left = count; left > 0; left -= 1) {
      const closed = this.#windower.takeClosed();
      if (closed === null) return;
      this.#computed.push(closed);
    }
  }

  /** One transaction: the batch, and the results of at most `count` windows. Its samples are acknowledged. */
  commit(count: number): void {
    const { disk } = this;
    disk.channels.push(...this.#newChannels);
    if (this.#journaled.length > 0) {
      disk.journal.push({ id: disk.nextBatchId, samples: this.#journaled });
      disk.nextBatchId += 1;
    }
    disk.counts.accepted += this.#taken.reduce((sum, s) => sum + sizeOf(s), 0);
    const refused = this.#windower.takeRefused();
    disk.counts.late += refused.late;
    disk.counts.overLimit += refused.overLimit;
    const results = this.#computed.splice(0, count);
    for (const result of results) this.#write(result);
    // As in the pipeline: asked for before this commit, so it may be behind, never ahead.
    disk.journal = disk.journal.filter((batch) => batch.id >= this.#trimBelow);
    [this.#newChannels, this.#taken, this.#journaled] = [[], [], []];
    for (const { window, closedUntilMs } of results) this.#windower.committed(window.machine, closedUntilMs);
    const oldest = this.#windower.oldestBatchNeeded();
    this.#trimBelow = Number.isFinite(oldest) ? oldest : disk.nextBatchId;
  }

  #write({ window, state, closedUntilMs, settled }: ClosedWindow): void {
    const { disk } = this;
    const key = `${window.machine}/${window.startMs}`;
    if (disk.windows.has(key)) disk.committedTwice.push(key);
    disk.windows.set(key, exact(window));
    disk.closedUntil.set(window.machine, closedUntilMs);
    disk.states.set(window.machine, state.slice());
    disk.counts.windowed += settled.samples;
    disk.counts.duplicate += settled.duplicates;
  }

  /** Everything but the disk is gone; a new process starts from it. Answers samples in open windows after the replay. */
  killAndRestart(): number {
    const { disk } = this;
    this.#windower = new Windower({ pump: this.#config });
    this.#indexes = new Map(disk.channels.map((ref) => [`${ref.machine}/${ref.channel}`, ref.index]));
    [this.#newChannels, this.#taken, this.#journaled, this.#computed] = [[], [], [], []];
    this.#trimBelow = 0;
    for (const ref of disk.channels) this.#windower.register(ref);
    for (const [machine, endMs] of disk.closedUntil) {
      this.#windower.restore(machine, disk.states.get(machine)!, endMs);
    }
    this.#windower.beginReplay();
    for (const { id, samples } of disk.journal) for (const s of samples) this.#add(s, id);
    const open = this.#windower.openSamples();
    this.#windower.endReplay(0);
    return open;
  }

  /** The recording is over and the disk has all the time it needs. */
  finish(): void {
    this.commit(0);
    this.#windower.flush();
    this.compute(Number.POSITIVE_INFINITY);
    this.commit(Number.POSITIVE_INFINITY);
  }

  /** Channels a restart would know. */
  knows(s: Sample): boolean {
    return this.disk.channels.some((ref) => ref.machine === s.machine && ref.channel === s.channel);
  }

  get windower(): Windower {
    return this.#windower;
  }

  #add(s: Sample, batchId: number): number {
    let index = this.#indexes.get(keyOf(s));
    if (index === undefined) {
      index = this.#indexes.size;
      const ref = { index, machineClass: 'pump', machine: s.machine, channel: s.channel };
      this.#indexes.set(keyOf(s), index);
      this.#newChannels.push(ref);
      this.#windower.register(ref);
    }
    if (typeof s.value === 'number') {
      return this.#windower.addScalar(index, s.timeMs, s.value, s.quality, s.sequence, { batchId, nowMs: 0 });
    }
    const values = Float32Array.from(s.value);
    return this.#windower.addWaveform(index, s.timeMs, FS, values, s.quality, s.sequence, {
      batchId,
      nowMs: 0,
    });
  }
}
