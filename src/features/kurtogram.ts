/** Spectrum of a waveform -> the band whose envelope is most impulsive. */

import { binsWithin, SquaredEnvelope } from './envelope.ts';
import type { FftPlans } from './fft.ts';
import type { Spectrum } from './waveform-signal.ts';

/** Band widths are fs/4, fs/8, ... fs/128. */
const LEVELS = 6;
/** Fewest independent envelope samples (bins of a band) a kurtosis is taken of; fewer scatter more than they say. */
const MIN_BINS = 64;
export interface ImpulsiveBand {
  /** Spectral kurtosis: 0 for stationary Gaussian noise, -1 for a pure tone, large for repeated shocks. */
  readonly kurtosis: number;
  readonly centreHz: number;
  readonly widthHz: number;
}

/**
 * Dyadic kurtogram: <|z|^4> / <|z|^2>^2 - 2 of the complex envelope z, over a tree of bands that halve in width.
 *
 * Averaged over the part of the record that is not tapered. Without a taper the step where the ends of the record
 * meet passes for a shock: a hum 60 dB above the noise then reads a kurtosis of 19.
 *
 * Source: Antoni (2007), "Fast computation of the kurtogram", Mech. Syst. Signal Process. 21: 108-124; the tree here
 * is binary only, and its bands are cut out of one transform instead of being filtered.
 */
export class Kurtogram {
  readonly #envelope: SquaredEnvelope;

  constructor(plans: FftPlans) {
    this.#envelope = new SquaredEnvelope(plans);
  }

  /**
   * The band of largest spectral kurtosis that starts at or above `lowestHz`: of equals the widest, then the lowest.
   * Null when the record is too short or the spectrum ends below.
   */
  search(spectrum: Spectrum, lowestHz: number): ImpulsiveBand | null {
    const nyquistHz = (spectrum.bins - 1) * spectrum.binHz;
    let best: ImpulsiveBand | null = null;
    for (let level = 1; level <= LEVELS; level++) {
      const widthHz = nyquistHz / 2 ** level;
      if (widthHz / spectrum.binHz < MIN_BINS) break;
      for (let band = Math.ceil(lowestHz / widthHz); band < 2 ** level; band++) {
        const kurtosis = this.#kurtosis(spectrum, band * widthHz, widthHz);
        if (kurtosis > (best?.kurtosis ?? Number.NEGATIVE_INFINITY)) {
          best = { kurtosis, centreHz: (band + 0.5) * widthHz, widthHz };
        }
      }
    }
    return best;
  }

  /** NaN for a band without energy. */
  #kurtosis(spectrum: Spectrum, lowHz: number, widthHz: number): number {
    this.#envelope.demodulate(spectrum, binsWithin(spectrum, lowHz, lowHz + widthHz));
    const { points, values } = this.#envelope;
    const first = Math.ceil(spectrum.taperedEnds * points);
    const end = points - first;
    let second = 0;
    let fourth = 0;
    for (let i = first; i < end; i++) {
      const square = values[i]!;
      second += square;
      fourth += square * square;
    }
    return ((end - first) * fourth) / (second * second) - 2;
  }
}
