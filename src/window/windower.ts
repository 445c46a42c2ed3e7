/**
 * Samples of all machines enter, closed windows leave, per machine in order of their start.
 *
 * Pure: the arrival clock comes in as an argument. The same samples in any order within `outOfOrderMs` give bitwise the
 * same windows, because samples are buffered and put in order when their window closes.
 */

import type { MachineClassConfig } from '../config/schema.ts';
import type { ChannelRef } from '../domain/machine.ts';
import type { RestoredWindow } from '../domain/restored-window.ts';
import type { ChannelSlice } from '../domain/window.ts';
import { ClassSpec } from './class-spec.ts';
import { decodeHeld } from './held-state.ts';
import type { MachineChannel } from './machine-channel.ts';
import {
  Accepted,
  type AcceptedCode,
  type Arrival,
  type ClosedWindow,
  MachineWindows,
} from './machine-windows.ts';

export { Accepted, type AcceptedCode, type Arrival, type ClosedWindow } from './machine-windows.ts';

/** Idle channels are looked for at most this often; an idle close is late by at most this much. */
const IDLE_CHECK_MS = 100;

/** Taken windows are let go in blocks of this many. */
const COMPACT_AFTER = 256;

/** Bytes of open windows beyond which new samples are counted and dropped; 256 MiB are 12 million scalar samples. */
const MAX_OPEN_BYTES = 268_435_456;

/** Objects and typed arrays around the samples, as the heap shows them. */
const WINDOW_BYTES = 512;
const SLICE_BYTES = 512;

/** Samples that never reached a window (`overLimit`: the bound, or a channel no longer configured), since the last call of `takeRefused`. */
export interface RefusedCounts {
  late: number;
  overLimit: number;
}

export class Windower {
  readonly #specs: ReadonlyMap<string, ClassSpec>;
  readonly #machines = new Map<string, MachineWindows>();
  /** By channel index: hot path without hashing. */
  readonly #owners: (MachineWindows | undefined)[] = [];
  readonly #channels: (MachineChannel | null | undefined)[] = [];
  readonly #closed: ClosedWindow[] = [];
  #taken = 0;
  /** Closed windows before this place are in `#waitingBytes`. */
  #weighed = 0;
  #waitingBytes = 0;
  #refused: RefusedCounts = { late: 0, overLimit: 0 };
  #lastIdleCheckMs = Number.NEGATIVE_INFINITY;
  #windowsPerSecond = 0;
  /** Judged on every `advance`, because adding up per sample would cost more than the sample. */
  #full = false;

