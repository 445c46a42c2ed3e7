/**
 * Walks records into the windower and gathers what must become durable: the bytes of the records that some window
 * needs and that are not volatile, new channels and dead letters. What waits for the time of day is held back here.
 */

import type { DeadLetter } from '../domain/dead-letter.ts';
import type { ChannelRef } from '../domain/machine.ts';
import { RecordFlag, RecordKind, UNCERTAIN, WAVEFORM_HEADER_BYTES } from '../domain/record.ts';
import {
  decodeChannel,
  decodeClockMark,
  decodeDeadLetter,
  type RecordViews,
} from '../domain/record-codec.ts';
import type { RecordSpan } from '../domain/record-span.ts';
import { Accepted, type AcceptedCode, type Arrival, type Windower } from '../window/windower.ts';
import { HeldRecords, type Released, viewsOf } from './held-records.ts';
import { RecordBuffer } from './record-buffer.ts';

/** What one commit has to make durable. */
export interface TakenRecords {
  /** Whole records; null if none has to be kept. */
  readonly journal: Uint8Array | null;
  readonly acceptedSamples: number;
  readonly channels: readonly ChannelRef[];
  readonly deadLetters: readonly DeadLetter[];
}

/** The circumstances of one walk. */
interface Walk extends Arrival {
  /** Not from the journal. */
  readonly fresh: boolean;
}

/** How records that were stamped with the time since boot are told the time. */
interface Correction {
  readonly offsetMs: number;
  readonly isSet: boolean;
}

const NO_CORRECTION: Correction = { offsetMs: 0, isSet: true };

/** Feeds the windower; between `take` and `drain` it holds the bytes of one commit. */
export class RecordFeed {
  readonly held = new HeldRecords();
  readonly #windower: Windower;
  /** By channel index. */
  readonly #machines: (string | undefined)[] = [];
  readonly #journal = new RecordBuffer();
  #acceptedSamples = 0;
  #channels: ChannelRef[] = [];
  #deadLetters: DeadLetter[] = [];
  #taken = false;

  constructor(windower: Windower) {
    this.#windower = windower;
  }

  /** Makes a channel known. */
  register(ref: ChannelRef): void {
    this.#machines[ref.index] = ref.machine;
    this.#windower.register(ref);
  }

  /** Walks fresh records. `batchId` is the journal batch they will stand in. */
  take(spans: readonly RecordSpan[], batchId: number, nowMs: number): void {
    for (const span of spans) {
      if (span.to > span.from) this.#taken = true;
      this.#walk(span.views, span.from, span.to, { batchId, nowMs, fresh: true });
    }
  }

  /** Walks a journal batch after a start: the windows fill again, nothing is journaled twice. */
  replay(records: Uint8Array, batchId: number, nowMs: number): void {
    this.#walk(viewsOf(records), 0, records.length, { batchId, nowMs, fresh: false });
  }

  /** True if something was taken that nobody has drained. */
  get isPending(): boolean {
    return this.#taken;
  }

  /** What was taken since the last call, or null if nothing was. The journal bytes are valid until the next take. */
  drain(): TakenRecords | null {
    if (!this.#taken) return null;
    const { bytes, views } = this.#journal;
    const taken = {
      journal: bytes === 0 ? null : views.u8.subarray(0, bytes),
      acceptedSamples: this.#acceptedSamples,
      channels: this.#channels,
      deadLetters: this.#deadLetters,
    };
    this.#journal.clear();
    this.#acceptedSamples = 0;
    this.#channels = [];
    this.#deadLetters = [];
    this.#taken = false;
    return taken;
  }

  #walk(v: RecordViews, from: number, to: number, walk: Walk): void {
    // Runs of journaled records are copied in one go: at high rates that is one copy per commit.
    let runFrom = from;
    let at = from;
    while (at < to) {
      const bytes = v.u32[at >> 2]!;
      const keep = this.#one(v, at, bytes, walk);
      if (!keep) {
        if (walk.fresh && at > runFrom) this.#journal.append(v.u8, runFrom, at);
        runFrom = at + bytes;
      }
      at += bytes;
    }
    if (walk.fresh && to > runFrom) this.#journal.append(v.u8, runFrom, to);
  }

  /** True if the record belongs into the journal: not volatile, and some window will need it. */
  #one(v: RecordViews, at: number, bytes: number, walk: Walk): boolean {
    const kind = v.u8[at + 4]!;
    if (kind === RecordKind.SCALAR || kind === RecordKind.WAVEFORM) {
      const samples = kind === RecordKind.SCALAR ? 1 : v.u32[(at + 32) >> 2]!;
      if (walk.fresh) this.#acceptedSamples += samples;
      const flags = v.u16[(at + 6) >> 1]!;
      const wanted =
        this.#hold(v, at, bytes, flags, samples) || this.#add(v, at, walk, NO_CORRECTION) === Accepted.YES;
      return wanted && (flags & RecordFlag.VOLATILE) === 0;
    }
    if (kind === RecordKind.CLOCK) return this.#clock(v, at, walk);
    if (walk.fresh && kind === RecordKind.CHANNEL) {
      const ref = decodeChannel(v.u8, at);
      this.register(ref);
      this.#channels.push(ref);
    } else if (walk.fresh && kind === RecordKind.DEAD_LETTER) {
      this.#deadLetters.push(decodeDeadLetter(v.u8, at));
    }
    return false;
  }

  /** True if the record waits for the time of day, its own or that of its machine. */
  #hold(v: RecordViews, at: number, bytes: number, flags: number, samples: number): boolean {
    const needsTime = (flags & RecordFlag.BOOT_TIME) !== 0;
    if (!needsTime && this.held.samples === 0) return false;
    const machine = this.#machines[v.u32[(at + 8) >> 2]!];
    if (machine === undefined || !(needsTime || this.held.holds(machine))) return false;
    this.held.add(v.u8, at, bytes, machine, samples);
    return true;
  }

  /** True if a replay will need the mark. */
  #clock(v: RecordViews, at: number, walk: Walk): boolean {
    const mark = decodeClockMark(v.u8, at);
    const released = mark.holds ? this.held.begin(mark, walk.batchId) : this.held.release(mark);
    if (released !== null) this.#release(released, walk);
    return released !== null || (mark.holds && this.held.oldestBatch === walk.batchId);
  }

  #release({ views, bytes, batchId, ...correction }: Released, walk: Walk): void {
    const arrival = { batchId, nowMs: walk.nowMs };
    for (let at = 0; at < bytes; at += views.u32[at >> 2]!) this.#add(views, at, arrival, correction);
  }

  #add(v: RecordViews, at: number, arrival: Arrival, correction: Correction): AcceptedCode {
    const counted = (v.u16[(at + 6) >> 1]! & RecordFlag.BOOT_TIME) !== 0;
    const timeMs = v.f64[(at + 16) >> 3]! + (counted ? correction.offsetMs : 0);
    const declared = v.u8[at + 5]!;
    const quality = counted && !correction.isSet ? Math.max(declared, UNCERTAIN) : declared;
    const index = v.u32[(at + 8) >> 2]!;
    const sequence = v.u32[(at + 12) >> 2]!;
    const second = v.f64[(at + 24) >> 3]!;
    if (v.u8[at + 4] === RecordKind.SCALAR)
      return this.#windower.addScalar(index, timeMs, second, quality, sequence, arrival);
    const first = (at + WAVEFORM_HEADER_BYTES) >> 2;
    const values = v.f32.subarray(first, first + v.u32[(at + 32) >> 2]!);
    return this.#windower.addWaveform(index, timeMs, second, values, quality, sequence, arrival);
  }
}
