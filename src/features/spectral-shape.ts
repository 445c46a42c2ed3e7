/** Power spectral density -> where its power lies and how it is spread. */

import type { PowerDensity } from './welch.ts';

/** Share of the power below the roll-off frequency. */
export const ROLLOFF_SHARE = 0.95;

export interface SpectralShape {
  /** Power-weighted mean frequency and its standard deviation, Hz. */
  readonly centroidHz: number;
  readonly spreadHz: number;
  /** Lowest bin with 95 % of the power at or below it, Hz. */
  readonly rolloffHz: number;
  /** Geometric over arithmetic mean of the density: 1 for white noise, near 0 for tones. */
  readonly flatness: number;
  /** Entropy of the power over the bins, 0 (one line) to 1 (white). */
  readonly entropy: number;
  /** Bin of the highest density, Hz. */
  readonly peakHz: number;
}

/**
 * Power, not magnitude, weighs the frequencies (TSFEL weighs by magnitude and reads differently).
 * @param firstBin 1 leaves out DC
 * @returns null for a spectrum without power
 */
export function spectralShape({ binHz, density }: PowerDensity, firstBin: number): SpectralShape | null {
  const bins = density.length - firstBin;
  let total = 0;
  let weighted = 0;
  let logarithms = 0;
  let peak = firstBin;
  for (let k = firstBin; k < density.length; k++) {
    const power = density[k]!;
    total += power;
    weighted += power * k;
    logarithms += Math.log(Math.max(power, Number.MIN_VALUE));
    if (power > density[peak]!) peak = k;
  }
  if (!(total > 0)) return null;
  const centroid = weighted / total;
  let variance = 0;
  let entropy = 0;
  let cumulated = 0;
  let rolloff = density.length;
  for (let k = firstBin; k < density.length; k++) {
    const share = density[k]! / total;
    variance += share * (k - centroid) ** 2;
    if (share > 0) entropy -= share * Math.log2(share);
    cumulated += share;
    if (cumulated >= ROLLOFF_SHARE && k < rolloff) rolloff = k;
  }
  return {
    centroidHz: centroid * binHz,
    spreadHz: Math.sqrt(variance) * binHz,
    rolloffHz: rolloff * binHz,
    flatness: Math.exp(logarithms / bins) / (total / bins),
    entropy: entropy / Math.log2(bins),
    peakHz: peak * binHz,
  };
}

/** Power in the bins with lowHz <= f <= highHz, unit^2; its root is the band's rms. */
export function bandPower({ binHz, density }: PowerDensity, lowHz: number, highHz: number): number {
  const last = Math.min(density.length - 1, Math.floor(highHz / binHz + 1e-9));
  let sum = 0;
  for (let k = Math.ceil(lowHz / binHz - 1e-9); k <= last; k++) sum += density[k]!;
  return sum * binHz;
}