  constructor(classes: Readonly<Record<string, MachineClassConfig>>) {
    this.#specs = new Map(
      Object.entries(classes).map(([name, config]) => [name, new ClassSpec(name, config)]),
    );
  }

  /** Makes a channel known. A channel of a class that is no longer configured is ignored. */
  register(ref: ChannelRef): void {
    const spec = this.#specs.get(ref.machineClass);
    if (spec === undefined) return;
    let machine = this.#machines.get(ref.machine);
    if (machine === undefined) {
      machine = new MachineWindows(ref.machine, spec, this.#closed);
      this.#machines.set(ref.machine, machine);
      this.#windowsPerSecond += 1000 / spec.hopMs;
    }
    this.#owners[ref.index] = machine;
    this.#channels[ref.index] = machine.register(ref);
  }

  /** State of a machine's last committed window. Call after `register`, before `beginReplay`. */
  restore(machine: string, state: Uint8Array, closedUntilMs: number): void {
    this.#machines.get(machine)?.restore(closedUntilMs, decodeHeld(state));
  }

  /** What `restore` brought back, one window per machine; call it before `beginReplay`. */
  restoredWindows(): RestoredWindow[] {
    return [...this.#machines.values()].flatMap((machine) => machine.lastWindow() ?? []);
  }

  /**
   * Between these two calls the samples come from the journal: none is late, none over the limit,
   * nothing closes. Samples of a channel that is no longer configured count as refused.
   */
  beginReplay(): void {
    for (const machine of this.#machines.values()) machine.beginReplay();
  }

  endReplay(nowMs: number): void {
    for (const machine of this.#machines.values()) machine.endReplay(nowMs);
  }

  /** @returns what became of the sample; only `Accepted.YES` belongs into the journal */
  addScalar(
    channelIndex: number,
    eventTimeMs: number,
    value: number,
    quality: number,
    sequence: number,
    arrival: Arrival,
  ): AcceptedCode {
    const channel = this.#channels[channelIndex];
    if (channel === undefined || channel === null) return this.#refuse(Accepted.UNKNOWN_CHANNEL, 1);
    if (this.#full) return this.#refuse(Accepted.OVER_LIMIT, 1);
    const owner = this.#owners[channelIndex]!;
    const code = owner.addScalar(channel, eventTimeMs, value, quality, sequence, arrival);
    return code === Accepted.YES ? code : this.#refuse(code, 1);
  }

  /** As `addScalar`, for a block of `values` (copied) that starts at `t0Ms`. */
  addWaveform(
    channelIndex: number,
    t0Ms: number,
    sampleRateHz: number,
    values: Float32Array,
    quality: number,
    sequence: number,
    arrival: Arrival,
  ): AcceptedCode {
    const channel = this.#channels[channelIndex];
    if (channel === undefined || channel === null)
      return this.#refuse(Accepted.UNKNOWN_CHANNEL, values.length);
    if (this.#full) return this.#refuse(Accepted.OVER_LIMIT, values.length);
    const owner = this.#owners[channelIndex]!;
    const code = owner.addWaveform(channel, t0Ms, sampleRateHz, values, quality, sequence, arrival);
    return code === Accepted.YES ? code : this.#refuse(code, values.length);
  }

  /** Closes what fell silent. Call on every tick. */
  advance(nowMs: number): void {
    this.#full = this.openBytes() >= MAX_OPEN_BYTES;
    if (nowMs - this.#lastIdleCheckMs < IDLE_CHECK_MS) return;
    this.#lastIdleCheckMs = nowMs;
    for (const machine of this.#machines.values()) machine.advance(nowMs);
  }

  /** Closes everything: the recording is over. */
  flush(): void {
    for (const machine of this.#machines.values()) machine.flush('flush');
  }

  /** The next closed window, or null. */
  takeClosed(): ClosedWindow | null {
    this.#weigh();
    const next = this.#closed[this.#taken];
    if (next === undefined) {
      this.#closed.length = 0;
      this.#taken = 0;
      this.#weighed = 0;
      return null;
    }
    this.#waitingBytes -= weightOf(next);
    this.#taken += 1;
    if (this.#taken >= COMPACT_AFTER) {
      this.#closed.splice(0, this.#taken);
      this.#weighed -= this.#taken;
      this.#taken = 0;
    }
    return next;
  }

  /** Memory of the closed windows that nobody has taken yet. */
  waitingBytes(): number {
    this.#weigh();
    return this.#waitingBytes;
  }

  #weigh(): void {
    for (; this.#weighed < this.#closed.length; this.#weighed += 1)
      this.#waitingBytes += weightOf(this.#closed[this.#weighed]!);
  }

  /** The result of a window is durable: its samples are no longer needed. */
  committed(machine: string, closedUntilMs: number): void {
    this.#machines.get(machine)?.committed(closedUntilMs);
  }

  /** Smallest journal batch that a window without durable result depends on; Infinity if there is none. */
  oldestBatchNeeded(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const machine of this.#machines.values()) oldest = Math.min(oldest, machine.oldestBatchNeeded());
    return oldest;
  }

  /** Windows that all machines known make in a second of event time. */
  get windowsPerSecond(): number {
    return this.#windowsPerSecond;
  }

  /** Samples buffered for windows that are not closed, exact repeats included. */
  openSamples(): number {
    let open = 0;
    for (const machine of this.#machines.values()) open += machine.openSamples;
    return open;
  }

  /** Samples taken in whose window nobody has taken out: `openSamples`, and those settled by windows still here. */
  unsettledSamples(): number {
    let samples = this.openSamples();
    for (const machine of this.#machines.values()) samples += machine.settledSamples;
    for (let i = this.#taken; i < this.#closed.length; i += 1) samples += settledBy(this.#closed[i]!);
    return samples;
  }

  /** Memory of the samples in open windows. */
  openBytes(): number {
    let open = 0;
    for (const machine of this.#machines.values()) open += machine.openBytes;
    return open;
  }

  takeRefused(): RefusedCounts {
    const refused = this.#refused;
    this.#refused = { late: 0, overLimit: 0 };
    return refused;
  }

  #refuse(code: AcceptedCode, samples: number): AcceptedCode {
    if (code === Accepted.LATE) this.#refused.late += samples;
    else if (code !== Accepted.SETTLED_BEFORE) this.#refused.overLimit += samples;
    return code;
  }
}

/** Samples whose account ends with this window. */
export function settledBy({ settled }: ClosedWindow): number {
  return settled.samples + settled.duplicates;
}

/** Bytes of a closed window's samples, and what its objects cost at least. */
function weightOf({ window }: ClosedWindow): number {
  return window.slices.reduce((sum, slice) => sum + SLICE_BYTES + sampleBytes(slice), WINDOW_BYTES);
}

function sampleBytes(slice: ChannelSlice): number {
  if (slice.kind === 'scalar') return slice.timeMs.byteLength + slice.value.byteLength;
  return slice.segments.reduce((sum, { values }) => sum + values.byteLength, 0);
}
