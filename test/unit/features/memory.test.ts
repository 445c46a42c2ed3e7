/** proc.trend and usage over the life of a machine, and the bytes their memory is kept in. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MachineClassConfig } from '../../../src/config/schema.ts';
import type { Window } from '../../../src/domain/window.ts';
import { FeatureExtractor } from '../../../src/features/extractor.ts';
import {
  decodeFeatureState,
  emptyFeatureState,
  encodeFeatureState,
  type FeatureState,
} from '../../../src/features/feature-state.ts';
import { lcgGaussian } from './lcg.ts';
import { machineClass, scalar, windowOf } from './signals.ts';

const HOP_MS = 60_000;

const CYCLIC = machineClass({
  channels: { s2: { unit: 'degR', features: ['proc.trend'] }, load: { unit: 'kW', features: [] } },
  parameters: { running: { channel: 'load', above: 5 } },
  usage: true,
  window: { sizeMs: HOP_MS },
});

/** Window number i with one sample of each channel that is given. */
function cycle(i: number, s2: number | null, load: number | null = 10, revision = 0): Window {
  const at = i * HOP_MS;
  const slices = [
    ...(s2 === null ? [] : [scalar('s2', [at + 1000], [s2])]),
    ...(load === null ? [] : [scalar('load', [at + 1000], [load])]),
  ];
  return windowOf(slices, at, at + HOP_MS, revision);
}

type Features = Readonly<Record<string, number>>;

function features(extractor: FeatureExtractor, window: Window, state: FeatureState): Features {
  const entries = extractor
    .extract(window, state)
    .groups.flatMap(({ specs, values }) => specs.map((spec, i) => [spec.id, values[i]!] as const));
  return Object.fromEntries(entries);
}

function life(windows: readonly Window[], config: MachineClassConfig = CYCLIC): Features[] {
  const extractor = new FeatureExtractor(config);
  const state = emptyFeatureState();
  return windows.map((window) => features(extractor, window, state));
}

const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length;

/** Trend features straight from the definition, over the whole history. */
function byDefinition(history: readonly number[]): Features {
  const expected: Record<string, number> = { last: history.at(-1)! };
  expected['ewma.20'] = history.reduce((s, v) => (2 / 21) * v + (1 - 2 / 21) * s);
  expected['diff_initial'] = history.at(-1)! - mean(history.slice(0, 10));
  for (const w of [10, 30, 60]) {
    const y = history.slice(-w);
    const m = mean(y);
    const x = y.map((_, i) => i - (y.length - 1) / 2);
    expected[`mean.${w}`] = m;
    expected[`std.${w}`] = y.length < 2 ? Number.NaN : Math.sqrt(mean(y.map((v) => (v - m) ** 2)));
    const sxx = x.reduce((a, b) => a + b * b, 0);
    expected[`slope.${w}`] = x.reduce((a, b, i) => a + b * (y[i]! - m), 0) / sxx;
  }
  return expected;
}

