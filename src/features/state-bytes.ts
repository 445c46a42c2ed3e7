/** Numbers, names and lists -> little-endian bytes, and back to the same bits. */

/** Grows as needed. */
export class StateWriter {
  #buffer = new Uint8Array(1024);
  #view = new DataView(this.#buffer.buffer);
  #at = 0;

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  f64(...values: number[]): void {
    for (const value of values) {
      const at = this.#reserve(8);
      this.#view.setFloat64(at, value, true);
    }
  }

  text(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.u16(bytes.length);
    const at = this.#reserve(bytes.length);
    this.#buffer.set(bytes, at);
  }

  /** Ascending integers, as runs of equal differences. */
  starts(values: Float64Array, count: number): void {
    const differences = new Float64Array(count);
    for (let i = 0; i < count; i++) differences[i] = values[i]! - (i > 0 ? values[i - 1]! : 0);
    this.list(differences, count);
  }

  /** The first `count` values, as runs of equal bits. */
  list(values: Float64Array, count: number): void {
    for (let i = 0; i < count; ) {
      let end = i + 1;
      while (end < count && Object.is(values[end], values[i])) end += 1;
      this.u16(end - i);
      this.f64(values[i]!);
      i = end;
    }
    this.u16(0);
  }

  bytes(): Uint8Array {
    return this.#buffer.slice(0, this.#at);
  }

  /** Offset of `length` free bytes. Call before touching the view or the buffer: it may replace both. */
  #reserve(length: number): number {
    const at = this.#at;
    this.#at += length;
    if (this.#at > this.#buffer.length) {
      const grown = new Uint8Array(2 * Math.max(this.#at, this.#buffer.length));
      grown.set(this.#buffer);
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

/** Reads what a `StateWriter` wrote, in the same order; every method throws RangeError past the end. */
export class StateReader {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }

  text(): string {
    const length = this.#view.getUint16(this.#advance(2), true);
    const at = this.#advance(length);
    return new TextDecoder().decode(new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, length));
  }

  /** As `list`, adding the differences up. */
  starts(into: Float64Array): number {
    const count = this.list(into);
    for (let i = 1; i < count; i++) into[i] = into[i]! + into[i - 1]!;
    return count;
  }

  /** Fills `into` from its start; returns the number of values, which must be `expected` if that is given. */
  list(into: Float64Array, expected?: number): number {
    let count = 0;
    for (;;) {
      const run = this.#view.getUint16(this.#advance(2), true);
      if (run === 0) break;
      if (count + run > into.length) throw new RangeError(`list longer than ${into.length}`);
      into.fill(this.f64(), count, count + run);
      count += run;
    }
    if (expected !== undefined && count !== expected) throw new RangeError('lists of unequal length');
    return count;
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.#at !== this.#view.byteLength) throw new RangeError('trailing bytes');
  }

  #advance(length: number): number {
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
