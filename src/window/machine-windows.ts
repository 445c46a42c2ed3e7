/**
 * The windows of one machine: samples enter, closed windows leave.
 *
 * Time is the sensors' own. The watermark is the smallest newest event time among the machine's channels that are not
 * idle, minus `outOfOrderMs`; it never goes back, and it is the machine's own: a sensor with a fast clock holds back or
 * pushes on nobody else. A window closes when the watermark reaches its end, or when every channel fell silent.
 *
 * Start-up: a channel never seen holds nothing back. After a restart every channel known before counts as seen until it
 * proves idle, because a restart closes the same windows as no restart only if no sender can outrun another: what is
 * acknowledged and not yet in a committed window comes back from the journal; what is not acknowledged is repeated in
 * order per channel, but one channel may repeat all of it before the other begins. The other then holds the watermark
 * at its newest journaled sample, or, without one, at the last committed end.
 */

import type { ChannelRef } from '../domain/machine.ts';
import type { RestoredWindow } from '../domain/restored-window.ts';
import type { ChannelSlice, Window } from '../domain/window.ts';
import type { ClassSpec } from './class-spec.ts';
import { type CarriedState, encodeHeld, type HeldByChannel } from './held-state.ts';
import { type MachineChannel, newChannel, WatermarkHolder } from './machine-channel.ts';
import { qualityOfWindow } from './quality.ts';
import { Revisions } from './revisions.ts';

/** What became of a sample. */
export const Accepted = { YES: 0, LATE: 1, OVER_LIMIT: 2, UNKNOWN_CHANNEL: 3, SETTLED_BEFORE: 4 } as const;
export type AcceptedCode = (typeof Accepted)[keyof typeof Accepted];

/** What the samples of one walk through the records have in common. */
export interface Arrival {
  /** Journal batch they stand in. */
  readonly batchId: number;
  /** Monotonic, ms. */
  readonly nowMs: number;
}

/** A window ready for its features, with what must be remembered once it is durable. */
export interface ClosedWindow {
  readonly window: Window;
  /** Persisted with the result: windows of this machine up to here need no sample again. */
  readonly closedUntilMs: number;
  /** Samples whose last window this is, exact repeats among them, and how many of both are not in the journal. */
  readonly settled: { readonly samples: number; readonly duplicates: number; readonly volatile: number };
  /** Carried state as of this window, for a restart. */
  readonly state: Uint8Array;
}

/** Before every date there is; unlike -Infinity it survives being stored. */
const BEFORE_ALL_MS = -8.64e15;

export class MachineWindows {
  readonly machine: string;
  readonly spec: ClassSpec;
  /** Declared order, then wildcard channels by name: the order of slices must not depend on arrival. */
  #channels: MachineChannel[] = [];
  /** Bucket -> smallest journal batch that holds one of its samples; the buckets are also the windows with data. */
  readonly #needs = new Map<number, number>();
  readonly #revisions = new Revisions();
  #watermarkMs = Number.NEGATIVE_INFINITY;
  /** Ends up to here are emitted. */
  #closedUntilMs = BEFORE_ALL_MS;
  /** Samples whose last window ends up to here are late. */
  #finalUntilMs = BEFORE_ALL_MS;
  /** Ends up to here were committed before the last start: the journal repeats what is already accounted. */
  #restoredUntilMs = BEFORE_ALL_MS;
  /** Samples of the windows between that and `#closedUntilMs` when the newest was emitted; -1 if not known. */
  #restoredSamples = -1;
  readonly #holders = new WatermarkHolder();
  #holder: MachineChannel | null = null;
  #lastBucket = Number.NaN;
  #replaying = false;
  #settled = { samples: 0, duplicates: 0, volatile: 0 };
  readonly #out: ClosedWindow[];

  /** @param out closed windows are appended here, in order of their start */
  constructor(machine: string, spec: ClassSpec, out: ClosedWindow[]) {
    this.machine = machine;
    this.spec = spec;
    this.#out = out;
  }

