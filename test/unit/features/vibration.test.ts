/** The vibration sets through the extractor: what a plant engineer would check by hand. */

import { describe, expect, it } from 'vitest';
import type { FeatureGroup } from '../../../src/domain/feature-vector.ts';
import type { WaveformSegment } from '../../../src/domain/window.ts';
import { FeatureExtractor } from '../../../src/features/extractor.ts';
import { emptyFeatureState } from '../../../src/features/feature-state.ts';
import { isoZone } from '../../../src/features/iso-severity.ts';
import { lcgGaussian } from './lcg.ts';
import { machineClass, sampled, segment, waveform, windowOf } from './signals.ts';

const TAU = 2 * Math.PI;
const BEARING = { rollingElements: 9, ballDiameter: 0.3126, pitchDiameter: 1.537 };

interface Setup {
  readonly features: readonly string[];
  readonly sampleRateHz: number;
  readonly unit?: string;
  readonly parameters?: Record<string, unknown>;
}

function extractor({ features, sampleRateHz, unit = 'g', parameters = {} }: Setup): FeatureExtractor {
  const de = { kind: 'waveform', unit, sampleRateHz, features };
  return new FeatureExtractor(machineClass({ channels: { de }, parameters }));
}

function compute(setup: Setup, segments: readonly WaveformSegment[]): Map<string, number> {
  const vector = extractor(setup).extract(windowOf([waveform('de', segments)]), emptyFeatureState());
  return byId(vector.groups[0]!);
}

function byId(group: FeatureGroup): Map<string, number> {
  return new Map(group.specs.map((spec, i) => [spec.id, group.values[i]!]));
}

function tone(amplitude: number, hz: number, sampleRateHz: number, phase = 0) {
  return (k: number) => amplitude * Math.sin((TAU * hz * k) / sampleRateHz + phase);
}

describe('vib.basic', () => {
  const setup: Setup = { features: ['vib.basic'], sampleRateHz: 1000 };

  it('reads level and shape off the signal without its mean', () => {
    const values = compute(setup, [
      segment(
        sampled(1000, (k) => 5 + tone(2, 50, 1000, 0.3)(k)),
        1000,
      ),
    ]);
    expect(values.get('mean')).toBeCloseTo(5, 6);
    expect(values.get('rms')).toBeCloseTo(Math.SQRT2, 6);
    expect(values.get('std')).toBeCloseTo(Math.SQRT2, 6);
    expect(values.get('kurtosis')).toBeCloseTo(1.5, 6);
    expect(values.get('crest_factor')).toBeLessThan(1.4143);
  });

  it('never reads across a gap: two half waves apart are not one', () => {
    const quiet = segment(sampled(400, tone(1, 50, 1000)), 1000, 0);
    const loud = segment(
      sampled(600, (k) => 100 + tone(3, 50, 1000)(k)),
      1000,
      500,
    );
    const values = compute(setup, [quiet, loud]);
    expect(values).toEqual(compute(setup, [loud]));
    expect(values.get('peak')).toBeCloseTo(3, 5);
  });

  it('takes the first of two equally long segments', () => {
    const first = segment(sampled(500, tone(1, 50, 1000)), 1000, 0);
    const second = segment(sampled(500, tone(2, 50, 1000)), 1000, 600);
    expect(compute(setup, [first, second])).toEqual(compute(setup, [first]));
  });

  it('says a constant has no level, and no shape at all, whatever its offset', () => {
    for (const offset of [0, 0.1, -9.81, 1e6]) {
      const values = compute(setup, [segment(new Float64Array(999).fill(offset), 1000)]);
      expect(values.get('mean')).toBe(Math.fround(offset));
      for (const id of ['rms', 'std', 'peak', 'peak_to_peak']) expect(values.get(id)).toBe(0);
      for (const id of ['crest_factor', 'shape_factor', 'impulse_factor', 'clearance_factor'])
        expect(values.get(id)).toBeNaN();
      for (const id of ['skewness', 'kurtosis']) expect(values.get(id)).toBeNaN();
    }
  });

  it('is undefined throughout for one sample, no segment, or samples that overflow', () => {
    for (const segments of [[], [segment([1], 1000)]]) {
      expect([...compute(setup, segments).values()].every(Number.isNaN)).toBe(true);
    }
    const huge = compute(setup, [segment([3e38, -3e38, 3e38, -3e38], 1000)]);
    expect([...huge.values()].some((v) => Math.abs(v) === Number.POSITIVE_INFINITY)).toBe(false);
  });
});

