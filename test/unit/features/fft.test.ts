/** The transform facade against the definition. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FftPlans, nextPowerOfTwo, RealFft } from '../../../src/features/fft.ts';
import { lcgGaussian } from './lcg.ts';

function transformed(n: number, x: Float64Array): Float64Array {
  const spectrum = new Float64Array(n + 2);
  new RealFft(n).transform(spectrum, x);
  return spectrum;
}

/** X[k] by the definition, angles reduced so that the reference itself is exact to rounding. */
function definition(x: Float64Array, k: number): [number, number] {
  let re = 0;
  let im = 0;
  for (let m = 0; m < x.length; m++) {
    const angle = (2 * Math.PI * ((k * m) % x.length)) / x.length;
    re += x[m]! * Math.cos(angle);
    im -= x[m]! * Math.sin(angle);
  }
  return [re, im];
}

describe('RealFft', () => {
  it.each([2, 4, 6, 8, 10, 12, 14, 22, 30, 64, 100, 250, 254, 1024, 1250])(
    'transforms %i samples as the definition says, every bin',
    (n) => {
      const x = lcgGaussian(n, n);
      const spectrum = transformed(n, x);
      const size = Math.sqrt(x.reduce((a, b) => a + b * b, 0) * n);
      for (let k = 0; k <= n / 2; k++) {
        const [re, im] = definition(x, k);
        expect(Math.abs(spectrum[2 * k]! - re)).toBeLessThan(1e-13 * size);
        expect(Math.abs(spectrum[2 * k + 1]! - im)).toBeLessThan(1e-13 * size);
      }
    },
  );

  it('keeps the energy of any record of any even length (Parseval)', () => {
    const even = fc.integer({ min: 1, max: 700 }).map((half) => 2 * half);
    fc.assert(
      fc.property(even, fc.integer(), (n, seed) => {
        const x = lcgGaussian(n, seed);
        const spectrum = transformed(n, x);
        let energy = spectrum[0]! ** 2 + spectrum[n]! ** 2;
        for (let k = 2; k < n; k++) energy += 2 * spectrum[k]! ** 2;
        const expected = x.reduce((a, b) => a + b * b, 0) * n;
        expect(Math.abs(energy - expected)).toBeLessThan(1e-12 * expected);
      }),
      { numRuns: 100 },
    );
  });

  it('is exact to 1e-12 for a snapshot of 12 800 samples, whose length is no power of two', () => {
    const n = 12_800;
    const x = Float64Array.from({ length: n }, (_, k) => Math.cos((2 * Math.PI * 4321 * k) / n));
    const spectrum = transformed(n, x);
    expect(spectrum[2 * 4321]).toBeCloseTo(n / 2, 7);
    let rest = 0;
    for (let k = 0; k <= n + 1; k++) if (k !== 2 * 4321) rest = Math.max(rest, Math.abs(spectrum[k]!));
    expect(rest).toBeLessThan((1e-12 * n) / 2);
  });

  it('looks only at its own first samples of a longer array', () => {
    const x = lcgGaussian(30, 1);
    const longer = new Float64Array(64).fill(9);
    longer.set(x);
    expect(transformed(30, longer)).toEqual(transformed(30, x));
  });
});

describe('FftPlans', () => {
  it('gives the same bits from a plan that was used, dropped and made again', () => {
    const plans = new FftPlans();
    const x = lcgGaussian(262_144, 5);
    const first = new Float64Array(1252);
    plans.real(1250).transform(first, x);
    for (const n of [262_144, 200_000, 131_070]) plans.real(n).transform(new Float64Array(n + 2), x);
    const kept = plans.real(131_070);
    const again = new Float64Array(1252);
    plans.real(1250).transform(again, x);
    expect(plans.real(131_070)).toBe(kept);
    expect(again).toEqual(first);
  });
});

describe('nextPowerOfTwo', () => {
  it('rounds up and leaves powers alone', () => {
    expect([1, 2, 3, 4, 5, 1023, 1024, 1025, 2 ** 30].map(nextPowerOfTwo)).toEqual([
      1,
      2,
      4,
      4,
      8,
      1024,
      1024,
      2048,
      2 ** 30,
    ]);
  });
});
