/**
 * Samples of one scalar channel that wait for their windows: arrays that grow and are reused, so that adding a sample
 * allocates nothing. Order and duplicates are settled when a window closes, not on arrival.
 */

import { QUALITIES, type Quality } from '../domain/record.ts';
import type { ScalarSlice } from '../domain/window.ts';
import { qualityOf } from './quality.ts';

const INITIAL_CAPACITY = 64;
/** Time and value in f64, sequence in u32, mark in u8. */
const BYTES_PER_SAMPLE = 21;

/** Newest sample that left the buffer, for hold features. */
export interface HeldSample {
  readonly timeMs: number;
  readonly value: number;
}

export class ScalarBuffer {
  held: HeldSample | null = null;
  #time = new Float64Array(INITIAL_CAPACITY);
  #value = new Float64Array(INITIAL_CAPACITY);
  #sequence = new Uint32Array(INITIAL_CAPACITY);
  /** Quality in the low bits; DUPLICATE once a twin was found. */
  #mark = new Uint8Array(INITIAL_CAPACITY);
  #from = 0;
  #to = 0;
  #ordered = true;

  /** Samples in the buffer, duplicates included. */
  get size(): number {
    return this.#to - this.#from;
  }

  get bytes(): number {
    return this.size * BYTES_PER_SAMPLE;
  }

  add(timeMs: number, value: number, quality: number, sequence: number): void {
    if (this.#to === this.#time.length) this.#makeRoom();
    const at = this.#to;
    // Equal times count as unordered: their order must not depend on which came first.
    if (at > this.#from && timeMs <= this.#time[at - 1]!) this.#ordered = false;
    this.#time[at] = timeMs;
    // -0 becomes 0: they are equal, so which of two twins came first would show in the bits.
    this.#value[at] = value + 0;
    this.#sequence[at] = sequence;
    this.#mark[at] = quality;
    this.#to = at + 1;
  }

  /** The samples with startMs <= t < endMs, or null if there is none. */
  slice(channel: string, startMs: number, endMs: number, periodMs: number | undefined): ScalarSlice | null {
    this.#order();
    const first = this.#lowerBound(startMs);
    const last = this.#lowerBound(endMs);
    let n = 0;
    for (let i = first; i < last; i += 1) if ((this.#mark[i]! & DUPLICATE) === 0) n += 1;
    if (n === 0) return null;
    const timeMs = new Float64Array(n);
    const value = new Float64Array(n);
    const byQuality: [number, number, number] = [0, 0, 0];
    for (let i = first, k = 0; i < last; i += 1) {
      if ((this.#mark[i]! & DUPLICATE) !== 0) continue;
      timeMs[k] = this.#time[i]!;
      value[k] = this.#value[i]!;
      byQuality[this.#mark[i]! as 0 | 1 | 2] += 1;
      k += 1;
    }
    const coverage = periodMs === undefined ? 1 : Math.min(1, n / ((endMs - startMs) / periodMs));
    const quality: Quality = qualityOf(coverage, byQuality);
    return { kind: 'scalar', channel, timeMs, value, held: this.#heldBefore(first), coverage, quality };
  }

  /** Forgets samples before `timeMs`; answers how many were kept once and how many were duplicates. */
  drop(timeMs: number, settled: { samples: number; duplicates: number }): void {
    this.#order();
    const until = this.#lowerBound(timeMs);
    for (let i = this.#from; i < until; i += 1) {
      if ((this.#mark[i]! & DUPLICATE) !== 0) settled.duplicates += 1;
      else settled.samples += 1;
    }
    if (until > this.#from) this.held = { timeMs: this.#time[until - 1]!, value: this.#value[until - 1]! };
    this.#from = until;
    if (this.#from === this.#to) {
      this.#from = 0;
      this.#to = 0;
      this.#ordered = true;
    }
  }

  /** Samples before `timeMs`, duplicates included. */
  countBefore(timeMs: number): number {
    this.#order();
    return this.#lowerBound(timeMs) - this.#from;
  }

  #heldBefore(first: number): HeldSample | null {
    if (first === this.#from) return this.held;
    return { timeMs: this.#time[first - 1]!, value: this.#value[first - 1]! };
  }

  #lowerBound(timeMs: number): number {
    let low = this.#from;
    let high = this.#to;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#time[middle]! < timeMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Sorts by (time, sequence, value, quality) and marks exact twins, unless everything came in strict order. */
  #order(): void {
    if (this.#ordered) return;
    const [from, to] = [this.#from, this.#to];
    const time = this.#time.slice(from, to);
    const value = this.#value.slice(from, to);
    const sequence = this.#sequence.slice(from, to);
    const mark = this.#mark.slice(from, to);
    const order = new Uint32Array(to - from);
    for (let i = 0; i < order.length; i += 1) order[i] = i;
    order.sort(
      (a, b) =>
        time[a]! - time[b]! ||
        sequence[a]! - sequence[b]! ||
        value[a]! - value[b]! ||
        (mark[a]! & QUALITY_BITS) - (mark[b]! & QUALITY_BITS),
    );
    for (let k = 0; k < order.length; k += 1) {
      const i = order[k]!;
      const twin =
        k > 0 &&
        time[i] === time[order[k - 1]!] &&
        sequence[i] === sequence[order[k - 1]!] &&
        value[i] === value[order[k - 1]!];
      this.#time[from + k] = time[i]!;
      this.#value[from + k] = value[i]!;
      this.#sequence[from + k] = sequence[i]!;
      this.#mark[from + k] = (mark[i]! & QUALITY_BITS) | (twin ? DUPLICATE : 0);
    }
    this.#ordered = true;
  }

  #makeRoom(): void {
    const { size } = this;
    const capacity = this.#from >= this.#time.length / 2 ? this.#time.length : this.#time.length * 2;
    this.#time = moved(this.#time, capacity, this.#from, this.#to);
    this.#value = moved(this.#value, capacity, this.#from, this.#to);
    this.#sequence = moved(this.#sequence, capacity, this.#from, this.#to);
    this.#mark = moved(this.#mark, capacity, this.#from, this.#to);
    this.#from = 0;
    this.#to = size;
  }
}

const DUPLICATE = 4;
const QUALITY_BITS = 3;

// The mark stores the index into QUALITIES; two bits hold all of them.
if (QUALITIES.length > QUALITY_BITS + 1) throw new RangeError('quality does not fit its bits');

/** The samples [from, to) at the start of an array of `capacity`: the same one if it has that already. */
function moved<T extends Float64Array | Uint32Array | Uint8Array>(
  source: T,
  capacity: number,
  from: number,
  to: number,
): T {
  if (capacity === source.length) return source.copyWithin(0, from, to) as T;
  const target = new (source.constructor as new (length: number) => T)(capacity);
  target.set(source.subarray(from, to));
  return target;
}
