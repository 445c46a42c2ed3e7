/** Waveform slice -> the one stretch of samples all vibration sets look at, mean removed, and its spectra. */

import type { WaveformSegment, WaveformSlice } from '../domain/window.ts';
import type { FftPlans } from './fft.ts';
import { isFlat, meanOf } from './moments.ts';

/** Longest record that is transformed; spectral features of a longer segment look at its first 2^18 samples. */
export const MAX_SPECTRUM_SAMPLES = 262_144;

/** Share of the record at either end over which `taperedSpectrum` rises from nothing and falls back. */
export const END_TAPER = 0.05;

/**
 * DFT of the mean-removed record. Bin k lies at k * `binHz`; `bins` counts 0 (DC) to n/2 (Nyquist). Unscaled: a sine
 * of amplitude A on bin k reads |X[k]| = A n / 2.
 */
export interface Spectrum {
  readonly n: number;
  readonly bins: number;
  readonly binHz: number;
  /** Interleaved (re, im), shape [>= 2 bins]. */
  readonly values: Float64Array;
  /** Share of the record at either end that was tapered, see `endTaper`; 0 for none. */
  readonly taperedEnds: number;
}

/**
 * Cosine (Tukey) taper at a place in the record.
 * @param place 0..1 from start to end
 * @param share of the record at either end over which it rises and falls, 0..0.5; 0 is no taper
 */
export function endTaper(place: number, share: number): number {
  const fromEnd = Math.min(place, 1 - place);
  return fromEnd >= share ? 1 : 0.5 - 0.5 * Math.cos((Math.PI * fromEnd) / share);
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
  /** True for a constant, as a dead sensor sends it: `samples` are then exactly zero. */
  isFlat = false;
  /** Mean before it was removed, in the channel's unit. */
  mean = Number.NaN;
  /** Shape [>= n], mean removed; the first n count. */
  samples: Float64Array = new Float64Array(0);
  readonly plans: FftPlans;
  #spectrum: Spectrum | null = null;
  #taperedSpectrum: Spectrum | null = null;
  #values: Float64Array = new Float64Array(0);
  #taperedValues: Float64Array = new Float64Array(0);
  #tapered: Float64Array = new Float64Array(0);

  constructor(plans: FftPlans) {
    this.plans = plans;
  }

  /** False, and nothing to compute, if the slice holds fewer than two contiguous samples. */
  load(slice: WaveformSlice): boolean {
    const segment = longestSegment(slice.segments);
    this.#spectrum = null;
    this.#taperedSpectrum = null;
    if (segment === null || segment.values.length < 2) return false;
    const { values } = segment;
    const n = values.length;
    this.samples = withRoom(this.samples, n);
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
    this.isFlat = isFlat(squares / n, this.mean);
    if (this.isFlat) this.samples.fill(0, 0, n);
    return true;
  }

  /** Samples the spectrum is taken of: the record cut to an even length and to the longest transform. */
  get spectrumSamples(): number {
    return Math.min(this.n - (this.n % 2), MAX_SPECTRUM_SAMPLES);
  }

  /** Of the record as it is. Computed at the first call after `load`. */
  spectrum(): Spectrum {
    if (this.#spectrum === null) {
      this.#values = withRoom(this.#values, this.spectrumSamples + 2);
      this.#spectrum = this.#transform(this.#values, this.samples, 0);
    }
    return this.#spectrum;
  }

  /**
   * Of the record with its ends tapered. A transform takes the record as a loop; the step where the ends of a
   * strong hum meet would be one more shock among those the envelope is searched for. Computed at the first call
   * after `load`.
   */
  taperedSpectrum(): Spectrum {
    if (this.#taperedSpectrum === null) {
      const n = this.spectrumSamples;
      this.#tapered = withRoom(this.#tapered, n);
      this.#tapered.set(this.samples.subarray(0, n));
      for (let i = 0; i < n * END_TAPER; i++) {
        const weight = endTaper(i / n, END_TAPER);
        this.#tapered[i]! *= weight;
        if (i > 0) this.#tapered[n - i]! *= weight;
      }
      this.#taperedValues = withRoom(this.#taperedValues, n + 2);
      this.#taperedSpectrum = this.#transform(this.#taperedValues, this.#tapered, END_TAPER);
    }
    return this.#taperedSpectrum;
  }

  #transform(values: Float64Array, samples: Float64Array, taperedEnds: number): Spectrum {
    const n = this.spectrumSamples;
    this.plans.real(n).transform(values, samples);
    return { n, bins: n / 2 + 1, binHz: this.sampleRateHz / n, values, taperedEnds };
  }
}

/** The array, or a new one where it is too short. */
function withRoom(array: Float64Array, length: number): Float64Array {
  return array.length < length ? new Float64Array(length) : array;
}

function longestSegment(segments: readonly WaveformSegment[]): WaveformSegment | null {
  let longest: WaveformSegment | null = null;
  for (const segment of segments) {
    if (longest === null || segment.values.length > longest.values.length) longest = segment;
  }
  return longest;
}
