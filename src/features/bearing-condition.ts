/** Set `vib.bearing`: waveform -> lines of bearing defects in the envelope spectrum, and impulsiveness by band. */

import type { ChannelConfig, MachineParameters } from '../config/schema.ts';
import type { FeatureSpec } from '../domain/feature-vector.ts';
import { bearingOrders } from './bearing-geometry.ts';
import { type BinRange, binsWithin, EnvelopeSpectrum } from './envelope.ts';
import { configurationError, featureSpec, ratio, type WaveformFeatureSet } from './feature-set.ts';
import type { FftPlans } from './fft.ts';
import { Kurtogram } from './kurtogram.ts';
import type { Spectrum, WaveformSignal } from './waveform-signal.ts';

/** Lines added up per defect: the defect frequency and its first two multiples. */
const HARMONICS = 3;
/** Bearings slip by 1 to 2 % of the kinematic frequency. */
const TOLERANCE = 0.02;
/** A line needs this many of its periods in the record to stand apart from the mean and its neighbours. */
const MIN_PERIODS = 4;
/** Demodulation band where none is configured, within what the anti-aliasing filter passes. */
const DEFAULT_BAND_HZ = { low: 2000, high: 10_000 } as const;
/** Usable share of the sample rate: the customary anti-aliasing filter passes fs / 2.56. */
const ALIAS_FREE = 1 / 2.56;
/** Bands of the kurtogram start above this multiple of the highest defect frequency. */
const CARRIER_MULTIPLE = 3;

interface Defect {
  readonly name: string;
  readonly frequencyHz: number;
}

interface BearingPlan {
  readonly defects: readonly Defect[];
  readonly shaftHz: number;
  /** Highest of the defect frequencies: as a rule that of the inner race. */
  readonly highestHz: number;
  readonly lowHz: number;
  readonly highHz: number;
}

/**
 * `env_amp.<defect>` = sqrt of the summed squares of the highest lines within +-2 % of 1, 2 and 3 times the defect
 * frequency in the squared-envelope spectrum; `env_snr.<defect>` the same over the median line between half the
 * shaft speed and five times the highest defect frequency. Defects: outer race, inner race, ball (twice its spin), cage,
 * and the shaft itself. `sk_*` is the most impulsive band of the whole spectrum, `hf_rms` the level in the
 * demodulation band, which is fixed by configuration so that the features stay comparable over the machine's life.
 *
 * @param channel name, for messages
 * @throws GatewayError MW_CONFIG_INVALID when the configuration can never give a value
 */
export function bearingCondition(
  channel: string,
  config: ChannelConfig,
  parameters: MachineParameters,
  plans: FftPlans,
): WaveformFeatureSet {
  const plan = planFor(channel, config, parameters);
  const envelope = new EnvelopeSpectrum(plans);
  const kurtogram = new Kurtogram(plans);
  return {
    specs: specsFor(config.unit, plan, parameters),
    compute(signal, out, at) {
      if (signal.isFlat) return;
      const spectrum = signal.taperedSpectrum();
      const lines = at + 2 * plan.defects.length;
      const best = kurtogram.search(spectrum, CARRIER_MULTIPLE * plan.highestHz);
      if (best !== null) {
        out[lines] = best.kurtosis;
        out[lines + 1] = best.centreHz;
        out[lines + 2] = best.widthHz;
      }
      if (plan.highHz * 2 > signal.sampleRateHz) return;
      const band = binsWithin(spectrum, plan.lowHz, plan.highHz);
      if (band.end - band.first < 2) return;
      out[lines + 3] = bandRms(spectrum, band);
      envelope.load(spectrum, band);
      writeLines(plan, envelope, signal, out, at);
    },
  };
}

function writeLines(
  plan: BearingPlan,
  envelope: EnvelopeSpectrum,
  signal: WaveformSignal,
  out: Float64Array,
  at: number,
): void {
  const median = envelope.median(0.5 * plan.shaftHz, 5 * plan.highestHz);
  const seconds = signal.spectrumSamples / signal.sampleRateHz;
  plan.defects.forEach(({ frequencyHz }, i) => {
    if (frequencyHz * seconds < MIN_PERIODS) return;
    const amplitude = harmonicAmplitude(envelope, frequencyHz);
    out[at + 2 * i] = amplitude;
    out[at + 2 * i + 1] = ratio(amplitude, median);
  });
}

function harmonicAmplitude(envelope: EnvelopeSpectrum, frequencyHz: number): number {
  let squares = 0;
  for (let harmonic = 1; harmonic <= HARMONICS; harmonic++) {
    const line = envelope.peakNear(harmonic * frequencyHz, TOLERANCE);
    squares += line * line;
  }
  return Math.sqrt(squares);
}

