/** A decoded payload and the declaration of its channel enter, why they do not fit leaves; null where they do. */

import type { ChannelConfig } from '../config/schema.ts';
import type { DeadLetterReason } from '../domain/dead-letter.ts';
import type { ChannelTarget } from './channel-registry.ts';
import { Found, type Reading } from './reading.ts';

/** A sample rate may differ by float32 rounding. */
const RATE_TOLERANCE = 1e-6;

/**
 * Checks the value of a one-channel message. The samples of a fitting waveform stand in `reading.block` afterwards,
 * whichever way they came.
 */
export function checkValue(reading: Reading, { name, config }: ChannelTarget): DeadLetterReason | null {
  const found = reading.found[0];
  if (found === Found.NOTHING) return reading.fault('missing_value', 'no value');
  if (found === Found.OTHER) return reading.fault('not_a_number', 'the value is no number');
  const unitFault = checkUnit(reading, name, config);
  if (unitFault !== null) return unitFault;
  if (config.kind === 'waveform') return checkWaveform(reading, config);
  if (found === Found.NUMBER) {
    return Number.isFinite(reading.values[0]) ? null : reading.fault('not_finite', 'the value is infinite');
  }
  if (reading.sampleCount === 0) return reading.fault('missing_value', 'the list is empty');
  if (found === Found.LIST && config.periodMs === undefined) {
    return reading.fault('not_a_number', 'a list, but the channel declares no periodMs to space it by');
  }
  return checkFinite(reading, found === Found.BLOCK ? reading.block : reading.samples);
}

/** Checks one value of a message of many channels. A null target is a member that is no channel of the class. */
export function checkField(
  reading: Reading,
  slot: number,
  target: ChannelTarget | null,
): DeadLetterReason | null {
  if (target === null) return reading.fault('unknown_channel', 'a member is no channel of the class');
  const { name, config } = target;
  if (config.kind === 'waveform') return reading.fault('not_a_number', `${name} is a waveform channel`);
  if (reading.found[slot] !== Found.NUMBER) return reading.fault('not_a_number', `${name} is no number`);
  if (!Number.isFinite(reading.values[slot])) return reading.fault('not_finite', `${name} is infinite`);
  return checkUnit(reading, name, config);
}

function checkUnit(reading: Reading, name: string, config: ChannelConfig): DeadLetterReason | null {
  if (reading.unit === null || reading.unit === config.unit) return null;
  return reading.fault('wrong_unit', `unit "${reading.unit}"; channel ${name} is declared in ${config.unit}`);
}

function checkWaveform(reading: Reading, config: ChannelConfig): DeadLetterReason | null {
  const declared = config.sampleRateHz!;
  if (reading.found[0] === Found.NUMBER) {
    return reading.fault('not_a_number', 'one number; a waveform channel takes a list or a block');
  }
  if (reading.sampleCount === 0) return reading.fault('missing_value', 'no samples');
  const rate = reading.sampleRateHz;
  if (!Number.isNaN(rate) && !(Math.abs(rate - declared) <= RATE_TOLERANCE * declared)) {
    return reading.fault('wrong_sample_rate', `${rate} Hz; the channel is declared at ${declared} Hz`);
  }
  if (reading.found[0] === Found.LIST) {
    reading.growBlock(reading.sampleCount);
    // A double beyond float32 becomes infinite here, and is found below.
    for (let i = 0; i < reading.sampleCount; i++) reading.block[i] = reading.samples[i]!;
  }
  return checkFinite(reading, reading.block);
}

function checkFinite(reading: Reading, values: Float32Array | Float64Array): DeadLetterReason | null {
  const { sampleCount } = reading;
  for (let i = 0; i < sampleCount; i++) {
    const value = values[i]!;
    // 0 for every finite number, NaN for the others.
    if (value - value !== 0) return reading.fault('not_finite', `sample ${i} is ${value}`);
  }
  return null;
}
