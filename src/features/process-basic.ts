/** Set `proc.basic`: scalar samples of one window -> level, spread, trend and time-weighted mean. */

import type { ChannelConfig } from '../config/schema.ts';
import type { ScalarSlice } from '../domain/window.ts';
import { featureSpec, type ScalarFeatureSet } from './feature-set.ts';
import { momentsOf } from './moments.ts';

const MS_PER_HOUR = 3_600_000;
/** A gap of more than this many nominal periods is no longer bridged by the last value. */
const HOLD_PERIODS = 3;

/** Feature `last`: newest sample of the window. Also part of `proc.trend`, so that one id has one meaning. */
export function lastValue({ unit }: ChannelConfig): ScalarFeatureSet {
  return {
    specs: [featureSpec('last', unit)],
    compute({ value }, _window, _state, out, at) {
      if (value.length > 0) out[at] = value[value.length - 1]!;
    },
  };
}

/**
 * `std` divides by n, `std_sample` by n - 1; both, the slope and `delta` (last minus first) need two samples, the
 * slope at two different times. `mean` weighs every sample alike, `twa` by how long its value stood: from the sample
 * to the next one, the value before the window reaching into it. Where a period is declared a value stands for at
 * most three of them, and longer gaps weigh nothing; an on-change sensor (no period) holds until it speaks again.
 */
export function processBasic(config: ChannelConfig): ScalarFeatureSet {
  const { unit, periodMs } = config;
  const maxHoldMs = periodMs === undefined ? Number.POSITIVE_INFINITY : HOLD_PERIODS * periodMs;
  const hold = periodMs === undefined ? {} : { maxHoldMs };
  return {
    specs: [
      featureSpec('mean', unit),
      featureSpec('std', unit),
      featureSpec('std_sample', unit),
      featureSpec('min', unit),
      featureSpec('max', unit),
      featureSpec('last', unit),
      featureSpec('slope_per_h', `${unit}/h`),
      featureSpec('delta', unit),
      featureSpec('count', '1'),
      featureSpec('twa', unit, hold),
    ],
    compute(slice, window, _state, out, at) {
      writeSamples(slice, out, at);
      out[at + 9] = timeWeightedMean(slice, window.startMs, window.endMs, maxHoldMs);
    },
  };
}

function writeSamples({ timeMs, value }: ScalarSlice, out: Float64Array, at: number): void {
  const n = value.length;
  out[at + 8] = n;
  if (n === 0) return;
  const { mean, m2, min, max } = momentsOf(value, n);
  out[at] = mean;
  out[at + 3] = min;
  out[at + 4] = max;
  out[at + 5] = value[n - 1]!;
  if (n < 2) return;
  out[at + 1] = Math.sqrt(m2);
  out[at + 2] = Math.sqrt((m2 * n) / (n - 1));
  out[at + 6] = slope(timeMs, value, mean) * MS_PER_HOUR;
  out[at + 7] = value[n - 1]! - value[0]!;
}

/**
 * Ordinary least squares slope of y over x; NaN when all x are equal.
 * @param x shape [n], ascending
 * @param yMean mean of y
 */
export function slope(x: Float64Array, y: Float64Array, yMean: number): number {
  const n = y.length;
  const origin = x[0]!;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[i]! - origin;
  const xMean = sum / n;
  let sxx = 0;
  let sxy = 0;
  for (let i = 0; i < n; i++) {
    const dx = x[i]! - origin - xMean;
    sxx += dx * dx;
    sxy += dx * (y[i]! - yMean);
  }
  return sxx === 0 ? Number.NaN : sxy / sxx;
}

/**
 * Integral of the held value over the time it covers, divided by that time; NaN when nothing covers the window.
 * @param maxHoldMs how long a value stands without a successor; may be infinite
 */
export function timeWeightedMean(
  { timeMs, value, held }: ScalarSlice,
  startMs: number,
  endMs: number,
  maxHoldMs: number,
): number {
  const n = value.length;
  let weighted = 0;
  let covered = 0;
  if (held !== null) {
    const untilMs = Math.min(n > 0 ? timeMs[0]! : endMs, held.timeMs + maxHoldMs);
    const duration = Math.max(0, untilMs - startMs);
    weighted += held.value * duration;
    covered += duration;
  }
  for (let i = 0; i < n; i++) {
    const next = i + 1 < n ? timeMs[i + 1]! : endMs;
    const duration = Math.min(next - timeMs[i]!, maxHoldMs);
    weighted += value[i]! * duration;
    covered += duration;
  }
  return covered === 0 ? Number.NaN : weighted / covered;
}
