/** Bytes of a JSON number enter, the double that JSON.parse would give leaves. */

const ZERO = 0x30;
const NINE = 0x39;
/** Powers of ten that are exact doubles. */
const EXACT_POWERS = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));
/** A mantissa of this many digits is exact if it is below 2^53: only its last digit can have rounded. */
const EXACT_DIGITS = 16;
const EXACT_MANTISSA = 2 ** 53;

/** Reads numbers from a buffer; `at` is where the last one ended. */
export class JsonNumberReader {
  at = 0;

  /**
   * The number that begins at `from` and ends before `to`; NaN if the bytes there are no JSON number (`01`, `1.`,
   * `+1`, `NaN`). Infinity where JSON.parse gives it.
   *
   * Below 2^53 and up to 22 decimals, mantissa and power of ten are both exact doubles, so that their one product or
   * quotient is correctly rounded (Clinger, "How to read floating point numbers accurately", 1990). All others go
   * through the engine's own conversion.
   */
  read(buffer: Buffer, from: number, to: number): number {
    let at = from;
    const negative = buffer[at] === 0x2d;
    if (negative) at += 1;
    const digitsFrom = at;
    let mantissa = 0;
    for (; at < to; at++) {
      const digit = buffer[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      mantissa = mantissa * 10 + digit;
    }
    let digits = at - digitsFrom;
    if (digits === 0 || (digits > 1 && buffer[digitsFrom] === ZERO)) return Number.NaN;
    let decimals = 0;
    if (at < to && buffer[at] === 0x2e) {
      const decimalsFrom = at + 1;
      for (at = decimalsFrom; at < to; at++) {
        const digit = buffer[at]! - ZERO;
        if (digit < 0 || digit > 9) break;
        mantissa = mantissa * 10 + digit;
      }
      decimals = at - decimalsFrom;
      if (decimals === 0) return Number.NaN;
      digits += decimals;
    }
    if (at < to && (buffer[at]! | 0x20) === 0x65) return this.#withExponent(buffer, from, at, to);
    this.at = at;
    if (digits > EXACT_DIGITS || mantissa >= EXACT_MANTISSA || decimals >= EXACT_POWERS.length)
      return slowNumber(buffer, from, at);
    const value = decimals === 0 ? mantissa : mantissa / EXACT_POWERS[decimals]!;
    return negative ? -value : value;
  }

  #withExponent(buffer: Buffer, from: number, exponentAt: number, to: number): number {
    let at = exponentAt + 1;
    if (buffer[at] === 0x2b || buffer[at] === 0x2d) at += 1;
    const digitsFrom = at;
    while (at < to && buffer[at]! >= ZERO && buffer[at]! <= NINE) at += 1;
    if (at === digitsFrom) return Number.NaN;
    this.at = at;
    return slowNumber(buffer, from, at);
  }
}

function slowNumber(buffer: Buffer, from: number, to: number): number {
  return Number(buffer.toString('latin1', from, to));
}
