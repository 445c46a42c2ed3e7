/**
 * Walks records into the windower and gathers what must become durable: the bytes of the records that some window
 * needs and that are not volatile, new channels and dead letters.
 */

import type { DeadLetter } from '../domain/dead-letter.ts';
import type { ChannelRef } from '../domain/machine.ts';
import { RecordFlag, RecordKind, WAVEFORM_HEADER_BYTES } from '../domain/record.ts';
import { decodeChannel, decodeDeadLetter, type RecordViews, recordViews } from '../domain/record-codec.ts';
import type { RecordSpan } from '../domain/record-span.ts';
import { Accepted, type Windower } from '../window/windower.ts';

/** What one commit has to make durable. */
export interface TakenRecords {
  /** Whole records; null if none has to be kept. */
  readonly journal: Uint8Array | null;
  readonly acceptedSamples: number;
  readonly channels: readonly ChannelRef[];
  readonly deadLetters: readonly DeadLetter[];
}

const INITIAL_JOURNAL_BYTES = 262_144;

/** Feeds the windower; between `take` and `drain` it holds the bytes of one commit. */
export class RecordFeed {
  readonly #windower: Windower;
  #journal = new Uint8Array(INITIAL_JOURNAL_BYTES);
  #journalBytes = 0;
  #acceptedSamples = 0;
  #channels: ChannelRef[] = [];
  #deadLetters: DeadLetter[] = [];
  #taken = false;

  constructor(windower: Windower) {
    this.#windower = windower;
  }

  /** Walks fresh records. `batchId` is the journal batch they will stand in. */
  take(spans: readonly RecordSpan[], batchId: number, nowMs: number): void {
    for (const span of spans) {
      if (span.to > span.from) this.#taken = true;
      this.#walk(span.views, span.from, span.to, batchId, nowMs, true);
    }
  }

  /** Walks a journal batch after a start: the windows fill again, nothing is journaled twice. */
  replay(records: Uint8Array, batchId: number, nowMs: number): void {
    // The typed views need their own aligned memory; a blob from the database has any offset.
    const buffer = new ArrayBuffer(records.length);
    new Uint8Array(buffer).set(records);
    this.#walk(recordViews(buffer), 0, records.length, batchId, nowMs, false);
  }

  /** True if something was taken that nobody has drained. */
  get isPending(): boolean {
    return this.#taken;
  }

  /** What was taken since the last call, or null if nothing was. The journal bytes are valid until the next take. */
  drain(): TakenRecords | null {
    if (!this.#taken) return null;
    const taken = {
      journal: this.#journalBytes === 0 ? null : this.#journal.subarray(0, this.#journalBytes),
      acceptedSamples: this.#acceptedSamples,
      channels: this.#channels,
      deadLetters: this.#deadLetters,
    };
    this.#journalBytes = 0;
    this.#acceptedSamples = 0;
    this.#channels = [];
    this.#deadLetters = [];
    this.#taken = false;
    return taken;
  }

  #walk(v: RecordViews, from: number, to: number, batchId: number, nowMs: number, fresh: boolean): void {
    // Runs of journaled records are copied in one go: at high rates that is one copy per commit.
    let runFrom = from;
    let at = from;
    while (at < to) {
      const bytes = v.u32[at >> 2]!;
      const keep = this.#one(v, at, batchId, nowMs, fresh);
      if (!keep) {
        if (fresh) this.#keep(v.u8, runFrom, at);
        runFrom = at + bytes;
      }
      at += bytes;
    }
    if (fresh) this.#keep(v.u8, runFrom, to);
  }

  /** True if the record belongs into the journal: not volatile, and some window will need it. */
  #one(v: RecordViews, at: number, batchId: number, nowMs: number, fresh: boolean): boolean {
    const kind = v.u8[at + 4]!;
    const durable = (v.u16[(at + 6) >> 1]! & RecordFlag.VOLATILE) === 0;
    if (kind === RecordKind.SCALAR) {
      const code = this.#windower.addScalar(
        v.u32[(at + 8) >> 2]!,
        v.f64[(at + 16) >> 3]!,
        v.f64[(at + 24) >> 3]!,
        v.u8[at + 5]!,
        v.u32[(at + 12) >> 2]!,
        batchId,
        nowMs,
      );
      if (fresh) this.#acceptedSamples += 1;
      return durable && code === Accepted.YES;
    }
    if (kind === RecordKind.WAVEFORM) {
      const n = v.u32[(at + 32) >> 2]!;
      const first = (at + WAVEFORM_HEADER_BYTES) >> 2;
      const code = this.#windower.addWaveform(
        v.u32[(at + 8) >> 2]!,
        v.f64[(at + 16) >> 3]!,
        v.f64[(at + 24) >> 3]!,
        v.f32.subarray(first, first + n),
        v.u8[at + 5]!,
        v.u32[(at + 12) >> 2]!,
        batchId,
        nowMs,
      );
      if (fresh) this.#acceptedSamples += n;
      return durable && code === Accepted.YES;
    }
    if (fresh && kind === RecordKind.CHANNEL) {
      const ref = decodeChannel(v.u8, at);
      this.#windower.register(ref);
      this.#channels.push(ref);
    } else if (fresh && kind === RecordKind.DEAD_LETTER) {
      this.#deadLetters.push(decodeDeadLetter(v.u8, at));
    }
    return false;
  }

  #keep(u8: Uint8Array, from: number, to: number): void {
    const bytes = to - from;
    if (bytes <= 0) return;
    const needed = this.#journalBytes + bytes;
    if (needed > this.#journal.length) {
      const grown = new Uint8Array(Math.max(needed, this.#journal.length * 2));
      grown.set(this.#journal.subarray(0, this.#journalBytes));
      this.#journal = grown;
    }
    this.#journal.set(u8.subarray(from, to), this.#journalBytes);
    this.#journalBytes = needed;
  }
}
