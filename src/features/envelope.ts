/** Spectrum of a waveform -> complex envelope of one band, and the spectrum of its square. */

import type { FftPlans } from './fft.ts';
import { nextPowerOfTwo } from './fft.ts';
import { endTaper, type Spectrum } from './waveform-signal.ts';

/** Bins of a spectrum, from `first` up to but without `end`. */
export interface BinRange {
  readonly first: number;
  readonly end: number;
}

/** The bins with low <= f <= high, without DC and Nyquist, which have no analytic counterpart. */
export function binsWithin(spectrum: Spectrum, lowHz: number, highHz: number): BinRange {
  const first = Math.max(1, Math.ceil(lowHz / spectrum.binHz - 1e-9));
  const end = Math.min(spectrum.bins - 1, Math.floor(highHz / spectrum.binHz + 1e-9) + 1);
  return { first, end: Math.max(first, end) };
}

/**
 * Squared envelope |z|^2 of the band, over the whole record, evenly spaced from its first to its last moment.
 *
 * z is the analytic signal: negative and out-of-band bins zeroed, the rest doubled and transformed back. Only the
 * bins of the band are transformed, shifted to the origin, which leaves |z| untouched; with K bins and at least
 * 2K - 1 points |z|^2 is sampled without aliasing, so its spectrum is the same as at the full rate.
 * The time axis runs backwards (a forward transform serves as the inverse): no statistic of |z|^2 used here minds.
 */
export class SquaredEnvelope {
  /** Points of the last record; a power of two. */
  points = 0;
  /** Shape [>= points], unit^2. */
  values = new Float64Array(0);
  readonly #plans: FftPlans;
  #band = new Float64Array(0);
  #analytic = new Float64Array(0);

  constructor(plans: FftPlans) {
    this.#plans = plans;
  }

  /** @param band not empty */
  demodulate(spectrum: Spectrum, band: BinRange): void {
    const count = band.end - band.first;
    const points = nextPowerOfTwo(2 * count);
    this.#reserve(points);
    const data = this.#band.subarray(0, 2 * points);
    const z = this.#analytic.subarray(0, 2 * points);
    const scale = 2 / spectrum.n;
    for (let i = 0; i < 2 * count; i++) data[i] = scale * spectrum.values[2 * band.first + i]!;
    data.fill(0, 2 * count);
    this.#plans.powerOfTwo(points).forward(z, data);
    for (let i = 0; i < points; i++) {
      const re = z[2 * i]!;
      const im = z[2 * i + 1]!;
      this.values[i] = re * re + im * im;
    }
    this.points = points;
  }

  #reserve(points: number): void {
    if (this.values.length >= points) return;
    this.values = new Float64Array(points);
    this.#band = new Float64Array(2 * points);
    this.#analytic = new Float64Array(2 * points);
  }
}

/**
 * Amplitude spectrum of the mean-removed squared envelope: a modulation a cos(2 pi f t) of |z|^2 reads a at f.
 * Bins are those of the waveform's spectrum; `bins` of them carry anything, the rest of the axis is beyond the band
 * width.
 */
export class EnvelopeSpectrum {
  bins = 0;
  binHz = 0;
  /** Shape [>= bins], unit^2; bin 0 is zero. */
  amplitude = new Float64Array(0);
  readonly #plans: FftPlans;
  readonly #envelope: SquaredEnvelope;
  #transformed = new Float64Array(0);

  constructor(plans: FftPlans) {
    this.#plans = plans;
    this.#envelope = new SquaredEnvelope(plans);
  }

  /**
   * Where the ends of the record are tapered, the mean removed follows the taper, so that a steady envelope leaves
   * nothing, and amplitudes are those of the record without taper.
   *
   * @param band at least two bins
   * Source: Randall (2015), squared envelope spectrum of the analytic signal; not smoothed.
   */
  load(spectrum: Spectrum, band: BinRange): void {
    this.#envelope.demodulate(spectrum, band);
    const { values, points } = this.#envelope;
    const weight = removeMean(values, points, spectrum.taperedEnds);
    this.#reserve(points, band.end - band.first);
    const transformed = this.#transformed;
    this.#plans.real(points).transform(transformed, values);
    this.bins = band.end - band.first;
    this.binHz = spectrum.binHz;
    for (let k = 0; k < this.bins; k++) {
      const re = transformed[2 * k]!;
      const im = transformed[2 * k + 1]!;
      this.amplitude[k] = (2 / weight) * Math.sqrt(re * re + im * im);
    }
    this.amplitude[0] = 0;
  }

  #reserve(points: number, bins: number): void {
    if (this.#transformed.length < points + 2) this.#transformed = new Float64Array(points + 2);
    if (this.amplitude.length < bins) this.amplitude = new Float64Array(bins);
  }

  /**
   * Largest amplitude within +-tolerance of a frequency, at least the nearest bin; 0 beyond the band width.
   * @param tolerance relative, e.g. 0.02 for bearings, which slip
   */
  peakNear(frequencyHz: number, tolerance: number): number {
    const nearest = Math.round(frequencyHz / this.binHz);
    const first = Math.min(nearest, Math.ceil((frequencyHz * (1 - tolerance)) / this.binHz));
    const last = Math.max(nearest, Math.floor((frequencyHz * (1 + tolerance)) / this.binHz));
    let peak = 0;
    for (let k = Math.max(1, first); k <= Math.min(last, this.bins - 1); k++) {
      peak = Math.max(peak, this.amplitude[k]!);
    }
    return peak;
  }

  /** Median amplitude over the bins in [lowHz, highHz] that exist; NaN for fewer than eight. */
  median(lowHz: number, highHz: number): number {
    const first = Math.max(1, Math.ceil(lowHz / this.binHz));
    const end = Math.min(this.bins, Math.floor(highHz / this.binHz) + 1);
    const count = end - first;
    if (count < 8) return Number.NaN;
    const sorted = this.amplitude.slice(first, end).sort();
    const middle = count >> 1;
    return count % 2 === 1 ? sorted[middle]! : 0.5 * (sorted[middle - 1]! + sorted[middle]!);
  }
}

/** Subtracts the mean, weighted by the squared taper that |z|^2 carries; returns the sum of the weights. */
function removeMean(values: Float64Array, points: number, taperedEnds: number): number {
  const weightAt = (i: number) => endTaper(i / points, taperedEnds) ** 2;
  let sum = 0;
  let weight = 0;
  for (let i = 0; i < points; i++) {
    sum += values[i]!;
    weight += weightAt(i);
  }
  for (let i = 0; i < points; i++) values[i] = values[i]! - (sum / weight) * weightAt(i);
  return weight;
}
