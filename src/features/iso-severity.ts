/** Set `vib.iso`: acceleration waveform -> velocity RMS and the severity zone it falls into. */

import type { ChannelConfig, MachineParameters } from '../config/schema.ts';
import type { FeatureSpec } from '../domain/feature-vector.ts';
import { configurationError, featureSpec, type WaveformFeatureSet } from './feature-set.ts';
import { VelocityBand } from './velocity.ts';
import type { WaveformSignal } from './waveform-signal.ts';

/** Metres per second squared in one unit of an acceleration channel; g is the standard gravity of ISO 80000-3. */
const ACCELERATION_UNITS: Readonly<Record<string, number>> = { g: 9.80665, 'm/s2': 1 };

const BAND_TOP_HZ = 1000;
/** Below this speed the band starts at 2 Hz instead of 10 Hz. */
const SLOW_SHAFT_RPM = 600;

export interface ZoneLimits {
  /** Velocity rms in mm/s between zones A and B, B and C, C and D. */
  readonly ab: number;
  readonly bc: number;
  readonly cd: number;
}

/**
 * Zone limits for machines above 15 kW, measured on non-rotating parts, by machine group (1: above 300 kW or shaft
 * height from 315 mm; 2: 15 to 300 kW or 160 to 315 mm) and support.
 */
const ZONE_TABLE = 'ISO 10816-3:2009';
const ZONE_LIMITS: Readonly<Record<1 | 2, Readonly<Record<'rigid' | 'flexible', ZoneLimits>>>> = {
  1: { rigid: { ab: 2.3, bc: 4.5, cd: 7.1 }, flexible: { ab: 3.5, bc: 7.1, cd: 11 } },
  2: { rigid: { ab: 1.4, bc: 2.8, cd: 4.5 }, flexible: { ab: 2.3, bc: 4.5, cd: 7.1 } },
};

/** 1 = A (as newly commissioned) to 4 = D (damage is likely); a value on a limit belongs to the lower zone. */
export function isoZone(velocityRmsMmPerS: number, limits: ZoneLimits): number {
  if (!(velocityRmsMmPerS >= 0)) return Number.NaN;
  if (velocityRmsMmPerS <= limits.ab) return 1;
  if (velocityRmsMmPerS <= limits.bc) return 2;
  return velocityRmsMmPerS <= limits.cd ? 3 : 4;
}

/**
 * The band needs 0.95 of the Nyquist frequency to reach 1000 Hz and a record of one second or ten periods of the
 * lower edge, whichever is longer. A window without such a stretch (short snapshots, a gap), or of a
 * dead sensor, has no values.
 *
 * @param channel name, for messages
 * @throws GatewayError MW_CONFIG_INVALID for a unit or sample rate that can never give a value
 */
export function isoSeverity(
  channel: string,
  config: ChannelConfig,
  parameters: MachineParameters,
): WaveformFeatureSet {
  const toMetric = ACCELERATION_UNITS[config.unit];
  if (toMetric === undefined) {
    const known = Object.keys(ACCELERATION_UNITS).join(' or ');
    throw configurationError(
      ['channels', channel, 'unit'],
      `"${config.unit}" is no acceleration; vib.iso needs ${known}`,
    );
  }
  const slow = parameters.shaftSpeedRpm !== undefined && parameters.shaftSpeedRpm < SLOW_SHAFT_RPM;
  const band = new VelocityBand(slow ? 2 : 10, BAND_TOP_HZ);
  requireReach(channel, config, band);
  const limits = zoneLimits(parameters);
  return {
    specs: specsFor(band, parameters, limits),
    compute(signal, out, at) {
      if (!canMeasure(signal, band)) return;
      const velocity = toMetric * band.velocityRms(signal.spectrum());
      out[at] = velocity;
      if (limits !== null) out[at + 1] = isoZone(velocity, limits);
    },
  };
}

function specsFor(
  band: VelocityBand,
  parameters: MachineParameters,
  limits: ZoneLimits | null,
): FeatureSpec[] {
  const range = { highHz: band.highHz, lowHz: band.lowHz };
  const specs = [featureSpec(`velocity_rms.${band.lowHz}_${band.highHz}`, 'mm/s', range)];
  if (limits !== null) {
    const { isoGroup, isoSupport } = parameters;
    const table = { group: isoGroup!, support: isoSupport!, table: ZONE_TABLE };
    specs.push(featureSpec('iso_zone', '1', { ...limits, ...table, ...range }));
  }
  return specs;
}

function zoneLimits({ isoGroup, isoSupport }: MachineParameters): ZoneLimits | null {
  if (isoGroup === undefined && isoSupport === undefined) return null;
  if (isoGroup === undefined)
    throw configurationError(['parameters', 'isoGroup'], 'isoSupport is given without it');
  if (isoSupport === undefined)
    throw configurationError(['parameters', 'isoSupport'], 'isoGroup is given without it');
  return ZONE_LIMITS[isoGroup][isoSupport];
}

function shortestRecordS(band: VelocityBand): number {
  return Math.max(1, 10 / band.lowHz);
}

function reaches(sampleRateHz: number, band: VelocityBand): boolean {
  return (0.95 * sampleRateHz) / 2 >= band.highHz;
}

function canMeasure(signal: WaveformSignal, band: VelocityBand): boolean {
  // A dead sensor must not read as zone A.
  if (signal.isFlat) return false;
  // One sample of grace, because the spectrum of an odd record leaves its last one out.
  const seconds = (signal.spectrumSamples + 1) / signal.sampleRateHz;
  return seconds >= shortestRecordS(band) && reaches(signal.sampleRateHz, band);
}

function requireReach(channel: string, config: ChannelConfig, band: VelocityBand): void {
  const { sampleRateHz } = config;
  if (sampleRateHz === undefined) {
    throw configurationError(['channels', channel, 'sampleRateHz'], 'vib.iso needs it');
  }
  if (!reaches(sampleRateHz, band)) {
    const least = Math.ceil((2 * band.highHz) / 0.95);
    throw configurationError(
      ['channels', channel, 'sampleRateHz'],
      `${sampleRateHz} is not enough; vib.iso needs at least ${least} Hz to see up to ${band.highHz} Hz`,
    );
  }
}
