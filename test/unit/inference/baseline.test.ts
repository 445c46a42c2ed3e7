import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configSchema, type MachineClassConfig } from '../../../src/config/schema.ts';
import type { FeatureVector } from '../../../src/domain/feature-vector.ts';
import type { StateWrite } from '../../../src/domain/state-write.ts';
import { Baseline } from '../../../src/inference/baseline.ts';
import { decodeBaseline, encodeBaseline } from '../../../src/inference/baseline-codec.ts';
import { Gaussian, healthyRow, specsOf, vectorOf } from './vectors.ts';

const HOP_MS = 10_000;
const SPECS = specsOf(['a', 'b', 'c', 'd', 'e']);

function classWith(baseline: object): MachineClassConfig {
  return configSchema.parse({
    machineClasses: {
      pump: {
        topics: ['t/{machine}/{channel}'],
        channels: { '*': {} },
        window: { sizeMs: HOP_MS },
        baseline: { minWindows: 40, minSpanMs: 0, ...baseline },
      },
    },
  }).machineClasses['pump']!;
}

function baselineWith(options: object): Baseline {
  const { baseline: config, window } = classWith(options);
  return new Baseline({ machine: 'm1', config, window });
}

function healthy(seed: number, count: number, from = 0): FeatureVector[] {
  const random = new Gaussian(seed);
  const rows = Array.from({ length: from + count }, () => healthyRow(random, SPECS.length));
  return rows.map((values, i) => vectorOf({ startMs: i * HOP_MS, specs: SPECS, values })).slice(from);
}

/** What the store holds after these writes. */
function apply(store: Map<string, Uint8Array>, writes: readonly StateWrite[]): void {
  for (const { key, value } of writes) {
    if (value === null) store.delete(key);
    else store.set(key, value);
  }
}

function restored(options: object, store: ReadonlyMap<string, Uint8Array>): Baseline {
  const baseline = baselineWith(options);
  for (const [key, value] of store) expect(baseline.restore(key, value), key).toBe(true);
  return baseline;
}

