/** The extractor: order, names, mistakes in the configuration, and independence of everything computed before. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChannelSlice } from '../../../src/domain/window.ts';
import { GatewayError } from '../../../src/errors.ts';
import { FeatureExtractor } from '../../../src/features/extractor.ts';
import { emptyFeatureState } from '../../../src/features/feature-state.ts';
import { lcgGaussian } from './lcg.ts';
import { machineClass, scalar, segment, waveform, windowOf } from './signals.ts';

const PARAMETERS = {
  shaftSpeedRpm: 1797,
  bearing: { rollingElements: 9, ballDiameter: 0.3126, pitchDiameter: 1.537 },
  isoGroup: 1,
  isoSupport: 'rigid',
};

const VIBRATION = {
  kind: 'waveform',
  unit: 'g',
  sampleRateHz: 12_800,
  features: ['vib.basic', 'vib.spectral', 'vib.iso', 'vib.bearing'],
};

const PUMP = machineClass({
  channels: {
    temp: { unit: 'degC' },
    de: VIBRATION,
    flow: { features: [] },
    '*': { features: ['proc.trend'] },
  },
  parameters: PARAMETERS,
  usage: true,
});

function ids(groups: readonly { channel: string; specs: readonly { id: string }[] }[]): string[][] {
  return groups.map(({ channel, specs }) => [channel, ...specs.map((spec) => spec.id)]);
}

describe('FeatureExtractor', () => {
  it('announces every declared channel with features, in configured order, the machine last', () => {
    expect(ids(new FeatureExtractor(PUMP).schema()).map(([channel]) => channel)).toEqual(['temp', 'de', '']);
  });

  it('gives the groups of the schema for every window, missing channels undefined, wildcard ones in between', () => {
    const extractor = new FeatureExtractor(PUMP);
    const { groups } = extractor.extract(windowOf([scalar('oil', [1], [3])]), emptyFeatureState());
    expect(groups.map((group) => group.channel)).toEqual(['temp', 'de', 'oil', '']);
    expect(ids(groups.filter((group) => group.channel !== 'oil'))).toEqual(ids(extractor.schema()));
    expect(groups[0]!.values.every(Number.isNaN)).toBe(true);
    expect([groups[0]!.coverage, groups[0]!.quality]).toEqual([0, 'bad']);
    expect(groups[3]!.values[0]).toBe(1);
  });

  it('has unique ids in every group, and a finite number of parameters that survive JSON', () => {
    const both = machineClass({
      channels: { t: { features: ['proc.trend', 'proc.basic', 'proc.basic'] }, de: VIBRATION },
      parameters: PARAMETERS,
    });
    for (const { specs } of new FeatureExtractor(both).schema()) {
      expect(new Set(specs.map((spec) => spec.id)).size).toBe(specs.length);
      for (const { params } of specs) {
        expect(JSON.parse(JSON.stringify(params))).toEqual(params);
        expect(Object.keys(params)).toEqual(Object.keys(params).sort());
      }
    }
  });

  it('computes `last` once for a channel with both process sets, with one meaning', () => {
    const at = (features: string[]) => {
      const extractor = new FeatureExtractor(machineClass({ channels: { t: { features } } }));
      const { groups } = extractor.extract(windowOf([scalar('t', [1, 2], [3, 8])]), emptyFeatureState());
      const last = groups[0]!.specs.flatMap((spec, i) => (spec.id === 'last' ? [groups[0]!.values[i]] : []));
      expect(last).toEqual([8]);
    };
    at(['proc.trend']);
    at(['proc.basic', 'proc.trend']);
    at(['proc.trend', 'proc.basic']);
  });

  it('says whether it needs a state', () => {
    expect(new FeatureExtractor(PUMP).stateful).toBe(true);
    expect(new FeatureExtractor(machineClass({ channels: { t: {} } })).stateful).toBe(false);
  });

  it('leaves a slice of the wrong kind undefined', () => {
    const { groups } = new FeatureExtractor(PUMP).extract(
      windowOf([scalar('de', [1], [1])]),
      emptyFeatureState(),
    );
    expect(groups[1]!.values.every(Number.isNaN)).toBe(true);
  });

  it('gives equal bits for equal windows, whatever was computed before and on whatever machine', () => {
    const slices = (seed: number): ChannelSlice[] => {
      const n = 9000 + 700 * (seed % 7);
      const times = Array.from({ length: 20 }, (_, i) => 1000 * i);
      return [
        scalar('temp', times, [...lcgGaussian(20, seed)]),
        waveform('de', [segment(lcgGaussian(n, seed), 12_800), segment(lcgGaussian(50, seed), 12_800, 5000)]),
      ];
    };
    const alone = (seed: number) =>
      new FeatureExtractor(PUMP).extract(windowOf(slices(seed)), emptyFeatureState());
    const order = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(order, (seeds) => {
        const shared = new FeatureExtractor(PUMP);
        const vectors = seeds.map((seed) => shared.extract(windowOf(slices(seed)), emptyFeatureState()));
        expect(vectors).toEqual(seeds.map(alone));
      }),
      { numRuns: 10 },
    );
  });
});

describe('a mistake in the machine class', () => {
  const wave = (change: Record<string, unknown>, parameters: Record<string, unknown> = PARAMETERS) => ({
    channels: { de: { ...VIBRATION, ...change } },
    parameters,
  });
  const { bearing, shaftSpeedRpm } = PARAMETERS;

  it.each([
    ['a vibration set on a number', { channels: { t: { features: ['vib.basic'] } } }, 'channels.t.features'],
    ['a process set on a waveform', wave({ features: ['proc.basic'] }), 'channels.de.features'],
    ['usage on a channel', { channels: { t: { features: ['usage'] } } }, 'channels.t.features'],
    ['vib.iso on a velocity', wave({ unit: 'mm/s', features: ['vib.iso'] }), 'channels.de.unit'],
    [
      'vib.iso below 2106 Hz',
      wave({ sampleRateHz: 2100, features: ['vib.iso'] }),
      'channels.de.sampleRateHz',
    ],
    ['a zone without the support', wave({ features: ['vib.iso'] }, { isoGroup: 2 }), 'parameters.isoSupport'],
    [
      'a zone without the group',
      wave({ features: ['vib.iso'] }, { isoSupport: 'rigid' }),
      'parameters.isoGroup',
    ],
    ['no bearing', wave({ features: ['vib.bearing'] }, { shaftSpeedRpm }), 'parameters.bearing'],
    ['no shaft speed', wave({ features: ['vib.bearing'] }, { bearing }), 'parameters.shaftSpeedRpm'],
    [
      'no sample rate',
      wave({ sampleRateHz: undefined, features: ['vib.bearing'] }),
      'channels.de.sampleRateHz',
    ],
    [
      'too slow to demodulate',
      wave({ sampleRateHz: 6000, features: ['vib.bearing'] }),
      'channels.de.sampleRateHz',
    ],
    [
      'a demodulation band narrower than the lines searched',
      wave({}, { ...PARAMETERS, envelopeBandHz: [3000, 3200] }),
      'parameters.envelopeBandHz',
    ],
    [
      'a demodulation band beyond the spectrum',
      wave({}, { ...PARAMETERS, envelopeBandHz: [3000, 9000] }),
      'parameters.envelopeBandHz',
    ],
    [
      'balls larger than the pitch',
      wave({}, { ...PARAMETERS, bearing: { ...bearing, ballDiameter: 2 } }),
      'parameters.bearing.ballDiameter',
    ],
    [
      'a running channel that does not exist',
      { channels: { t: {} }, usage: true, parameters: { running: { channel: 'constructor', above: 1 } } },
      'parameters.running.channel',
    ],
  ])('is refused, naming the key: %s', (_, input, key) => {
    const config = machineClass(input);
    let refusal: unknown = null;
    try {
      new FeatureExtractor(config);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(GatewayError);
    expect((refusal as GatewayError).code).toBe('MW_CONFIG_INVALID');
    expect((refusal as GatewayError).details['key']).toBe(key);
    expect((refusal as GatewayError).message).toContain(key);
  });

  it('is not seen where there is none: the whole vibration class is accepted', () => {
    expect(() => new FeatureExtractor(PUMP)).not.toThrow();
  });
});