describe('vib.iso', () => {
  const parameters = { isoGroup: 2, isoSupport: 'rigid' };
  const setup: Setup = { features: ['vib.iso'], sampleRateHz: 10_240, parameters };
  const second = (f: (k: number) => number) => [segment(sampled(10_240, f), 10_240)];

  it('turns 1 g rms at 100 Hz into 15.6 mm/s and zone D', () => {
    const values = compute(setup, second(tone(Math.SQRT2, 100, 10_240)));
    expect(values.get('velocity_rms.10_1000')).toBeCloseTo(15.607768, 4);
    expect(values.get('iso_zone')).toBe(4);
  });

  it('gives the same velocity for the same motion in m/s2', () => {
    const inG = compute(setup, second(tone(0.1, 50, 10_240)));
    const metric = compute({ ...setup, unit: 'm/s2' }, second(tone(0.980665, 50, 10_240)));
    expect(metric.get('velocity_rms.10_1000')).toBeCloseTo(inG.get('velocity_rms.10_1000')!, 6);
  });

  it('is right within 0.1 % for lines between bins, at any phase', () => {
    for (const hz of [20.5, 24.7, 50.5, 99.37, 157.5, 742.31]) {
      for (const phase of [0, 0.7, 1.4, 2.1, 2.8]) {
        const values = compute(setup, second(tone(Math.SQRT2, hz, 10_240, phase)));
        const theory = (9.80665 * 1000) / (TAU * hz);
        expect(Math.abs(values.get('velocity_rms.10_1000')! / theory - 1)).toBeLessThan(1e-3);
      }
    }
  });

  it('is moved by less than 3 % by a tone off the bins below the band with ten times the level', () => {
    const wanted = (9.80665 * 100) / (TAU * 50);
    for (const hz of [3.1, 5.37, 5.5]) {
      for (const phase of [0, 0.8, 1.6, 2.4]) {
        const disturbed = (k: number) =>
          tone(Math.SQRT2, hz, 10_240, phase)(k) + tone(0.1 * Math.SQRT2, 50, 10_240)(k);
        const velocity = compute(setup, second(disturbed)).get('velocity_rms.10_1000')!;
        expect(Math.abs(velocity / wanted - 1)).toBeLessThan(0.03);
      }
    }
  });

  it('is not moved by a drift of the sensor across the record', () => {
    const drifting = (k: number) => (0.5 * k) / 10_240 + tone(0.01, 50, 10_240)(k);
    const steady = compute(setup, second(tone(0.01, 50, 10_240))).get('velocity_rms.10_1000')!;
    expect(compute(setup, second(drifting)).get('velocity_rms.10_1000')! / steady).toBeCloseTo(1, 1);
  });

  it('looks down to 2 Hz below 600 rpm, and then needs five seconds', () => {
    const slow: Setup = { features: ['vib.iso'], sampleRateHz: 2560, parameters: { shaftSpeedRpm: 300 } };
    const record = (seconds: number) => [segment(sampled(2560 * seconds, tone(0.01, 5, 2560)), 2560)];
    const theory = (0.01 * 9806.65) / Math.SQRT2 / (TAU * 5);
    expect(compute(slow, record(5)).get('velocity_rms.2_1000')! / theory).toBeCloseTo(1, 3);
    expect(compute(slow, record(4)).get('velocity_rms.2_1000')).toBeNaN();
  });

  it('is undefined for less than a second, for a splice of shorter stretches, and for a dead sensor', () => {
    const short = (t0Ms: number) => segment(sampled(9000, tone(1, 50, 10_240)), 10_240, t0Ms);
    expect(compute(setup, [short(0)]).get('velocity_rms.10_1000')).toBeNaN();
    expect(compute(setup, [short(0), short(2000)]).get('iso_zone')).toBeNaN();
    expect(
      compute(
        setup,
        second(() => 0.7),
      ).get('iso_zone'),
    ).toBeNaN();
  });

  it('puts a value on a limit into the lower zone', () => {
    const limits = { ab: 1.4, bc: 2.8, cd: 4.5 };
    const zones = [0, 1.4, 1.41, 2.8, 2.81, 4.5, 4.51].map((v) => isoZone(v, limits));
    expect(zones).toEqual([1, 1, 2, 2, 3, 3, 4]);
    expect(isoZone(Number.NaN, limits)).toBeNaN();
  });

  it('names its table and limits in the contract, and has no zone where no group is given', () => {
    const [group] = extractor(setup).schema();
    const limits = { ab: 1.4, bc: 2.8, cd: 4.5 };
    const table = { group: 2, support: 'rigid', table: 'ISO 10816-3:2009' };
    expect(group!.specs[1]!.params).toEqual({ ...limits, ...table, lowHz: 10, highHz: 1000 });
    const bare = extractor({ ...setup, parameters: {} }).schema()[0]!;
    expect(bare.specs.map((spec) => spec.id)).toEqual(['velocity_rms.10_1000']);
  });
});

