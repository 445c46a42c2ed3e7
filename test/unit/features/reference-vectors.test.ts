/** The features against values computed by numpy and scipy (test/fixtures/reference_vectors.json). */

import { describe, expect, it } from 'vitest';
import { bearingOrders } from '../../../src/features/bearing-geometry.ts';
import { binsWithin, EnvelopeSpectrum } from '../../../src/features/envelope.ts';
import { FftPlans } from '../../../src/features/fft.ts';
import { amplitudesOf, kurtosis, momentsOf, skewness } from '../../../src/features/moments.ts';
import { ewmaStep } from '../../../src/features/online.ts';
import { slope } from '../../../src/features/process-basic.ts';
import { bandPower, spectralShape } from '../../../src/features/spectral-shape.ts';
import { VelocityBand } from '../../../src/features/velocity.ts';
import { hannTaper, Welch } from '../../../src/features/welch.ts';
import reference from '../../fixtures/reference_vectors.json' with { type: 'json' };
import { lcg, lcgGaussian } from './lcg.ts';
import { sampled, signalOf } from './signals.ts';

/** Relative agreement; `scale` is the size below which a difference is rounding. */
function expectClose(actual: number, expected: number, relative: number, scale = 0): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(relative * Math.max(Math.abs(expected), scale));
}

const TAU = 2 * Math.PI;

/** By the `gen` text of a vector; a new vector in the file without its generator here fails its test. */
const TIME_DOMAIN_INPUTS: Readonly<Record<string, Float64Array>> = {
  'sine: 2*sin(2*pi*50*k/1000+0.3), k=0..999': sampled(
    1000,
    (k) => 2 * Math.sin((TAU * 50 * k) / 1000 + 0.3),
  ),
  'sine+dc: 5+2*sin(2*pi*50*k/1000+0.3)': sampled(1000, (k) => 5 + 2 * Math.sin((TAU * 50 * k) / 1000 + 0.3)),
  'square: +1 for 10, -1 for 10, repeated, N=1000': sampled(1000, (k) => (k % 20 < 10 ? 1 : -1)),
  'impulses: 1 where k%100==0 else 0, N=1000': sampled(1000, (k) => (k % 100 === 0 ? 1 : 0)),
  'ramp: 0..9': sampled(10, (k) => k),
  'lcg uniform: lcg(1000,seed=1)-0.5': lcg(1000, 1).map((u) => u - 0.5),
  'lcg sum of 12 uniforms - 6 (approx gaussian), 1000 values from lcg(12000,seed=7)': lcgGaussian(1000, 7),
  'outlier vector [1..9,100]': sampled(10, (k) => (k < 9 ? k + 1 : 100)),
};

describe('time domain', () => {
  it.each(reference.time_domain)('agrees with numpy and scipy on $gen', ({ gen, expect: wanted }) => {
    const x = TIME_DOMAIN_INPUTS[gen]!;
    const n = x.length;
    const moments = momentsOf(x, n);
    const { peak, rms, meanAbs, squaredMeanRoot } = amplitudesOf(x, n);
    const close = (actual: number, expected: number) => expectClose(actual, expected, 1e-9, 1e-6);
    expect(n).toBe(wanted.n);
    close(moments.mean, wanted.mean);
    close(Math.sqrt(moments.m2), wanted.std);
    close(Math.sqrt((moments.m2 * n) / (n - 1)), wanted.std_sample);
    close(rms, wanted.rms);
    close(peak, wanted.peak);
    close(moments.max - moments.min, wanted.peak_to_peak);
    expect(moments.min).toBe(wanted.min);
    expect(moments.max).toBe(wanted.max);
    close(meanAbs, wanted.mean_abs);
    close(peak / rms, wanted.crest_factor);
    close(rms / meanAbs, wanted.shape_factor);
    close(peak / meanAbs, wanted.impulse_factor);
    close(peak / squaredMeanRoot, wanted.clearance_factor);
    close(skewness(moments), wanted.skewness);
    close(kurtosis(moments), wanted.kurtosis);
    close(kurtosis(moments) - 3, wanted.kurtosis_excess);
    close(
      slope(
        sampled(n, (k) => k),
        x,
        moments.mean,
      ),
      wanted.slope_per_sample,
    );
  });

  it('approaches the theory of a sine with many samples at an incommensurate frequency', () => {
    const x = sampled(1_000_000, (k) => Math.sin(0.1234567 * k + 0.3));
    const { peak, rms, meanAbs, squaredMeanRoot } = amplitudesOf(x, x.length);
    const theory = reference.time_domain_theory.sine;
    expect(peak / rms).toBeCloseTo(theory.crest_factor, 4);
    expect(rms / meanAbs).toBeCloseTo(theory.shape_factor, 4);
    expect(peak / meanAbs).toBeCloseTo(theory.impulse_factor, 4);
    expect(peak / squaredMeanRoot).toBeCloseTo(theory.clearance_factor, 4);
    expect(kurtosis(momentsOf(x, x.length))).toBeCloseTo(theory.kurtosis, 4);
  });
});

