/** Set `vib.basic`: waveform -> level and shape of the vibration in the time domain. */

import type { FeatureSpec } from '../domain/feature-vector.ts';
import { featureSpec, ratio, type WaveformFeatureSet } from './feature-set.ts';
import { amplitudesOf, kurtosis, momentsOf, skewness } from './moments.ts';
import type { WaveformSignal } from './waveform-signal.ts';

const DETREND = { detrend: 'mean' };

/**
 * All but `mean` are of the mean-removed signal, so `rms` is the AC rms and equals `std`. Ratios of a signal without
 * amplitude, and skewness and kurtosis of a flat one, are undefined. A sine has crest sqrt 2, shape
 * pi / (2 sqrt 2), impulse pi / 2, clearance 1.7188, kurtosis 1.5.
 */
function specsFor(unit: string): FeatureSpec[] {
  return [
    featureSpec('mean', unit),
    featureSpec('std', unit),
    featureSpec('rms', unit, DETREND),
    featureSpec('peak', unit, DETREND),
    featureSpec('peak_to_peak', unit),
    featureSpec('crest_factor', '1', DETREND),
    featureSpec('shape_factor', '1', DETREND),
    featureSpec('impulse_factor', '1', DETREND),
    featureSpec('clearance_factor', '1', DETREND),
    featureSpec('skewness', '1'),
    featureSpec('kurtosis', '1'),
  ];
}

/** @param unit of the waveform; any */
export function vibrationBasic(unit: string): WaveformFeatureSet {
  return { specs: specsFor(unit), compute };
}

function compute(signal: WaveformSignal, out: Float64Array, at: number): void {
  const moments = momentsOf(signal.samples, signal.n);
  const { peak, rms, meanAbs, squaredMeanRoot } = amplitudesOf(signal.samples, signal.n);
  out[at] = signal.mean;
  out[at + 1] = Math.sqrt(moments.m2);
  out[at + 2] = rms;
  out[at + 3] = peak;
  out[at + 4] = moments.max - moments.min;
  out[at + 5] = ratio(peak, rms);
  out[at + 6] = ratio(rms, meanAbs);
  out[at + 7] = ratio(peak, meanAbs);
  out[at + 8] = ratio(peak, squaredMeanRoot);
  out[at + 9] = skewness(moments);
  out[at + 10] = kurtosis(moments);
}
