/** Stretches of whole records enter, one contiguous copy of them leaves. */

import { type RecordViews, recordViews } from '../domain/record-codec.ts';

const INITIAL_BYTES = 262_144;

/** Grows as needed and keeps its memory for the next round. */
export class RecordBuffer {
  #buffer = new ArrayBuffer(INITIAL_BYTES);
  #views = recordViews(this.#buffer);
  #bytes = 0;

  /** Length of what was appended since `clear`. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Valid until the next `append`. */
  get views(): RecordViews {
    return this.#views;
  }

  append(u8: Uint8Array, from: number, to: number): void {
    const needed = this.#bytes + to - from;
    if (needed > this.#buffer.byteLength) this.#grow(needed);
    this.#views.u8.set(u8.subarray(from, to), this.#bytes);
    this.#bytes = needed;
  }

  clear(): void {
    this.#bytes = 0;
  }

  #grow(needed: number): void {
    const old = this.#views.u8;
    // A multiple of 8, for the views.
    this.#buffer = new ArrayBuffer(Math.max((needed + 7) & ~7, this.#buffer.byteLength * 2));
    this.#views = recordViews(this.#buffer);
    this.#views.u8.set(old.subarray(0, this.#bytes));
  }
}
