import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram, LATENCY_BOUNDS_S } from '../../../src/telemetry/histogram.ts';
import type { MetricName } from '../../../src/telemetry/metrics.ts';

// The class does not look at the table: any name serves here.
const NAME: MetricName = 'millwright_store_commits_total';

describe('Histogram', () => {
  it('counts a value on a bound into the bucket of that bound', () => {
    const histogram = new Histogram(NAME, [1, 2]);
    for (const value of [0.5, 1, 1.5, 2, 3]) histogram.observe(value);
    expect(histogram.metrics()).toEqual([
      { name: NAME, suffix: '_bucket', labels: { le: '1' }, value: 2 },
      { name: NAME, suffix: '_bucket', labels: { le: '2' }, value: 4 },
      { name: NAME, suffix: '_bucket', labels: { le: '+Inf' }, value: 5 },
      { name: NAME, suffix: '_sum', labels: {}, value: 8 },
      { name: NAME, suffix: '_count', labels: {}, value: 5 },
    ]);
  });

  it('estimates quantiles as PromQL does', () => {
    const histogram = new Histogram(NAME, [1, 2, 4]);
    for (const value of [0.2, 1.1, 1.2, 1.3, 1.4, 3, 3, 3, 3, 3]) histogram.observe(value);
    // Rank 5 of 10 is the end of bucket (1, 2]; rank 7.5 is half of the way through (2, 4]; rank 1 ends (0, 1].
    expect(histogram.quantile(0.5)).toBe(2);
    expect(histogram.quantile(0.75)).toBe(3);
    expect(histogram.quantile(0.1)).toBe(1);
    expect(histogram.quantile(1)).toBe(4);
  });

  it('answers the largest bound for what lies beyond it, and NaN while empty', () => {
    const histogram = new Histogram(NAME, [1, 2]);
    expect(histogram.quantile(0.5)).toBeNaN();
    histogram.observe(100);
    expect(histogram.quantile(0.99)).toBe(2);
  });

  it('ignores NaN', () => {
    const histogram = new Histogram(NAME, [1]);
    histogram.observe(Number.NaN);
    expect([histogram.count, histogram.sum]).toEqual([0, 0]);
  });

  it('agrees with counting by hand, and its quantile lies in the bucket of the true one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 29, noNaN: true }), { minLength: 1 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, q) => {
          const histogram = new Histogram(NAME, LATENCY_BOUNDS_S);
          for (const value of values) histogram.observe(value);
          for (const { labels, suffix, value } of histogram.metrics()) {
            if (suffix !== '_bucket') continue;
            const le = labels!['le'] === '+Inf' ? Infinity : Number(labels!['le']);
            expect(value).toBe(values.filter((v) => v <= le).length);
          }
          const exact = [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(q * values.length) - 1)]!;
          const upper = LATENCY_BOUNDS_S.findIndex((bound) => exact <= bound);
          expect(histogram.quantile(q)).toBeLessThanOrEqual(LATENCY_BOUNDS_S[upper]!);
          expect(histogram.quantile(q)).toBeGreaterThanOrEqual(
            upper === 0 ? 0 : LATENCY_BOUNDS_S[upper - 1]!,
          );
        },
      ),
    );
  });
});