/** RMS of the part of the signal inside the band, by Parseval's theorem; the power the taper took is given back. */
function bandRms({ values, n, taperedEnds }: Spectrum, band: BinRange): number {
  let sum = 0;
  for (let k = 2 * band.first; k < 2 * band.end; k++) sum += values[k]! ** 2;
  // A cosine ramp has a mean square of 3/8, so the two ends lose 5/8 of their power.
  return Math.sqrt((2 * sum) / (1 - 1.25 * taperedEnds)) / n;
}

function specsFor(unit: string, plan: BearingPlan, parameters: MachineParameters): FeatureSpec[] {
  const band = { bandHighHz: plan.highHz, bandLowHz: plan.lowHz };
  const { rollingElements, ballDiameter, pitchDiameter, contactAngleDeg } = parameters.bearing!;
  const machine = {
    ballToPitch: ballDiameter / pitchDiameter,
    contactAngleDeg,
    rollingElements,
    shaftSpeedRpm: parameters.shaftSpeedRpm!,
  };
  const search = { ...band, ...machine, harmonics: HARMONICS, tolerance: TOLERANCE };
  const lines = plan.defects.flatMap(({ name }) => [
    featureSpec(`env_amp.${name}`, `(${unit})^2`, search),
    featureSpec(`env_snr.${name}`, '1', search),
  ]);
  const carrier = { lowestHz: CARRIER_MULTIPLE * plan.highestHz };
  return [
    ...lines,
    featureSpec('sk_max', '1', carrier),
    featureSpec('sk_fc', 'Hz', carrier),
    featureSpec('sk_bw', 'Hz', carrier),
    featureSpec('hf_rms', unit, band),
  ];
}

function planFor(channel: string, config: ChannelConfig, parameters: MachineParameters): BearingPlan {
  const { bearing, shaftSpeedRpm } = parameters;
  const { sampleRateHz } = config;
  if (bearing === undefined)
    throw configurationError(['parameters', 'bearing'], 'vib.bearing needs the geometry');
  if (bearing.ballDiameter >= bearing.pitchDiameter) {
    throw configurationError(['parameters', 'bearing', 'ballDiameter'], 'must be smaller than pitchDiameter');
  }
  if (shaftSpeedRpm === undefined)
    throw configurationError(['parameters', 'shaftSpeedRpm'], 'vib.bearing needs it');
  if (sampleRateHz === undefined) {
    throw configurationError(['channels', channel, 'sampleRateHz'], 'vib.bearing needs it');
  }
  const shaftHz = shaftSpeedRpm / 60;
  const orders = bearingOrders(bearing);
  const defects = [
    { name: 'bpfo', frequencyHz: orders.bpfo * shaftHz },
    { name: 'bpfi', frequencyHz: orders.bpfi * shaftHz },
    { name: 'bsf2', frequencyHz: 2 * orders.bsf * shaftHz },
    { name: 'ftf', frequencyHz: orders.ftf * shaftHz },
    { name: 'shaft', frequencyHz: shaftHz },
  ];
  const highestHz = Math.max(...defects.map((defect) => defect.frequencyHz));
  const band = demodulationBand(channel, sampleRateHz, highestHz, parameters.envelopeBandHz);
  return { defects, shaftHz, highestHz, ...band };
}

/** The squared envelope of a band holds frequencies up to its width: it must take in all lines searched. */
function demodulationBand(
  channel: string,
  sampleRateHz: number,
  highestHz: number,
  configured: readonly [number, number] | undefined,
): { lowHz: number; highHz: number } {
  const neededHz = HARMONICS * (1 + TOLERANCE) * highestHz;
  if (configured !== undefined) {
    const [lowHz, highHz] = configured;
    if (highHz - lowHz < neededHz || 2 * highHz > sampleRateHz) {
      throw configurationError(
        ['parameters', 'envelopeBandHz'],
        `${lowHz} to ${highHz} Hz does not fit; it must be at least ${Math.ceil(neededHz)} Hz wide (three times ` +
          `the highest defect frequency) and end below half the sample rate of ${channel}, ${sampleRateHz / 2} Hz`,
      );
    }
    return { lowHz, highHz };
  }
  const lowHz = DEFAULT_BAND_HZ.low;
  const highHz = Math.min(DEFAULT_BAND_HZ.high, sampleRateHz * ALIAS_FREE);
  if (highHz - lowHz < neededHz) {
    const least = Math.ceil((lowHz + neededHz) / ALIAS_FREE);
    throw configurationError(
      ['channels', channel, 'sampleRateHz'],
      `${sampleRateHz} is not enough; vib.bearing demodulates from ${lowHz} Hz and needs at least ${least} Hz here; ` +
        'or set parameters.envelopeBandHz',
    );
  }
  return { lowHz, highHz };
}
