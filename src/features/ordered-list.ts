/** A short ascending list at the head of a fixed array: where a value belongs, and putting it there. */

/** First of `count` ascending starts that is not earlier than `startMs`, or `count`. Searched from the new end. */
export function placeFor(starts: Float64Array, count: number, startMs: number): number {
  let at = count;
  while (at > 0 && starts[at - 1]! >= startMs) at -= 1;
  return at;
}

/** Moves entries [at, count) up by one and writes `value` at the gap; the array has room for one more. */
export function insert(array: Float64Array, count: number, at: number, value: number): void {
  array.copyWithin(at + 1, at, count);
  array[at] = value;
}
