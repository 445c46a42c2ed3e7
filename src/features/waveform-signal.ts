/** Waveform slice -> the one stretch of samples all vibration sets look at, mean removed, and its spectrum. */

import type { WaveformSegment, WaveformSlice } from '../domain/window.ts';
import type { FftPlans } from './fft.ts';
import { isFlat, meanOf } from './moments.ts';

/** Longest record that is transformed; spectral features of a longer segment look at its first 2^18 samples. */
export const MAX_SPECTRUM_SAMPLES = 262_144;

/**
 * DFT of the mean-removed record, rectangular taper. Bin k lies at k * `binHz`; `bins` counts 0 (DC) to n/2
 * (Nyquist). Unscaled: a sine of amplitude A on bin k reads |X[k]| = A n / 2.
 */
export interface Spectrum {
  readonly n: number;
  readonly bins: number;
  readonly binHz: number;
  /** Interleaved (re, im), shape [2 bins]. */
  readonly values: Float64Array;
}

/**
 * The longest contiguous segment of a slice (the first of equals); never samples from both sides of a gap, whose
 * splice would read as a shock. One object serves every waveform of an extractor, so its arrays are reused: what
 * it returns is valid until the next `load`.
 */
export class WaveformSignal {
  /** Samples in the segment. */
  n = 0;
  sampleRateHz = 0;
  /** Mean before it was removed, in the channel's unit. */
  mean = Number.NaN;
  /** Shape [>= n], mean removed; the first n count. */
  samples = new Float64Array(0);
  readonly plans: FftPlans;
  #spectrum: Spectrum | null = null;

  constructor(plans: FftPlans) {
    this.plans = plans;
  }

  /** False, and nothing to compute, if the slice holds fewer than two contiguous samples. */
  load(slice: WaveformSlice): boolean {
    const segment = longestSegment(slice.segments);
    this.#spectrum = null;
    if (segment === null || segment.values.length < 2) return false;
    const { values } = segment;
    const n = values.length;
    if (this.samples.length < n) this.samples = new Float64Array(n);
    this.n = n;
    this.sampleRateHz = segment.sampleRateHz;
    this.mean = meanOf(values, n);
    let squares = 0;
    for (let i = 0; i < n; i++) {
      const value = values[i]! - this.mean;
      this.samples[i] = value;
      squares += value * value;
    }
    // What rounding leaves of a constant has no shape; without this its crest factor would read 1.
    if (isFlat(squares / n, this.mean)) this.samples.fill(0, 0, n);
    return true;
  }

  /** Samples the spectrum is taken of: the record cut to an even length and to the longest transform. */
  get spectrumSamples(): number {
    return Math.min(this.n - (this.n % 2), MAX_SPECTRUM_SAMPLES);
  }

  /** Computed at the first call after `load`. */
  spectrum(): Spectrum {
    if (this.#spectrum === null) {
      const n = this.spectrumSamples;
      const values = this.plans.real(n).transform(this.samples);
      this.#spectrum = { n, bins: n / 2 + 1, binHz: this.sampleRateHz / n, values };
    }
    return this.#spectrum;
  }
}

function longestSegment(segments: readonly WaveformSegment[]): WaveformSegment | null {
  let longest: WaveformSegment | null = null;
  for (const segment of segments) {
    if (longest === null || segment.values.length > longest.values.length) longest = segment;
  }
  return longest;
}
