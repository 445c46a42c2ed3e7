/** Set `vib.spectral`: waveform -> level by frequency band and shape of the spectrum. */

import type { ChannelConfig } from '../config/schema.ts';
import { configurationError, featureSpec, type WaveformFeatureSet } from './feature-set.ts';
import type { FftPlans } from './fft.ts';
import { bandPower, ROLLOFF_SHARE, spectralShape } from './spectral-shape.ts';
import { Welch } from './welch.ts';

/** Samples of a Welch segment; a window needs one whole segment. */
const SEGMENT_SAMPLES = 2048;
/** Edges of the bands in Hz; the last one ends at the alias-free limit fs / 2.56, where bands beyond it are left out. */
const BAND_EDGES_HZ = [10, 100, 1000, 5000] as const;
const ALIAS_FREE = 1 / 2.56;

/**
 * Shape features leave out DC. The signal of a dead sensor has no values.
 *
 * @param channel name, for messages
 * @throws GatewayError MW_CONFIG_INVALID without a sample rate
 */
export function vibrationSpectral(
  channel: string,
  config: ChannelConfig,
  plans: FftPlans,
): WaveformFeatureSet {
  const { unit, sampleRateHz } = config;
  if (sampleRateHz === undefined) {
    throw configurationError(['channels', channel, 'sampleRateHz'], 'vib.spectral needs it');
  }
  const bands = bandsBelow(Math.floor(sampleRateHz * ALIAS_FREE));
  const welch = new Welch(plans, SEGMENT_SAMPLES);
  const taper = { segmentSamples: SEGMENT_SAMPLES, taper: 'hann' };
  return {
    specs: [
      ...bands.map(([lowHz, highHz]) =>
        featureSpec(`band_rms.${lowHz}_${highHz}`, unit, { ...taper, highHz, lowHz }),
      ),
      featureSpec('spectral_centroid', 'Hz', taper),
      featureSpec('spectral_spread', 'Hz', taper),
      featureSpec('spectral_rolloff', 'Hz', { ...taper, share: ROLLOFF_SHARE }),
      featureSpec('spectral_flatness', '1', taper),
      featureSpec('spectral_entropy', '1', taper),
      featureSpec('peak_freq', 'Hz', taper),
    ],
    compute(signal, out, at) {
      if (signal.isFlat) return;
      const density = welch.density(signal.samples, signal.n, signal.sampleRateHz);
      if (density === null) return;
      bands.forEach(([lowHz, highHz], i) => {
        // A recording slower than declared does not reach the band: that is not silence.
        if (2 * highHz > signal.sampleRateHz) return;
        out[at + i] = Math.sqrt(bandPower(density, lowHz, highHz));
      });
      const shape = spectralShape(density, 1);
      if (shape === null) return;
      out.set(
        [shape.centroidHz, shape.spreadHz, shape.rolloffHz, shape.flatness, shape.entropy, shape.peakHz],
        at + bands.length,
      );
    },
  };
}

/** The customary decades that start below the limit, the last one cut there. */
function bandsBelow(limitHz: number): (readonly [number, number])[] {
  const bands: (readonly [number, number])[] = [];
  BAND_EDGES_HZ.forEach((lowHz, i) => {
    const highHz = Math.min(BAND_EDGES_HZ[i + 1] ?? limitHz, limitHz);
    if (lowHz < highHz) bands.push([lowHz, highHz]);
  });
  return bands;
}