describe('vib.spectral', () => {
  const setup: Setup = { features: ['vib.spectral'], sampleRateHz: 12_800 };

  it('splits the power into bands and finds the strongest line', () => {
    const mix = (k: number) => tone(1, 50, 12_800)(k) + tone(0.5, 2000, 12_800)(k);
    const values = compute(setup, [segment(sampled(12_800, mix), 12_800)]);
    expect(values.get('band_rms.10_100')).toBeCloseTo(Math.SQRT1_2, 3);
    expect(values.get('band_rms.1000_5000')).toBeCloseTo(0.5 * Math.SQRT1_2, 3);
    expect(values.get('band_rms.100_1000')).toBeLessThan(1e-3);
    expect(values.get('peak_freq')).toBe(50);
    expect(values.get('spectral_rolloff')).toBeGreaterThan(1990);
  });

  it('has no level in a band that a slower recording does not reach', () => {
    const values = compute(setup, [segment(lcgGaussian(4096, 1), 6400)]);
    expect(values.get('band_rms.1000_5000')).toBeNaN();
    expect(values.get('band_rms.100_1000')).toBeGreaterThan(0);
  });

  it('tells noise from a tone by flatness and entropy', () => {
    const noise = compute(setup, [segment(lcgGaussian(12_800, 9), 12_800)]);
    const line = compute(setup, [segment(sampled(12_800, tone(1, 1000, 12_800)), 12_800)]);
    expect(noise.get('spectral_flatness')).toBeGreaterThan(0.8);
    expect(noise.get('spectral_entropy')).toBeGreaterThan(0.97);
    expect(line.get('spectral_flatness')).toBeLessThan(1e-6);
    expect(line.get('spectral_entropy')).toBeLessThan(0.25);
  });
});