describe('Baseline', () => {
  it('learns from good windows until both their number and their span suffice', () => {
    const baseline = baselineWith({ minWindows: 20, minSpanMs: 30 * HOP_MS });
    const vectors = healthy(1, 31);
    const steps = vectors.map((vector) => baseline.take(vector, true));
    expect(steps.slice(0, 29).every((step) => step.kind === 'commissioning')).toBe(true);
    expect(steps[29]!.kind).toBe('monitoring');
    const progress = steps.map((step) => (step.kind === 'commissioning' ? step.progress : 1));
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(progress[14]).toBeCloseTo(0.5, 10);
  });

  it('learns nothing from windows that are not good', () => {
    const baseline = baselineWith({});
    for (const vector of healthy(2, 100)) expect(baseline.take(vector, false).writes).toEqual([]);
    expect(baseline.progress).toBe(0);
  });

  it('gives bit-identical parameters whatever restarts happen while it learns', () => {
    const vectors = healthy(3, 60);
    const options = { smoothingWindows: 3 };
    const straight = baselineWith(options);
    for (const vector of vectors) straight.take(vector, true);
    const expected = encodeBaseline(straight.fitted!);
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 59 }), { maxLength: 5 }), (restarts) => {
        const store = new Map<string, Uint8Array>();
        let baseline = baselineWith(options);
        let last: unknown;
        vectors.forEach((vector, i) => {
          if (restarts.includes(i)) baseline = restored(options, store);
          const step = baseline.take(vector, true);
          apply(store, step.writes);
          last = step.kind === 'monitoring' ? step.row : null;
        });
        expect(encodeBaseline(baseline.fitted!)).toEqual(expected);
        const again = straight.take(vectors.at(-1)!, true);
        expect(last).toEqual(again.kind === 'monitoring' ? again.row : null);
      }),
      { numRuns: 40 },
    );
  });

  it('leaves only the fitted model in the store once it is fitted', () => {
    const store = new Map<string, Uint8Array>();
    const baseline = baselineWith({});
    for (const vector of healthy(4, 41)) apply(store, baseline.take(vector, true).writes);
    expect([...store.keys()]).toEqual(['baseline.model']);
    const stored = decodeBaseline(store.get('baseline.model')!)!;
    expect(encodeBaseline(stored)).toEqual(store.get('baseline.model'));
  });

  it('never adapts after the fit: a machine that drifts away stays measured against its healthy self', () => {
    const baseline = baselineWith({});
    for (const vector of healthy(5, 40)) baseline.take(vector, true);
    const before = encodeBaseline(baseline.fitted!);
    for (const vector of healthy(6, 500, 40)) baseline.take(vector, true);
    expect(encodeBaseline(baseline.fitted!)).toEqual(before);
  });

  it('holds a bounded number of observations however long the commissioning', () => {
    const store = new Map<string, Uint8Array>();
    const baseline = baselineWith({ minSpanMs: 5_000 * HOP_MS });
    let largest = 0;
    for (const vector of healthy(7, 4_000)) {
      apply(store, baseline.take(vector, true).writes);
      largest = Math.max(largest, store.size);
    }
    expect(largest).toBeLessThan(610);
    expect(baseline.progress).toBeCloseTo(0.8, 2);
    expect(restored({ minSpanMs: 5_000 * HOP_MS }, store).progress).toBe(baseline.progress);
  });

  it('takes a revised window in place of its first version', () => {
    const vectors = healthy(8, 40);
    const corrected = baselineWith({});
    for (const vector of vectors) corrected.take(vector, true);
    const revised = baselineWith({});
    for (const [i, vector] of vectors.slice(0, 39).entries()) {
      if (i === 20)
        revised.take({ ...vector, groups: [{ ...vector.groups[0]!, values: new Float64Array(5) }] }, true);
      else revised.take(vector, true);
    }
    revised.take({ ...vectors[20]!, revision: 1 }, true);
    revised.take(vectors[39]!, true);
    expect(encodeBaseline(revised.fitted!)).toEqual(encodeBaseline(corrected.fitted!));
  });

  it('watches what the patterns name, and channels that appear later', () => {
    const baseline = baselineWith({ features: ['c.?', 'extra.*'], minWindows: 30 });
    const random = new Gaussian(9);
    for (const [i, vector] of healthy(9, 32).entries()) {
      const values = Float64Array.of(random.next(), random.next());
      const specs = specsOf(['x', 'y']);
      const extra = {
        channel: i < 1 ? 'other' : 'extra',
        specs,
        values,
        coverage: 1,
        quality: 'good' as const,
      };
      baseline.take({ ...vector, groups: [...vector.groups, extra] }, true);
    }
    const ids = baseline.fitted!.features.map(({ id }) => id);
    expect(ids).toEqual(['c.a', 'c.b', 'c.c', 'c.d', 'c.e', 'extra.x', 'extra.y']);
  });

  it('starts over when a watched feature is in another unit or the window changed', () => {
    const store = new Map<string, Uint8Array>();
    const baseline = baselineWith({});
    for (const vector of healthy(10, 41)) apply(store, baseline.take(vector, true).writes);
    const inOtherUnit = vectorOf({ startMs: 41 * HOP_MS, specs: specsOf(['a'], 'mm/s'), values: [1] });
    const step = baseline.take(inOtherUnit, true);
    expect(step.kind).toBe('commissioning');
    apply(store, step.writes);
    expect(store.has('baseline.model')).toBe(false);
    const { baseline: config, window } = classWith({});
    const other = new Baseline({ machine: 'm1', config, window: { ...window, sizeMs: 20_000 } });
    expect(other.restore('baseline.model', encodeBaseline(fittedOn(11)))).toBe(false);
    expect(other.progress).toBe(0);
  });

  it('rejects damaged state instead of scoring with it', () => {
    const bytes = encodeBaseline(fittedOn(12));
    expect(decodeBaseline(bytes.subarray(0, bytes.length - 8))).toBeNull();
    expect(decodeBaseline(bytes.subarray(0, 20))).toBeNull();
    expect(decodeBaseline(new Uint8Array(64))).toBeNull();
    expect(baselineWith({}).restore('baseline.obs/5', new Uint8Array(7))).toBe(false);
    expect(baselineWith({}).restore('baseline.unheard-of', new Uint8Array(8))).toBe(false);
  });

  it('puts undefined features at the centre and says how many there were', () => {
    const baseline = baselineWith({});
    for (const vector of healthy(13, 40)) baseline.take(vector, true);
    const { fit } = baseline.fitted!;
    const values = [Number.NaN, ...fit.center.slice(1)];
    const step = baseline.take(vectorOf({ startMs: 99 * HOP_MS, specs: SPECS, values }), true);
    if (step.kind !== 'monitoring') throw new Error('expected monitoring');
    expect(step.missingShare).toBeCloseTo(0.2, 12);
    expect([...step.row]).toEqual([...fit.center]);
  });

  it('starts over when nothing it saw can be watched', () => {
    const baseline = baselineWith({});
    for (let i = 0; i < 60; i++) {
      const step = baseline.take(
        vectorOf({ startMs: i * HOP_MS, specs: SPECS, values: [1, 1, 1, 1, 1] }),
        true,
      );
      expect(step.kind).toBe('commissioning');
    }
    expect(baseline.progress).toBeCloseTo(20 / 40, 10);
  });
});

function fittedOn(seed: number): NonNullable<Baseline['fitted']> {
  const baseline = baselineWith({});
  for (const vector of healthy(seed, 40)) baseline.take(vector, true);
  return baseline.fitted!;
}