describe('proc.trend', () => {
  it('equals the definition over the whole history at every age', () => {
    const history = [...lcgGaussian(200, 3)].map((v, i) => 600 + 0.02 * i + v);
    const computed = life(history.map((v, i) => cycle(i, v)));
    for (const [i, actual] of computed.entries()) {
      for (const [id, expected] of Object.entries(byDefinition(history.slice(0, i + 1)))) {
        if (Number.isNaN(expected)) expect(actual[id]).toBeNaN();
        else expect(actual[id]).toBeCloseTo(expected, 9);
      }
    }
  });

  it('has no spread or slope in the first window', () => {
    const [first] = life([cycle(0, 5)]);
    for (const id of ['std.10', 'std.60', 'slope.10', 'slope.60']) expect(first![id]).toBeNaN();
    expect([first!['last'], first!['ewma.20'], first!['diff_initial'], first!['mean.60']]).toEqual([
      5, 5, 0, 5,
    ]);
  });

  it('skips windows in which the channel said nothing', () => {
    const withGap = life([cycle(0, 1), cycle(1, null), cycle(5, 3)]);
    expect(withGap[1]!['ewma.20']).toBeNaN();
    expect(withGap[2]!['mean.10']).toBe(2);
    expect(withGap[2]!['slope.10']).toBe(2);
  });

  it('counts a revised window once: later windows are as if the correction had come first', () => {
    const values = [...lcgGaussian(80, 11)];
    const at = 70;
    const corrected = values.map((v, i) => (i === at ? 9 : v));
    const straight = life(corrected.map((v, i) => cycle(i, v)));
    const windows = values.slice(0, at + 3).map((v, i) => cycle(i, v));
    windows.push(cycle(at, 9, 10, 1), ...values.slice(at + 3).map((v, i) => cycle(at + 3 + i, v)));
    const revised = life(windows);
    expect(revised[at + 3]).toEqual(straight[at]);
    expect(revised.slice(at + 4)).toEqual(straight.slice(at + 3));
  });

  it('remembers as many windows as may still be revised', () => {
    const allowedLatenessMs = 20 * HOP_MS;
    const patient = { ...CYCLIC, window: { ...CYCLIC.window, allowedLatenessMs } };
    const values = [...lcgGaussian(200, 17)];
    const windows = values.map((v, i) => cycle(i, v));
    const revised = life([...windows, cycle(179, values[179]!, 10, 1)], patient);
    expect(revised.at(-1)).toEqual(revised[179]);
    expect(revised[179]!['mean.60']).not.toBeNaN();
  });

  it('does not pass off a part of the trailing windows as all of them', () => {
    const windows = Array.from({ length: 75 }, (_, i) => cycle(i, i));
    const revised = life([...windows, cycle(65, 65, 10, 1)]).at(-1)!;
    expect([revised['mean.30'], revised['mean.60'], revised['slope.60']]).toEqual([
      50.5,
      Number.NaN,
      Number.NaN,
    ]);
  });

  it('corrects the starting level when one of the first windows is revised', () => {
    const computed = life([cycle(0, 1), cycle(1, 3), cycle(0, 5, 10, 1), cycle(2, 10)]);
    expect(computed[2]!['diff_initial']).toBe(0);
    expect(computed[3]!['diff_initial']).toBe(10 - (5 + 3 + 10) / 3);
  });

  it('leaves a window older than its memory undefined and its memory alone', () => {
    const values = [...lcgGaussian(70, 2)];
    const extractor = new FeatureExtractor(CYCLIC);
    const state = emptyFeatureState();
    for (const [i, v] of values.entries()) features(extractor, cycle(i, v), state);
    const before = encodeFeatureState(state);
    const late = features(extractor, cycle(3, 1e6, 10, 1), state);
    expect([late['last'], late['ewma.20'], late['cycles']]).toEqual([1e6, Number.NaN, Number.NaN]);
    expect(encodeFeatureState(state)).toEqual(before);
  });
});

describe('usage', () => {
  it('counts cycles, running time, observed starts and age', () => {
    const loads = [10, 0, 0, 12, null, 11, 3, 8];
    const computed = life(loads.map((load, i) => cycle(i, 1, load)));
    expect(computed.map((f) => f['cycles'])).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(computed.map((f) => f['starts'])).toEqual([0, 0, 0, 1, 1, 1, 1, 2]);
    expect(computed.map((f) => Math.round(f['run_hours']! * 60))).toEqual([1, 1, 1, 2, 2, 3, 3, 4]);
    expect(computed.at(-1)!['age_h']).toBeCloseTo(8 / 60, 12);
  });

  it('takes every window as running, and knows no starts, without a rule', () => {
    const config = machineClass({
      channels: { s2: {} },
      usage: true,
      window: { sizeMs: HOP_MS, hopMs: 30_000 },
    });
    const computed = life([cycle(0, 1), cycle(1, 2)], config);
    expect(computed[1]!['run_hours']).toBeCloseTo(60_000 / 3_600_000, 12);
    expect(computed[1]!['starts']).toBeUndefined();
  });

  it('keeps exact counts over years of windows', () => {
    const extractor = new FeatureExtractor(CYCLIC);
    const state = emptyFeatureState();
    let last: Features = {};
    for (let i = 0; i < 20_000; i++) last = features(extractor, cycle(i, 1, i % 4 < 2 ? 10 : 0), state);
    expect([last['cycles'], last['starts'], last['run_hours']]).toEqual([20_000, 4999, 10_000 / 60]);
  });

  it('counts a revised window once', () => {
    const computed = life([cycle(0, 1, 0), cycle(1, 1, 0), cycle(1, 1, 9, 1), cycle(2, 1, 9)]);
    expect(computed.map((f) => f['cycles'])).toEqual([1, 2, 2, 3]);
    expect(computed.map((f) => f['starts'])).toEqual([0, 0, 1, 1]);
    expect(computed.map((f) => Math.round(f['run_hours']! * 60))).toEqual([0, 0, 1, 2]);
  });
});