describe('vib.bearing', () => {
  const fs = 20_000;
  const parameters = { bearing: BEARING, shaftSpeedRpm: 1797 };
  const setup: Setup = { features: ['vib.bearing'], sampleRateHz: fs, parameters };

  /** Blows at a rate, ringing at 3.4 kHz, under a shaft tone and noise. */
  function struck(rateHz: number, seed: number): Float64Array {
    const noise = lcgGaussian(fs, seed);
    const x = sampled(fs, (k) => tone(1, 29.95, fs)(k) + 0.05 * noise[k]!);
    for (let blow = 0; blow < rateHz; blow++) {
      const at = Math.round((blow / rateHz) * fs);
      for (let j = 0; j < 400 && at + j < fs; j++) {
        x[at + j]! += 0.6 * Math.exp((-900 * j) / fs) * Math.sin((TAU * 3400 * j) / fs);
      }
    }
    return x;
  }

  it.each([
    ['bpfo', 3.5848],
    ['bpfi', 5.4152],
    ['bsf2', 4.7134],
  ])('points at %s when blows come at that rate, 1 %% slip included', (defect, order) => {
    const values = compute(setup, [segment(struck(order * 29.95 * 0.99, 4), fs)]);
    const snr = ['bpfo', 'bpfi', 'bsf2', 'ftf', 'shaft'].map((name) => values.get(`env_snr.${name}`)!);
    expect(values.get(`env_snr.${defect}`)).toBe(Math.max(...snr));
    expect(values.get(`env_snr.${defect}`)).toBeGreaterThan(25);
  });

  it('points at nothing in noise', () => {
    const values = compute(setup, [segment(lcgGaussian(fs, 8), fs)]);
    for (const name of ['bpfo', 'bpfi', 'bsf2']) expect(values.get(`env_snr.${name}`)).toBeLessThan(10);
    expect(Math.abs(values.get('sk_max')!)).toBeLessThan(1);
  });

  it('finds the resonance that rings: the most impulsive band holds 3.4 kHz', () => {
    const values = compute(setup, [segment(struck(107, 2), fs)]);
    const [centre, width] = [values.get('sk_fc')!, values.get('sk_bw')!];
    expect(Math.abs(3400 - centre)).toBeLessThanOrEqual(width);
    expect(values.get('sk_max')).toBeGreaterThan(3);
  });

  it('does not take the seam of the transform for a shock: a hum 60 dB above the noise changes nothing', () => {
    const shocks = struck(106, 4);
    const humming = shocks.map((value, k) => value + tone(50, 29.43, fs, 0.7)(k));
    const quiet = compute(setup, [segment(shocks, fs)]);
    const loud = compute(setup, [segment(humming, fs)]);
    for (const id of ['env_amp.bpfo', 'env_snr.bpfo', 'env_snr.bpfi', 'sk_max', 'hf_rms']) {
      expect(loud.get(id)! / quiet.get(id)!).toBeCloseTo(1, 3);
    }
    expect(loud.get('sk_fc')).toBe(quiet.get('sk_fc'));
  });

  it('finds no impulsive band in a hum over faint noise', () => {
    const noise = lcgGaussian(fs, 6);
    const hum = sampled(fs, (k) => tone(1, 29.43, fs)(k) + 0.001 * noise[k]!);
    expect(compute(setup, [segment(hum, fs)]).get('sk_max')).toBeLessThan(1);
  });

  it('measures the level inside the demodulation band', () => {
    const mix = (k: number) => tone(2, 500, fs)(k) + tone(0.1, 4000, fs)(k);
    const values = compute(setup, [segment(sampled(fs, mix), fs)]);
    expect(values.get('hf_rms')).toBeCloseTo(0.1 * Math.SQRT1_2, 6);
  });

  it('leaves slow lines undefined in a short record, as the cage in 0.1 s, and keeps the fast ones', () => {
    const values = compute(setup, [segment(struck(107, 3).subarray(0, 2000), fs)]);
    expect(values.get('env_snr.ftf')).toBeNaN();
    expect(values.get('env_snr.shaft')).toBeNaN();
    expect(values.get('env_snr.bpfo')).toBeGreaterThan(5);
  });

  it('is undefined throughout for a dead sensor', () => {
    const values = compute(setup, [segment(new Float64Array(fs).fill(0.3), fs)]);
    expect([...values.values()].every(Number.isNaN)).toBe(true);
  });
});
