import { describe, expect, it } from 'vitest';
import { FeaturePicker, ModelRowBuilder } from '../../../src/inference/feature-row.ts';
import type { ManifestFeature } from '../../../src/inference/model-manifest.ts';
import { specsOf, vectorOf } from './vectors.ts';

function wanted(id: string, change: Partial<ManifestFeature> = {}): ManifestFeature {
  return { id, unit: '1', formulaVersion: 1, params: {}, impute: 'refuse', min: 0, max: 10, ...change };
}

describe('FeaturePicker', () => {
  it('follows the order of the ids, not of the vector, and gives NaN for what is absent', () => {
    const picker = new FeaturePicker(['c.b', 'c.nope', 'c.a']);
    expect([...picker.pick(vectorOf({ startMs: 0, specs: specsOf(['a', 'b']), values: [1, 2] }))]).toEqual([
      2,
      Number.NaN,
      1,
    ]);
  });

  it('notices that a vector has another shape although the channel is the same', () => {
    const picker = new FeaturePicker(['c.a']);
    expect(picker.pick(vectorOf({ startMs: 0, specs: specsOf(['a', 'b']), values: [1, 2] }))[0]).toBe(1);
    expect(picker.pick(vectorOf({ startMs: 0, specs: specsOf(['b', 'a']), values: [3, 4] }))[0]).toBe(4);
  });

  it('tells channels apart that share one list of specs', () => {
    const specs = specsOf(['a']);
    const picker = new FeaturePicker(['x.a']);
    expect(picker.pick(vectorOf({ startMs: 0, channel: 'y', specs, values: [7] }))[0]).toBeNaN();
    expect(picker.pick(vectorOf({ startMs: 0, channel: 'x', specs, values: [8] }))[0]).toBe(8);
  });
});

describe('ModelRowBuilder', () => {
  const specs = specsOf(['a', 'b']);

  it('imputes, passes NaN on or refuses, as the manifest says for each feature', () => {
    const vector = vectorOf({ startMs: 0, specs, values: [Number.NaN, Number.NaN] });
    const build = (a: ManifestFeature['impute'], b: ManifestFeature['impute']) =>
      new ModelRowBuilder([wanted('c.a', { impute: a }), wanted('c.b', { impute: b })]).build(vector);
    expect(build(5, 'nan')).toMatchObject({ missing: '', values: Float64Array.of(5, Number.NaN) });
    expect(build(0, 'refuse').missing).toBe('c.b');
  });

  it('calls a row extrapolating beyond half a range outside the training range', () => {
    const builder = new ModelRowBuilder([wanted('c.a')]);
    const at = (value: number) =>
      builder.build(vectorOf({ startMs: 0, specs, values: [value, 0] })).extrapolating;
    expect([at(-5), at(15), at(5)]).toEqual([false, false, false]);
    expect([at(-5.01), at(15.01)]).toEqual([true, true]);
  });

  it('takes a feature of another unit, formula version or parameter for absent', () => {
    const vector = vectorOf({ startMs: 0, specs, values: [1, 2] });
    for (const change of [{ unit: 'mm/s' }, { formulaVersion: 2 }, { params: { windows: 10 } }]) {
      expect(new ModelRowBuilder([wanted('c.a', change)]).build(vector).missing).toBe('c.a');
    }
    expect(new ModelRowBuilder([wanted('c.a')]).build(vector).missing).toBe('');
  });
});
