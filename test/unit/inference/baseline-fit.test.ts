import { describe, expect, it } from 'vitest';
import { fitBaseline } from '../../../src/inference/baseline-fit.ts';
import {
  invertPositiveDefinite,
  quadraticForm,
  shrunkCovariance,
} from '../../../src/inference/dense-matrix.ts';
import { pValue } from '../../../src/inference/score-calibration.ts';
import { Gaussian, healthyRow } from './vectors.ts';

const P = 8;

function rowsOf(random: Gaussian, n: number, p = P): Float64Array[] {
  return Array.from({ length: n }, () => Float64Array.from(healthyRow(random, p)));
}

function starts(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i * 1000);
}

/** The detector in float64, as the ONNX graph computes it. */
function score(fit: NonNullable<ReturnType<typeof fitBaseline>>, row: Float64Array): number {
  const z = Float64Array.from(fit.watched, (j, a) => (row[j]! - fit.center[a]!) / fit.scale[a]!);
  return quadraticForm(fit.precision, z);
}

describe('fitBaseline', () => {
  it('keeps the stated false-alarm rate on healthy windows it has never seen', () => {
    // 60 machines of 200 commissioning windows, 500 held-out windows each: 30 000 trials.
    for (const level of [0.1, 0.01, 0.001]) {
      let alarms = 0;
      for (let machine = 0; machine < 60; machine++) {
        const random = new Gaussian(1000 + machine);
        const fit = fitBaseline(rowsOf(random, 200), starts(200))!;
        for (const row of rowsOf(random, 500))
          if (pValue(score(fit, row), fit.calibration) <= level) alarms += 1;
      }
      const rate = alarms / 30_000;
      // Cross-fitted scores and the predictive tail err to the safe side; they must not err to the other.
      expect(rate, `level ${level}`).toBeLessThan(1.3 * level);
      expect(rate, `level ${level}`).toBeGreaterThan(0.2 * level);
    }
  });

  it('finds a shift of one feature that stays inside its own normal range but breaks the correlation', () => {
    const random = new Gaussian(7);
    const fit = fitBaseline(rowsOf(random, 300), starts(300))!;
    const row = Float64Array.from(healthyRow(random, P), (_, j) => 100 * j);
    row[0]! += 6; // two standard deviations of the feature alone, six of its own noise
    const p = pValue(score(fit, row), fit.calibration);
    expect(p).toBeLessThan(1e-3);
    const z0 = (row[0]! - fit.center[0]!) / fit.scale[0]!;
    expect(Math.abs(z0)).toBeLessThan(2.5);
  });

  it('does not watch constant, drifting or mostly undefined features', () => {
    const random = new Gaussian(11);
    const rows = rowsOf(random, 100, 3).map((row, i) =>
      Float64Array.from([...row, 42, i + random.next(), i % 4 === 0 ? Number.NaN : random.next()]),
    );
    expect(fitBaseline(rows, starts(100))!.watched).toEqual([0, 1, 2]);
  });

  it('is null when nothing can be watched', () => {
    const rows = Array.from({ length: 30 }, () => Float64Array.from([1, 2]));
    expect(fitBaseline(rows, starts(30))).toBeNull();
  });

  it('is not moved by one percent of gross outliers', () => {
    const random = new Gaussian(13);
    const clean = rowsOf(random, 300);
    const dirty = clean.map((row, i) => (i === 77 || i === 150 ? row.map((value) => value + 1e4) : row));
    const [a, b] = [fitBaseline(clean, starts(300))!, fitBaseline(dirty, starts(300))!];
    b.center.forEach((value, j) => {
      expect(Math.abs(value - a.center[j]!)).toBeLessThan(0.2 * a.scale[j]!);
      expect(b.scale[j]! / a.scale[j]!).toBeGreaterThan(0.9);
      expect(b.scale[j]! / a.scale[j]!).toBeLessThan(1.1);
    });
    const faulty = Float64Array.from(healthyRow(random, P), (value, j) => (j === 0 ? value + 10 : value));
    expect(pValue(score(b, faulty), b.calibration)).toBeLessThan(1e-4);
  });

  it('works with fewer windows than features', () => {
    const random = new Gaussian(17);
    const fit = fitBaseline(rowsOf(random, 25, 40), starts(25))!;
    const healthy = pValue(score(fit, Float64Array.from(healthyRow(random, 40))), fit.calibration);
    const faulty = pValue(
      score(
        fit,
        Float64Array.from(healthyRow(random, 40), (v) => v + 60),
      ),
      fit.calibration,
    );
    expect(healthy).toBeGreaterThan(0.01);
    expect(faulty).toBeLessThan(1e-6);
  });
});

describe('dense matrices', () => {
  it('inverts covariances to machine precision', () => {
    const random = new Gaussian(23);
    const p = 30;
    const rows = Array.from({ length: 60 }, () => Float64Array.from({ length: p }, () => random.next()));
    const { matrix } = shrunkCovariance(rows, p);
    const inverse = invertPositiveDefinite(matrix, p)!;
    for (let i = 0; i < p; i++) {
      for (let j = 0; j < p; j++) {
        let sum = 0;
        for (let k = 0; k < p; k++) sum += matrix[i * p + k]! * inverse[k * p + j]!;
        expect(Math.abs(sum - (i === j ? 1 : 0))).toBeLessThan(1e-10);
      }
    }
  });

  it('shrinks as Ledoit and Wolf prescribe', () => {
    // sklearn.covariance.ledoit_wolf_shrinkage(X, assume_centered=True) of the same rows.
    const rows = [
      [1, 2, -1],
      [0.5, -1, 2],
      [-2, 0.3, 0.7],
      [1.5, 1, -0.2],
      [-0.4, -2, 1.1],
    ].map((row) => Float64Array.from(row));
    expect(shrunkCovariance(rows, 3).shrinkage).toBeCloseTo(0.5501682957825097, 12);
  });

  it('refuses what is not positive definite', () => {
    expect(invertPositiveDefinite(Float64Array.from([1, 2, 2, 1]), 2)).toBeNull();
  });
});
