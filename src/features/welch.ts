/** Samples -> power spectral density by Welch's method, as scipy.signal.welch defines it. */

import type { FftPlans } from './fft.ts';

/**
 * Periodic (DFT-even) Hann taper of n samples: sum n/2, sum of squares 3n/8, noise bandwidth 1.5 bins, a tone
 * half-way between two bins reads 1.42 dB low.
 */
export function hannTaper(n: number): Float64Array {
  return Float64Array.from({ length: n }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / n));
}

/** One-sided density in unit^2 / Hz; bin k lies at k * `binHz`. */
export interface PowerDensity {
  readonly binHz: number;
  readonly density: Float64Array;
}

/**
 * Mean of the Hann-tapered periodograms of segments that overlap by half, each with its own mean removed; samples
 * after the last whole segment are left out. A sine of amplitude A has sum density * binHz = A^2 / 2.
 *
 * Source: Welch (1967), IEEE Trans. Audio Electroacoust. 15(2): 70-73.
 */
export class Welch {
  /** Samples of a segment; even. */
  readonly segmentSamples: number;
  readonly #plans: FftPlans;
  readonly #taper: Float64Array;
  readonly #tapered: Float64Array;
  readonly #spectrum: Float64Array;
  readonly #density: Float64Array;

  constructor(plans: FftPlans, segmentSamples: number) {
    this.segmentSamples = segmentSamples;
    this.#plans = plans;
    this.#taper = hannTaper(segmentSamples);
    this.#tapered = new Float64Array(segmentSamples);
    this.#spectrum = new Float64Array(segmentSamples + 2);
    this.#density = new Float64Array(segmentSamples / 2 + 1);
  }

  /**
   * @param samples shape [>= n]
   * @returns null when there is not one whole segment; else valid until the next call
   */
  density(samples: Float64Array, n: number, sampleRateHz: number): PowerDensity | null {
    const size = this.segmentSamples;
    if (n < size) return null;
    const density = this.#density.fill(0);
    const hop = size / 2;
    let segments = 0;
    for (let start = 0; start + size <= n; start += hop) {
      this.#accumulate(samples, start);
      segments += 1;
    }
    // sum of squares of the taper is 3/8 of its length; all bins but DC and Nyquist stand for two.
    const scale = 1 / (sampleRateHz * 0.375 * size * segments);
    for (let k = 0; k <= hop; k++) density[k]! *= k === 0 || k === hop ? scale : 2 * scale;
    return { binHz: sampleRateHz / size, density };
  }

  #accumulate(samples: Float64Array, start: number): void {
    const size = this.segmentSamples;
    let sum = 0;
    for (let i = 0; i < size; i++) sum += samples[start + i]!;
    const mean = sum / size;
    for (let i = 0; i < size; i++) this.#tapered[i] = this.#taper[i]! * (samples[start + i]! - mean);
    const x = this.#spectrum;
    this.#plans.real(size).transform(x, this.#tapered);
    for (let k = 0; k <= size / 2; k++) this.#density[k]! += x[2 * k]! ** 2 + x[2 * k + 1]! ** 2;
  }
}
