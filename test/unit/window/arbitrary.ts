/** Random plants for the properties of windows: class settings and streams of samples. */

import fc from 'fast-check';
import type { MachineClassConfig } from '../../../src/config/schema.ts';
import { classOf, FS, type Sample, T0 } from './plant.ts';

const CHANNELS = {
  b: { periodMs: 250 },
  a: {},
  w: { kind: 'waveform', sampleRateHz: FS, unit: 'g', samplesPerWindow: 20 },
  c: { required: false },
  d: { required: false },
  '*': {},
};
const NAMES = ['a', 'b', 'w', 'c', 'd', 'zeta', 'eta'] as const;

/** Channels that hold nobody back. */
export const OPTIONAL = new Set(['c', 'd']);

export interface Settings {
  readonly config: MachineClassConfig;
  readonly outOfOrderMs: number;
}

const cache = new Map<string, MachineClassConfig>();

/** Window settings; hops that do and do not divide the size. Idleness never sets in. */
export const settings: fc.Arbitrary<Settings> = fc
  .record({
    hopMs: fc.constantFrom(undefined, 1_000, 500, 300, 700, 999),
    offsetMs: fc.constantFrom(0, 1, 130, 299),
    outOfOrderMs: fc.constantFrom(0, 1, 200, 1_000, 3_500),
  })
  .map((window) => {
    const key = JSON.stringify(window);
    const config = cache.get(key) ?? classOf({ ...window, idleTimeoutMs: 86_400_000 }, CHANNELS);
    cache.set(key, config);
    return { config, outOfOrderMs: window.outOfOrderMs };
  });

const step = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(0, 0, 1, 20, 37, 250, 333.25, 999, 1_000) },
  { weight: 1, arbitrary: fc.constantFrom(2_500, 7_001, 3 * 86_400_000) },
);

const fields = fc.record({
  step,
  machine: fc.constantFrom('m1', 'm1', 'm2'),
  channel: fc.constantFrom(...NAMES),
  value: fc.constantFrom(0, -0, 1, 2.5, 1e-300, -7),
  n: fc.integer({ min: 1, max: 4 }),
  quality: fc.constantFrom(0, 0, 0, 1, 2),
  sequence: fc.constantFrom(0, 0, 1, 4_294_967_295),
});

/** A stream by event time, with ties and exact repeats. */
export function stream(maxLength: number): fc.Arbitrary<Sample[]> {
  return fc.array(fields, { maxLength, minLength: 1, size: 'max' }).map((rows) => {
    let timeMs = T0;
    return rows.map(({ step: stepMs, machine, channel, value, n, quality, sequence }) => {
      timeMs += stepMs;
      const block = Array.from({ length: n }, (_, i) => Math.fround(value + i));
      return { machine, channel, timeMs, value: channel === 'w' ? block : value, quality, sequence };
    });
  });
}

/** An order of arrival in which no sample is more than `outOfOrderMs` behind a newer one. */
export function arrival(
  samples: readonly Sample[],
  outOfOrderMs: number,
  shares: readonly number[],
): Sample[] {
  return samples
    .map((s, i) => {
      const share = shares[i % shares.length]!;
      return { s, at: s.timeMs + Math.floor(outOfOrderMs * share), tie: (share * 7_919) % 1 };
    })
    .sort((x, y) => x.at - y.at || x.tie - y.tie)
    .map(({ s }) => s);
}

/** Delays as shares of `outOfOrderMs`. */
export const delays = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 7, maxLength: 13 });
