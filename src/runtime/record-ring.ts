/**
 * Single-producer single-consumer ring of records in shared memory, between the MQTT thread and the pipeline thread.
 *
 * Positions count bytes since the ring was made; the low 32 bits are shared through Atomics and both sides widen
 * them, so the ring never wraps its meaning as long as it holds less than 4 GiB. A record never straddles the end:
 * the rest is skipped with a PAD record.
 */

import type { DeadLetter } from '../domain/dead-letter.ts';
import type { ClockMark } from '../domain/gateway-clock.ts';
import type { ChannelRef } from '../domain/machine.ts';
import { RecordKind, SCALAR_BYTES } from '../domain/record.ts';
import {
  encodeChannel,
  encodeClockMark,
  encodeDeadLetter,
  type RecordViews,
  recordViews,
  waveformRecordBytes,
  writeScalar,
  writeWaveform,
} from '../domain/record-codec.ts';
import type { RecordSink } from '../domain/record-sink.ts';
import type { RecordSpan } from '../domain/record-span.ts';

const HEADER_BYTES = 64;
const WRITE = 0;
const READ = 1;
const COMMITS = 2;

/** Memory for a ring of `ringBytes` (a power of two, >= 64 KiB). */
export function createRing(ringBytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + ringBytes);
}

abstract class RingEnd {
  protected readonly control: Int32Array;
  protected readonly views: RecordViews;
  protected readonly capacity: number;

  constructor(shared: SharedArrayBuffer) {
    this.control = new Int32Array(shared, 0, HEADER_BYTES >> 2);
    this.capacity = shared.byteLength - HEADER_BYTES;
    // Offsets below are relative to the data area, so the views start there.
    const views = recordViews(shared);
    this.views = {
      u8: views.u8.subarray(HEADER_BYTES),
      u16: views.u16.subarray(HEADER_BYTES >> 1),
      u32: views.u32.subarray(HEADER_BYTES >> 2),
      f32: views.f32.subarray(HEADER_BYTES >> 2),
      f64: views.f64.subarray(HEADER_BYTES >> 3),
    };
  }
}

/** The MQTT thread's end. */
export class RingWriter extends RingEnd implements RecordSink {
  #position = 0;

  /** Counts the reader's commits; a thread may wait on it. */
  get commits(): { readonly cells: Int32Array; readonly index: number } {
    return { cells: this.control, index: COMMITS };
  }

  get position(): number {
    return this.#position;
  }

  get fill(): number {
    return this.#used() / this.capacity;
  }

  /** Largest record that can ever fit: half the ring, so that a PAD always leaves room. */
  get maxRecordBytes(): number {
    return this.capacity >> 1;
  }

  hasRoom(bytes: number): boolean {
    // A message may need the PAD at the end of the ring on top of its own bytes.
    const tail = this.capacity - (this.#position & (this.capacity - 1));
    const pad = tail < bytes ? tail : 0;
    return this.capacity - this.#used() >= bytes + pad + 8;
  }

  scalar(
    channelIndex: number,
    flags: number,
    quality: number,
    sequence: number,
    eventTimeMs: number,
    value: number,
  ): void {
    const at = this.#reserve(SCALAR_BYTES);
    writeScalar(this.views, at, channelIndex, flags, quality, sequence, eventTimeMs, value);
    this.#publish(SCALAR_BYTES);
  }

  waveform(
    channelIndex: number,
    flags: number,
    quality: number,
    sequence: number,
    t0Ms: number,
    sampleRateHz: number,
    values: Float32Array,
  ): void {
    const bytes = waveformRecordBytes(values.length);
    const at = this.#reserve(bytes);
    writeWaveform(this.views, at, channelIndex, flags, quality, sequence, t0Ms, sampleRateHz, values);
    this.#publish(bytes);
  }

  channel(ref: ChannelRef): void {
    this.#copy(encodeChannel(ref));
  }

  deadLetter(letter: DeadLetter): void {
    this.#copy(encodeDeadLetter(letter));
  }

  clock(mark: ClockMark): void {
    this.#copy(encodeClockMark(mark));
  }

  #used(): number {
    return (this.#position - Atomics.load(this.control, READ)) >>> 0;
  }

  #copy(record: Uint8Array): void {
    const at = this.#reserve(record.length);
    this.views.u8.set(record, at);
    this.#publish(record.length);
  }

  /** Offset of `bytes` contiguous bytes. The caller asked hasRoom() for the whole message before. */
  #reserve(bytes: number): number {
    const at = this.#position & (this.capacity - 1);
    const tail = this.capacity - at;
    if (tail >= bytes) return at;
    this.views.u32[at >> 2] = tail;
    this.views.u8[at + 4] = RecordKind.PAD;
    this.#publish(tail);
    return 0;
  }

  #publish(bytes: number): void {
    this.#position += bytes;
    Atomics.store(this.control, WRITE, this.#position | 0);
  }
}

/** The pipeline thread's end. */
export class RingReader extends RingEnd {
  #position = 0;

  /** Everything written and not yet released: no, one or two spans (two where the ring wraps), valid until release. */
  peek(maxBytes: number): RecordSpan[] {
    const available = (Atomics.load(this.control, WRITE) - this.#position) >>> 0;
    if (available === 0) return [];
    const at = this.#position & (this.capacity - 1);
    const first = Math.min(available, this.capacity - at);
    const spans: RecordSpan[] = [
      { views: this.views, from: at, to: this.#wholeRecords(at, at + first, maxBytes) },
    ];
    const taken = spans[0]!.to - at;
    if (taken === first && available > first && taken < maxBytes) {
      spans.push({
        views: this.views,
        from: 0,
        to: this.#wholeRecords(0, available - first, maxBytes - taken),
      });
    }
    return spans;
  }

  /** Gives the peeked bytes back to the writer and returns the position after them. */
  release(bytes: number): number {
    this.#position += bytes;
    Atomics.store(this.control, READ, this.#position | 0);
    return this.#position;
  }

  /** Tells a writer that rests that there is news. */
  wakeWriter(): void {
    Atomics.add(this.control, COMMITS, 1);
    Atomics.notify(this.control, COMMITS);
  }

  /** Ends a span at a record boundary once it holds at least `maxBytes`. */
  #wholeRecords(from: number, to: number, maxBytes: number): number {
    if (to - from <= maxBytes) return to;
    let at = from;
    while (at - from < maxBytes) at += this.views.u32[at >> 2]!;
    return at;
  }
}