describe('feature state', () => {
  /** Windows in any order, repeated, with gaps, values of any size. */
  const anyWindows = fc.array(
    fc.tuple(
      fc.integer({ min: 0, max: 150 }),
      fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
      fc.option(fc.constantFrom(0, 10)),
    ),
    { maxLength: 200 },
  );

  it('comes back from its bytes with the same bits, and goes on with the same features', () => {
    fc.assert(
      fc.property(anyWindows, fc.integer({ min: 0, max: 200 }), (cycles, cut) => {
        const extractor = new FeatureExtractor(CYCLIC);
        const kept = emptyFeatureState();
        let restored: FeatureState | null = null;
        for (const [i, [number, s2, load]] of cycles.entries()) {
          if (i === cut) restored = decodeFeatureState(encodeFeatureState(kept));
          const window = cycle(number, s2, load);
          const expected = features(extractor, window, kept);
          if (restored !== null) expect(features(extractor, window, restored)).toEqual(expected);
        }
        if (restored !== null) expect(encodeFeatureState(restored)).toEqual(encodeFeatureState(kept));
      }),
      { numRuns: 200 },
    );
  });

  it('is the same for windows in any order while all of them are remembered', () => {
    const numbered = fc.uniqueArray(fc.integer({ min: 0, max: 55 }), { minLength: 1 });
    fc.assert(
      fc.property(numbered, (order) => {
        const encode = (numbers: readonly number[]) => {
          const extractor = new FeatureExtractor(CYCLIC);
          const state = emptyFeatureState();
          for (const i of numbers) features(extractor, cycle(i, Math.sin(i), i % 3), state);
          return encodeFeatureState(state);
        };
        expect(encode(order)).toEqual(encode([...order].sort((a, b) => a - b)));
      }),
    );
  });

  it('costs well under a kilobyte a channel, however long the machine has run', () => {
    const extractor = new FeatureExtractor(CYCLIC);
    const state = emptyFeatureState();
    const noise = lcgGaussian(500, 1);
    for (const [i, value] of noise.entries()) features(extractor, cycle(i, value), state);
    expect(encodeFeatureState(state).length).toBeLessThan(900);
  });

  it('keeps any number of channels, of any name', () => {
    const extractor = new FeatureExtractor(machineClass({ channels: { '*': { features: ['proc.trend'] } } }));
    for (const channels of [1, 2, 3, 7, 40, 333]) {
      const state = emptyFeatureState();
      for (let i = 0; i < 66; i++) {
        const slices = Array.from({ length: channels }, (_, c) =>
          scalar(`Lager ${c} µ`, [i], [Math.sin(i * c)]),
        );
        extractor.extract(windowOf(slices, i * HOP_MS), state);
      }
      const restored = decodeFeatureState(encodeFeatureState(state));
      expect([...restored.trends.keys()].sort()).toEqual([...state.trends.keys()].sort());
      expect(restored).toEqual(state);
    }
  });

  it('refuses bytes it did not write', () => {
    const extractor = new FeatureExtractor(CYCLIC);
    const state = emptyFeatureState();
    for (let i = 0; i < 20; i++) features(extractor, cycle(i, i), state);
    const bytes = encodeFeatureState(state);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeFeatureState(bytes.subarray(0, length))).toThrow(/cannot be read/);
    }
    expect(() => decodeFeatureState(Uint8Array.of(...bytes, 0))).toThrow(/cannot be read/);
    expect(() => decodeFeatureState(Uint8Array.of(9, ...bytes.subarray(1)))).toThrow(/cannot be read/);
  });
});
