/** A seed -> the pseudo-random sequence the reference vectors were generated from. */

/** s = 1664525 s + 1013904223 mod 2^32, as numbers in [0, 1). */
export function lcg(count: number, seed: number): Float64Array {
  const out = new Float64Array(count);
  let state = seed >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    out[i] = state / 4294967296;
  }
  return out;
}

/** Sums of twelve uniforms minus 6: mean 0, variance 1, nearly normal. */
export function lcgGaussian(count: number, seed: number): Float64Array {
  const uniform = lcg(12 * count, seed);
  return Float64Array.from({ length: count }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < 12; j++) sum += uniform[12 * i + j]!;
    return sum - 6;
  });
}
