/** What features remember of one machine, and its bytes for the store. */

import { GatewayError } from '../errors.ts';
import { StateReader, StateWriter } from './state-bytes.ts';
import { TrendMemory } from './trend-memory.ts';
import { UsageMemory } from './usage-memory.ts';

/** Carried from window to window by the caller; one machine each. Bounded: a few hundred numbers a channel. */
export interface FeatureState {
  readonly usage: UsageMemory;
  /** By channel name; only channels with trend features. */
  readonly trends: Map<string, TrendMemory>;
}

/** State of a machine never seen before. */
export function emptyFeatureState(): FeatureState {
  return { usage: new UsageMemory(), trends: new Map() };
}

/** First byte of the encoding; another one is refused, never guessed at. */
const FORMAT_VERSION = 1;

/**
 * Little-endian, every number a float64 with its exact bits:
 * u8 version, usage (firstStartMs, pastCycles, pastRunMs, pastStarts, pastLastRunMs, list startMs, list runMs), u32
 * number of channels, each: u16 name length, name in UTF-8, ewmaBefore, lists startMs, mean, initialStartMs,
 * initialMean. Window starts are written as differences, and a list as runs of equal values (u16 run length,
 * float64), ending with run length 0; so a steady machine costs about 0.7 kB a channel. Channels in name order:
 * equal states give equal bytes.
 */
export function encodeFeatureState(state: FeatureState): Uint8Array {
  const writer = new StateWriter();
  writer.u8(FORMAT_VERSION);
  const { usage, trends } = state;
  writer.f64(usage.firstStartMs, usage.pastCycles, usage.pastRunMs, usage.pastStarts, usage.pastLastRunMs);
  writer.starts(usage.startMs, usage.count);
  writer.list(usage.runMs, usage.count);
  writer.u32(trends.size);
  for (const channel of [...trends.keys()].sort()) {
    const trend = trends.get(channel)!;
    writer.text(channel);
    writer.f64(trend.ewmaBefore);
    writer.starts(trend.startMs, trend.count);
    writer.list(trend.mean, trend.count);
    writer.starts(trend.initialStartMs, trend.initialCount);
    writer.list(trend.initialMean, trend.initialCount);
  }
  return writer.bytes();
}

/**
 * Inverse of `encodeFeatureState`.
 * @throws GatewayError MW_INTERNAL on bytes that it did not write (another version, cut short)
 */
export function decodeFeatureState(bytes: Uint8Array): FeatureState {
  const reader = new StateReader(bytes);
  try {
    return readState(reader);
  } catch (cause) {
    throw new GatewayError('MW_INTERNAL', 'the stored feature state of a machine cannot be read', { cause });
  }
}

function readState(reader: StateReader): FeatureState {
  const version = reader.u8();
  if (version !== FORMAT_VERSION) throw new RangeError(`format ${version}, expected ${FORMAT_VERSION}`);
  const state = emptyFeatureState();
  const { usage, trends } = state;
  usage.firstStartMs = reader.f64();
  usage.pastCycles = reader.f64();
  usage.pastRunMs = reader.f64();
  usage.pastStarts = reader.f64();
  usage.pastLastRunMs = reader.f64();
  usage.count = reader.starts(usage.startMs);
  reader.list(usage.runMs, usage.count);
  const channels = reader.u32();
  for (let i = 0; i < channels; i++) {
    const trend = new TrendMemory();
    trends.set(reader.text(), trend);
    trend.ewmaBefore = reader.f64();
    trend.count = reader.starts(trend.startMs);
    reader.list(trend.mean, trend.count);
    trend.initialCount = reader.starts(trend.initialStartMs);
    reader.list(trend.initialMean, trend.initialCount);
  }
  reader.end();
  return state;
}