const WELCH_INPUTS: Readonly<Record<string, Float64Array>> = {
  'sine: 2*sin(2*pi*50*k/1000+0.3), k=0..999': sampled(
    1000,
    (k) => 2 * Math.sin((TAU * 50 * k) / 1000 + 0.3),
  ),
  'lcg gaussian (seed 7, N=1000)': lcgGaussian(1000, 7),
  '[1,2,4,7,11,16,22,29,37,46,56,67,79,92,106,121], fs=16': sampled(16, (k) => 1 + (k * (k + 1)) / 2),
};

describe('spectra', () => {
  it.each(reference.welch)('match scipy.signal.welch, $scaling of $gen', (vector) => {
    const x = WELCH_INPUTS[vector.gen]!;
    const { density, binHz } = new Welch(new FftPlans(), vector.nperseg).density(x, x.length, vector.fs)!;
    // ENBW of the periodic Hann taper is exactly 1.5 bins.
    const power = vector.scaling === 'spectrum' ? density.map((s) => s * 1.5 * binHz) : density;
    const largest = vector.max;
    expect(power.length).toBe(vector.n_bins);
    expectClose(binHz, vector.df, 1e-12);
    const peak = power.indexOf(Math.max(...power));
    expectClose(peak * binHz, vector.argmax_hz, 1e-12);
    expectClose(power[peak]!, vector.max, 1e-9);
    if (vector.left !== null) expectClose(power[peak - 1]!, vector.left, 1e-9, largest);
    if (vector.right !== null) expectClose(power[peak + 1]!, vector.right, 1e-9, largest);
    expectClose(power.reduce((a, b) => a + b) * binHz, vector.sum_times_df, 1e-9);
    for (const [k, wanted] of vector.first_bins.entries())
      expectClose(power[k]!, wanted, 1e-9, 1e-3 * largest);
  });

  it('taper with the periodic Hann window', () => {
    const { N, sum, sum_sq, enbw_bins, w1, scallop_loss_db } = reference.hann;
    const taper = hannTaper(N);
    const total = taper.reduce((a, b) => a + b);
    const squares = taper.reduce((a, b) => a + b * b, 0);
    expectClose(total, sum, 1e-12);
    expectClose(squares, sum_sq, 1e-12);
    expectClose((N * squares) / total ** 2, enbw_bins, 1e-12);
    expectClose(taper[1]!, w1, 1e-9);
    const re = taper.reduce((a, w, k) => a + w * Math.cos((Math.PI * k) / N), 0);
    const im = taper.reduce((a, w, k) => a + w * Math.sin((Math.PI * k) / N), 0);
    expectClose(20 * Math.log10(Math.hypot(re, im) / total), scallop_loss_db, 1e-9);
  });

  it('have the shape and the band powers scipy gives, DC included', () => {
    const vector = reference.spectral[0]!;
    const noise = lcgGaussian(1000, 7);
    const tones = (k: number) =>
      Math.sin((TAU * 50 * k) / 1000 + 0.3) + 0.5 * Math.sin((TAU * 120 * k) / 1000 + 1.1);
    const x = sampled(1000, (k) => tones(k) + 0.1 * noise[k]!);
    const density = new Welch(new FftPlans(), 250).density(x, 1000, 1000)!;
    const shape = spectralShape(density, 0)!;
    expectClose(shape.centroidHz, vector.expect.spectral_centroid, 1e-9);
    expectClose(shape.spreadHz, vector.expect.spectral_spread, 1e-9);
    expectClose(shape.rolloffHz, vector.expect.spectral_rolloff_95, 1e-9);
    expectClose(shape.flatness, vector.expect.spectral_flatness, 1e-9);
    expectClose(shape.entropy, vector.expect.spectral_entropy_norm, 1e-9);
    expectClose(bandPower(density, 40, 60), vector.band_power_40_60, 1e-9);
    expectClose(bandPower(density, 110, 130), vector.band_power_110_130, 1e-9);
    expectClose(bandPower(density, 0, 500), vector.total_power, 1e-9);
    expect([48, 52]).toContain(shape.peakHz);
  });
});