  /** Adds a channel; null if the class neither declares it nor has a wildcard. */
  register(ref: ChannelRef): MachineChannel | null {
    const known = this.#channels.find((channel) => channel.name === ref.channel);
    if (known) return known;
    const config = this.spec.channel(ref.channel);
    if (config === null) return null;
    const channel = newChannel(ref.channel, config);
    this.#channels = [...this.#channels, channel].sort(
      (a, b) => this.#rank(a) - this.#rank(b) || (a.name < b.name ? -1 : 1),
    );
    return channel;
  }

  /** State of the last committed window; the journal is replayed next. */
  restore(closedUntilMs: number, { held, emitted }: CarriedState): void {
    this.#restoredUntilMs = closedUntilMs;
    this.#finalUntilMs = closedUntilMs;
    // Windows that are durable and not final can only come again as revisions: they have voted and counted already.
    this.#closedUntilMs =
      this.spec.allowedLatenessMs > 0 ? Math.max(closedUntilMs, emitted.untilMs) : closedUntilMs;
    this.#restoredSamples = emitted.samples;
    this.#revisions.restore(emitted.revision, this.#closedUntilMs);
    this.#watermarkMs = this.#closedUntilMs;
    for (const channel of this.#channels) {
      if (channel.scalar) channel.scalar.held = held.get(channel.name) ?? null;
    }
  }

  /** The newest window that is closed; null if there is none. */
  lastWindow(): RestoredWindow | null {
    if (this.#closedUntilMs === BEFORE_ALL_MS) return null;
    const { machine, spec } = this;
    const endMs = this.#closedUntilMs;
    return { machineClass: spec.name, machine, startMs: endMs - spec.sizeMs, endMs };
  }

  /** While replaying, nothing is late and nothing closes: the journal holds only what was accepted. */
  beginReplay(): void {
    this.#replaying = true;
  }

  endReplay(nowMs: number): void {
    this.#replaying = false;
    // Nothing came after they were emitted: they are as they stand in the database.
    if (this.#samplesBefore(this.#closedUntilMs) === this.#restoredSamples) this.#revisions.settle();
    for (const channel of this.#channels) {
      channel.seen = true;
      channel.lastArrivalMs = nowMs;
    }
    this.#raiseWatermark();
  }

  addScalar(
    channel: MachineChannel,
    timeMs: number,
    value: number,
    quality: number,
    sequence: number,
    arrival: Arrival,
  ): AcceptedCode {
    const buffer = channel.scalar;
    if (buffer === null) return Accepted.UNKNOWN_CHANNEL;
    const code = this.#admit(timeMs, buffer.size + 1);
    if (code !== Accepted.YES) return this.#refused(code, channel, timeMs, arrival);
    this.#need(timeMs, arrival.batchId);
    buffer.add(timeMs, value, quality, sequence);
    this.#arrived(channel, timeMs, arrival);
    return Accepted.YES;
  }

  addWaveform(
    channel: MachineChannel,
    t0Ms: number,
    sampleRateHz: number,
    values: Float32Array,
    quality: number,
    sequence: number,
    arrival: Arrival,
  ): AcceptedCode {
    const buffer = channel.waveform;
    if (buffer === null) return Accepted.UNKNOWN_CHANNEL;
    const code = this.#admit(t0Ms, buffer.size + values.length);
    if (code !== Accepted.YES) return this.#refused(code, channel, t0Ms, arrival);
    this.#need(t0Ms, arrival.batchId);
    buffer.add(t0Ms, sampleRateHz, values, quality, sequence);
    this.#arrived(channel, t0Ms, arrival);
    return Accepted.YES;
  }

  /** Idle closing: a channel silent for `idleTimeoutMs` no longer holds back the others; all silent closes everything. */
  advance(nowMs: number): void {
    if (this.#needs.size === 0) return;
    let changed = false;
    let active = 0;
    for (const channel of this.#channels) {
      if (!channel.seen) continue;
      if (!channel.idle && nowMs - channel.lastArrivalMs >= this.spec.idleTimeoutMs) {
        channel.idle = true;
        changed = true;
      }
      if (!channel.idle) active += 1;
    }
    if (active === 0) this.flush('idle');
    else if (changed) this.#raiseWatermark();
    this.#reissue();
  }

  /** Closes every window that holds data, for good. */
  flush(closedBy: 'idle' | 'flush'): void {
    let last = Number.NEGATIVE_INFINITY;
    for (const bucket of this.#needs.keys()) if (bucket > last) last = bucket;
    if (last === Number.NEGATIVE_INFINITY) return;
    const endMs = this.spec.endOf(last);
    this.#closeUntil(endMs, closedBy, endMs);
    this.#watermarkMs = Math.max(this.#watermarkMs, endMs);
  }

  /** The result of the window is durable. */
  committed(closedUntilMs: number): void {
    for (const bucket of this.#needs.keys()) {
      if (this.spec.endOf(bucket) <= closedUntilMs) this.#needs.delete(bucket);
    }
    this.#lastBucket = Number.NaN;
  }

  oldestBatchNeeded(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const batchId of this.#needs.values()) if (batchId < oldest) oldest = batchId;
    return oldest;
  }

  get openBytes(): number {
    return this.#channels.reduce((sum, c) => sum + (c.scalar?.bytes ?? 0) + (c.waveform?.bytes ?? 0), 0);
  }

  get openSamples(): number {
    return this.#channels.reduce((sum, c) => sum + (c.scalar?.size ?? 0) + (c.waveform?.size ?? 0), 0);
  }

  /** Samples no longer needed that no window has taken along yet. */
  get settledSamples(): number {
    return this.#settled.samples + this.#settled.duplicates;
  }

  /** @param buffered samples of the channel in the buffer if this is accepted */
  #admit(timeMs: number, buffered: number): AcceptedCode {
    const end = this.spec.endOf(this.spec.bucketOf(timeMs));
    if (this.#replaying) return end <= this.#restoredUntilMs ? Accepted.SETTLED_BEFORE : Accepted.YES;
    if (end <= this.#finalUntilMs) return Accepted.LATE;
    return buffered > this.spec.maxBufferedSamples ? Accepted.OVER_LIMIT : Accepted.YES;
  }

  /** A full buffer still tells the time: else a channel that sends too much would hold back its own windows for good. */
  #refused(code: AcceptedCode, channel: MachineChannel, timeMs: number, arrival: Arrival): AcceptedCode {
    if (code === Accepted.OVER_LIMIT) this.#arrived(channel, timeMs, arrival);
    return code;
  }

  #need(timeMs: number, batchId: number): void {
    const bucket = this.spec.bucketOf(timeMs);
    if (bucket !== this.#lastBucket) {
      this.#lastBucket = bucket;
      if (!this.#needs.has(bucket)) this.#needs.set(bucket, batchId);
    }
    if (this.spec.allowedLatenessMs > 0) this.#markLate(timeMs, bucket);
  }

  /** Closed windows that are not final and hold this time have to be computed again, or for the first time. */
  #markLate(timeMs: number, bucket: number): void {
    for (let index = bucket; this.spec.endOf(index) > timeMs; index -= 1) {
      const endMs = this.spec.endOf(index);
      if (endMs <= this.#closedUntilMs && endMs > this.#finalUntilMs) this.#revisions.late(index, endMs);
    }
  }

  #arrived(channel: MachineChannel, timeMs: number, { nowMs }: Arrival): void {
    channel.lastArrivalMs = nowMs;
    const joined = !channel.seen || channel.idle;
    channel.seen = true;
    channel.idle = false;
    const newer = timeMs > channel.newestMs;
    if (newer) channel.newestMs = timeMs;
    if (this.#replaying) return;
    // Where optional channels lead, any of them may become the newest.
    if (joined || (newer && (channel === this.#holder || !this.#holder?.config.required)))
      this.#raiseWatermark();
  }

  #raiseWatermark(): void {
    const holder = this.#holders.find(this.#channels);
    this.#holder = holder;
    if (holder === null) return;
    const watermarkMs = holder.newestMs - this.spec.outOfOrderMs;
    if (watermarkMs <= this.#watermarkMs) return;
    this.#watermarkMs = watermarkMs;
    const { spec } = this;
    this.#closeUntil(
      spec.closedBy(watermarkMs),
      'watermark',
      spec.closedBy(watermarkMs - spec.allowedLatenessMs),
    );
  }

  /** Closes what ends up to `endMs`; what ends up to `finalUntilMs`, which is not later, is closed for good. */
  #closeUntil(endMs: number, closedBy: Window['closedBy'], finalUntilMs: number): void {
    if (endMs <= this.#closedUntilMs && finalUntilMs <= this.#finalUntilMs) return;
    // Corrections of earlier windows go first: their samples are still there, and trends want them in order.
    this.#reissue();
    for (const index of this.#windowsWithin(this.#closedUntilMs, endMs)) {
      const ownEndMs = this.spec.endOf(index);
      if (ownEndMs > finalUntilMs) this.#revisions.emitted(index);
      // Never further than its own end: the windows after it are not durable yet when it is.
      this.#emit(index, 0, closedBy, Math.min(ownEndMs, finalUntilMs));
    }
    this.#closedUntilMs = Math.max(this.#closedUntilMs, endMs);
    this.#finalizeUntil(finalUntilMs);
  }

  #finalizeUntil(endMs: number): void {
    if (endMs <= this.#finalUntilMs) return;
    this.#revisions.forget((index) => this.spec.endOf(index) <= endMs);
    this.#finalUntilMs = endMs;
    this.#drop(endMs);
  }

  /** Windows with data whose end lies in (afterEndMs, untilEndMs], by start. */
  #windowsWithin(afterEndMs: number, untilEndMs: number): number[] {
    const after = this.spec.indexOfEnd(afterEndMs);
    const until = this.spec.indexOfEnd(untilEndMs);
    const indexes = new Set<number>();
    for (const bucket of this.#needs.keys()) {
      const last = Math.min(bucket, until);
      for (let index = Math.max(this.spec.firstWindowOf(bucket), after + 1); index <= last; index += 1)
        indexes.add(index);
    }
    return [...indexes].sort((a, b) => a - b);
  }

  /** Computes windows again that got an allowed late sample, by start. */
  #reissue(): void {
    for (const [index, revision] of this.#revisions.takeDirty())
      this.#emit(index, revision, 'watermark', this.#finalUntilMs);
  }

  /** A window that is final as it closes, or makes others so, takes the settled samples along. */
  #emit(index: number, revision: number, closedBy: Window['closedBy'], finalUntilMs: number): void {
    const startMs = this.spec.startOf(index);
    const endMs = this.spec.endOf(index);
    const slices: ChannelSlice[] = [];
    for (const channel of this.#channels) {
      const slice =
        channel.scalar?.slice(channel.name, startMs, endMs, channel.config.periodMs) ??
        channel.waveform?.slice(channel.name, startMs, endMs, channel.config) ??
        null;
      if (slice !== null) slices.push(slice);
    }
    this.#finalizeUntil(finalUntilMs);
    if (slices.length === 0) return;
    const { coverage, quality } = qualityOfWindow(slices, this.spec);
    this.#out.push({
      window: {
        machineClass: this.spec.name,
        machine: this.machine,
        startMs,
        endMs,
        revision,
        coverage,
        quality,
        slices,
        closedBy,
      },
      closedUntilMs: this.#finalUntilMs,
      settled: this.#settled,
      state: encodeHeld(this.#heldNow(), this.#emittedUntil(Math.max(this.#closedUntilMs, endMs))),
    });
    this.#settled = { samples: 0, duplicates: 0, volatile: 0 };
  }

  #drop(endMs: number): void {
    const beforeMs = this.spec.settledBefore(endMs);
    for (const channel of this.#channels) {
      const before = this.settledSamples;
      channel.scalar?.drop(beforeMs, this.#settled);
      channel.waveform?.drop(beforeMs, this.#settled);
      if (channel.config.durability === 'memory') this.#settled.volatile += this.settledSamples - before;
    }
  }

  #emittedUntil(untilMs: number): CarriedState['emitted'] {
    if (this.spec.allowedLatenessMs === 0) return { untilMs, samples: 0, revision: 0 };
    return { untilMs, ...this.#revisions.carried(() => this.#samplesBefore(untilMs)) };
  }

  #samplesBefore(timeMs: number): number {
    return this.#channels.reduce(
      (sum, { scalar, waveform }) =>
        sum + (scalar?.countBefore(timeMs) ?? 0) + (waveform?.countBefore(timeMs) ?? 0),
      0,
    );
  }

  #heldNow(): HeldByChannel {
    const held: HeldByChannel = new Map();
    for (const channel of this.#channels)
      if (channel.scalar?.held) held.set(channel.name, channel.scalar.held);
    return held;
  }

  #rank(channel: MachineChannel): number {
    const declared = this.spec.declared.indexOf(channel.name);
    return declared === -1 ? this.spec.declared.length : declared;
  }
}
