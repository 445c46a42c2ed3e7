/** Spectrum of an acceleration -> broad-band vibration velocity, the quantity ISO 10816 and ISO 20816 judge. */

import type { Spectrum } from './waveform-signal.ts';

/** sum w^2 / n of the periodic Hann taper. */
const HANN_MEAN_SQUARE = 3 / 8;

/**
 * Velocity RMS within a band by integration in the frequency domain: dividing by (2 pi f)^2 bin by bin has no drift,
 * which integration in time has.
 *
 * The record is Hann-tapered, because 1/f^2 magnifies what leaks below the band: without a taper a tone at 5.37 Hz
 * ten times the level of the one at 50 Hz adds several hundred percent to 10-1000 Hz (1 s record), with it under
 * two. The taper spreads a line on bin k over k-1, k, k+1 as 1 : 4 : 1, so plain 1/f^2 weights read 0.02 %
 * high at 50 Hz; the weights here are those whose 1 : 4 : 1 average is 1/f^2, which makes every line on a bin exact.
 */
export class VelocityBand {
  readonly lowHz: number;
  readonly highHz: number;
  /** Weights of bins `#first`.. of the spectra with bins `#binHz` apart. */
  #weights = new Float64Array(0);
  #first = 0;
  #binHz = 0;

  constructor(lowHz: number, highHz: number) {
    this.lowHz = lowHz;
    this.highHz = highHz;
  }

  /**
   * @param spectrum of an acceleration in m/s2, at least ten periods of `lowHz` long, reaching beyond `highHz`
   * @returns mm/s rms
   */
  velocityRms(spectrum: Spectrum): number {
    if (spectrum.binHz !== this.#binHz) this.#prepare(spectrum.binHz);
    const x = spectrum.values;
    const weights = this.#weights;
    let sum = 0;
    for (let i = 0; i < weights.length; i++) {
      const k = 2 * (this.#first + i);
      // The Hann taper in the frequency domain: (-1/4, 1/2, -1/4).
      const re = 0.5 * x[k]! - 0.25 * (x[k - 2]! + x[k + 2]!);
      const im = 0.5 * x[k + 1]! - 0.25 * (x[k - 1]! + x[k + 3]!);
      sum += weights[i]! * (re * re + im * im);
    }
    return (1000 / spectrum.n) * Math.sqrt((2 * sum) / HANN_MEAN_SQUARE);
  }

  #prepare(binHz: number): void {
    this.#binHz = binHz;
    this.#first = Math.ceil(this.lowHz / binHz - 1e-9);
    const last = Math.floor(this.highHz / binHz + 1e-9);
    const law = integrationWeights(last, binHz);
    this.#weights = law.slice(this.#first, last + 1);
  }
}

/** Bins solved beyond the last one used: the influence of the cut falls by 3.7 a bin. */
const MARGIN_BINS = 32;

/**
 * Solves (u[k-1] + 4 u[k] + u[k+1]) / 6 = (2 pi k binHz)^-2 for k = 1..last, the law continued on both sides of the
 * band so that its edges do not ring; u[0] is free and set to 0, which is forgotten by the tenth bin.
 */
function integrationWeights(last: number, binHz: number): Float64Array {
  const size = last + 1 + MARGIN_BINS;
  const u = new Float64Array(size);
  const upper = new Float64Array(size);
  for (let k = 1; k < size; k++) {
    const omega = 2 * Math.PI * k * binHz;
    const pivot = 4 - upper[k - 1]!;
    upper[k] = 1 / pivot;
    u[k] = (6 / (omega * omega) - u[k - 1]!) / pivot;
  }
  for (let k = size - 2; k >= 1; k--) u[k] = u[k]! - upper[k]! * u[k + 1]!;
  return u.subarray(0, last + 1);
}