describe('velocity', () => {
  const fs = 10_240;
  const tone = (rms: number, hz: number) => (k: number) => Math.SQRT2 * rms * Math.sin((TAU * hz * k) / fs);
  const inputs = [
    tone(1, 50),
    tone(9.80665, 100),
    tone(1, 159),
    (k: number) => tone(1, 5)(k) + tone(1, 50)(k) + tone(0.5, 2000)(k),
  ];

  it.each(reference.velocity.map((vector, i) => ({ ...vector, input: inputs[i]! })))('$gen', (vector) => {
    const spectrum = signalOf(sampled(fs, vector.input), fs).spectrum();
    expectClose(new VelocityBand(10, 1000).velocityRms(spectrum), vector.velocity_rms_mm_s, 1e-9);
  });
});

describe('bearing', () => {
  const geometries = [
    { rollingElements: 9, ballDiameter: 0.3126, pitchDiameter: 1.537, contactAngleDeg: 0, shaftHz: 1 },
    { rollingElements: 8, ballDiameter: 0.235, pitchDiameter: 1.245, contactAngleDeg: 0, shaftHz: 25 },
    {
      rollingElements: 16,
      ballDiameter: 0.331,
      pitchDiameter: 2.815,
      contactAngleDeg: 15.17,
      shaftHz: 2000 / 60,
    },
    { rollingElements: 13, ballDiameter: 3.5, pitchDiameter: 25.6, contactAngleDeg: 0, shaftHz: 30 },
  ];

  it.each(reference.bearing.map((vector, i) => ({ ...vector, geometry: geometries[i]! })))(
    'gives the kinematic frequencies of $bearing',
    ({ geometry, expect: wanted }) => {
      const orders = bearingOrders(geometry);
      expectClose(orders.bpfo * geometry.shaftHz, wanted.BPFO, 1e-12);
      expectClose(orders.bpfi * geometry.shaftHz, wanted.BPFI, 1e-12);
      expectClose(orders.bsf * geometry.shaftHz, wanted.BSF, 1e-12);
      expectClose(orders.ftf * geometry.shaftHz, wanted.FTF, 1e-12);
      expectClose(orders.bpfo + orders.bpfi, geometry.rollingElements, 1e-12);
      expectClose(orders.bpfo, geometry.rollingElements * orders.ftf, 1e-12);
    },
  );
});

/** Impulses at 87 Hz ringing at 3 kHz, under a shaft tone and noise. */
function faultyBearing(): Float64Array {
  const fs = 20_000;
  const x = new Float64Array(fs);
  for (let i = 0; Math.round((i / 87) * fs) < fs; i++) {
    const at = Math.round((i / 87) * fs);
    for (let j = 0; j < 400 && at + j < fs; j++) {
      x[at + j]! += Math.exp((-800 * j) / fs) * Math.sin((TAU * 3000 * j) / fs);
    }
  }
  const noise = lcgGaussian(fs, 3);
  return x.map((value, k) => value + Math.sin((TAU * 29.95 * k) / fs) + 0.05 * noise[k]!);
}

describe('envelope', () => {
  it('gives the squared-envelope spectrum of scipy, though it transforms only the bins of the band', () => {
    const vector = reference.envelope[0]!;
    const x = faultyBearing();
    const plans = new FftPlans();
    const spectrum = signalOf(x, 20_000).spectrum();
    const envelope = new EnvelopeSpectrum(plans);
    envelope.load(spectrum, binsWithin(spectrum, 2000, 4000));
    expectClose(kurtosis(momentsOf(x, x.length)), vector.raw_kurtosis, 1e-9);
    expect(envelope.binHz).toBe(1);
    for (const [i, hz] of vector.peak_hz.entries())
      expectClose(envelope.amplitude[hz]!, vector.amp[i]!, 1e-9);
    expectClose(envelope.median(1, 399), vector.median_1_400, 1e-6);
  });
});

describe('online', () => {
  it('averages exponentially step by step', () => {
    const { out } = reference.online.ewma;
    let average = 0;
    out.forEach((wanted, i) => {
      average = ewmaStep(average, i < 10 ? 0 : 1, 0.2);
      expectClose(average, wanted, 1e-12);
    });
  });
});
