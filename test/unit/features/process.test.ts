/** proc.basic: what a historian would compute from the same samples. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ScalarSlice } from '../../../src/domain/window.ts';
import { FeatureExtractor } from '../../../src/features/extractor.ts';
import { emptyFeatureState } from '../../../src/features/feature-state.ts';
import { machineClass, scalar, windowOf } from './signals.ts';

function compute(
  slice: ScalarSlice,
  channel: Record<string, unknown> = {},
  endMs = 60_000,
): Map<string, number> {
  const extractor = new FeatureExtractor(machineClass({ channels: { temp: { unit: 'degC', ...channel } } }));
  const { groups } = extractor.extract(windowOf([slice], 0, endMs), emptyFeatureState());
  return new Map(groups[0]!.specs.map((spec, i) => [spec.id, groups[0]!.values[i]!]));
}

describe('proc.basic', () => {
  it('summarises the samples of the window', () => {
    const values = compute(scalar('temp', [0, 10_000, 20_000, 30_000], [10, 12, 11, 15]));
    expect(values.get('mean')).toBe(12);
    expect(values.get('std')).toBeCloseTo(Math.sqrt(3.5), 12);
    expect(values.get('std_sample')).toBeCloseTo(Math.sqrt(14 / 3), 12);
    expect([values.get('min'), values.get('max'), values.get('last')]).toEqual([10, 15, 15]);
    expect([values.get('delta'), values.get('count')]).toEqual([5, 4]);
  });

  it('gives the slope per hour of a straight line, at any sampling and any epoch', () => {
    const start = 1_700_000_000_000;
    const times = [0, 1, 7, 30, 31, 59].map((s) => start + 1000 * s);
    const slice = scalar(
      'temp',
      times,
      times.map((t) => 20 + (3.6 * (t - start)) / 3_600_000),
    );
    expect(compute(slice).get('slope_per_h')).toBeCloseTo(3.6, 9);
  });

  it('has a level but no spread, slope or delta of a single sample', () => {
    const values = compute(scalar('temp', [5000], [42]));
    expect([values.get('mean'), values.get('last'), values.get('count')]).toEqual([42, 42, 1]);
    for (const id of ['std', 'std_sample', 'slope_per_h', 'delta']) expect(values.get(id)).toBeNaN();
  });

  it('has no slope when all samples share one time', () => {
    expect(compute(scalar('temp', [5000, 5000], [1, 2])).get('slope_per_h')).toBeNaN();
  });

  it('never says Infinity, even for samples at the end of the number range', () => {
    const values = compute(scalar('temp', [0, 1], [1e308, -1e308]));
    for (const value of values.values()) expect(Math.abs(value)).not.toBe(Number.POSITIVE_INFINITY);
    expect(values.get('std')).toBeNaN();
  });

  it('stays between minimum and maximum with mean and time-weighted mean, whatever comes', () => {
    const sample = fc.tuple(
      fc.integer({ min: 0, max: 59_999 }),
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    );
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 50 }), (samples) => {
        samples.sort(([a], [b]) => a - b);
        const slice = scalar(
          'temp',
          samples.map(([t]) => t),
          samples.map(([, v]) => v),
        );
        const values = compute(slice);
        const slack = 1e-9 * Math.max(1, Math.abs(values.get('min')!), Math.abs(values.get('max')!));
        for (const id of ['mean', 'twa', 'last']) {
          expect(values.get(id)).toBeGreaterThanOrEqual(values.get('min')! - slack);
          expect(values.get(id)).toBeLessThanOrEqual(values.get('max')! + slack);
        }
      }),
    );
  });
});

describe('twa', () => {
  it('weighs each value by how long it stood, the one before the window included', () => {
    // 20 for 6 s from before, 50 for 24 s, 10 for 30 s.
    const slice = scalar('temp', [6000, 30_000], [50, 10], { timeMs: -90_000, value: 20 });
    expect(compute(slice).get('twa')).toBeCloseTo((20 * 6 + 50 * 24 + 10 * 30) / 60, 12);
  });

  it('counts only covered time when nothing came before', () => {
    expect(compute(scalar('temp', [30_000], [7])).get('twa')).toBe(7);
  });

  it('lets a value stand for three declared periods, and weighs nothing beyond', () => {
    // Period 1 s: 10 stands 0-3 s, 20 stands 50-53 s; 47 s are unknown.
    const slice = scalar('temp', [0, 50_000], [10, 20]);
    expect(compute(slice, { periodMs: 1000 }).get('twa')).toBe(15);
    expect(compute(slice).get('twa')).toBeCloseTo((10 * 50 + 20 * 10) / 60, 12);
  });

  it('does not let an old held value into the window', () => {
    const slice = scalar('temp', [30_000], [5], { timeMs: -10_000, value: 99 });
    expect(compute(slice, { periodMs: 1000 }).get('twa')).toBe(5);
  });
});
