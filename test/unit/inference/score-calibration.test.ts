import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calibrateScores, independence, pValue } from '../../../src/inference/score-calibration.ts';
import { Gaussian } from './vectors.ts';

describe('calibrateScores and pValue', () => {
  it('gives the split-conformal value inside the bulk of independent scores', () => {
    // Alternating, so that the lag-1 autocorrelation is not positive and every score counts.
    const scores = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? i / 2 : 99 - (i - 1) / 2));
    const calibration = calibrateScores(scores);
    expect(calibration.effectiveCount).toBe(100);
    expect(pValue(50, calibration)).toBeCloseTo((1 + 50) / 101, 12);
    expect(pValue(-1, calibration)).toBe(1);
  });

  it('continues into the tail without a jump and with the predictive law of exponential excesses', () => {
    const random = new Gaussian(5);
    const calibration = calibrateScores(Array.from({ length: 500 }, () => -Math.log(random.uniform())));
    const { tailStart, meanExcess, tailCount } = calibration;
    const at = pValue(tailStart, calibration);
    expect(pValue(tailStart + 1e-9, calibration)).toBeCloseTo(at, 6);
    const expected = at * (1 + 3 / tailCount) ** -tailCount;
    expect(pValue(tailStart + 3 * meanExcess, calibration)).toBeCloseTo(expected, 12);
  });

  it('states far probabilities of exponential scores within a factor of three, never zero', () => {
    const ratios: number[] = [];
    for (let seed = 1; seed <= 40; seed++) {
      const random = new Gaussian(seed);
      const calibration = calibrateScores(Array.from({ length: 1000 }, () => -Math.log(random.uniform())));
      ratios.push(Math.log(pValue(9, calibration) / Math.exp(-9)));
    }
    const mean = ratios.reduce((sum, value) => sum + value, 0) / ratios.length;
    expect(Math.abs(mean)).toBeLessThan(Math.log(3));
    const { scores } = calibrateScores([1, 2, 3]);
    expect(pValue(1e300, { ...calibrateScores([1, 2, 3]), scores })).toBeGreaterThan(0);
  });

  it('is less certain with fewer scores, so that a short commissioning cannot cry wolf', () => {
    const random = new Gaussian(9);
    const many = Array.from({ length: 2000 }, () => -Math.log(random.uniform()));
    const p = (n: number) => pValue(12, calibrateScores(many.slice(0, n)));
    expect(p(25)).toBeGreaterThan(p(2000));
  });

  it('counts autocorrelated scores as fewer', () => {
    const random = new Gaussian(3);
    const slow: number[] = [];
    for (let i = 0; i < 400; i++) slow.push(0.9 * (slow.at(-1) ?? 0) + random.next());
    expect(independence(slow)).toBeGreaterThan(0.02);
    expect(independence(slow)).toBeLessThan(0.15);
    expect(calibrateScores(slow.map((value) => value ** 2)).effectiveCount).toBeLessThan(200);
  });

  it('never increases with the score and stays within (0, 1]', () => {
    const scores = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 2, maxLength: 60 });
    fc.assert(
      fc.property(
        scores,
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        (values, a, b) => {
          const calibration = calibrateScores(values);
          const [low, high] = [pValue(Math.min(a, b), calibration), pValue(Math.max(a, b), calibration)];
          expect(high).toBeLessThanOrEqual(low);
          expect(high).toBeGreaterThan(0);
          expect(low).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});
