/** Set `proc.trend`: a channel's window means so far -> level and drift over trailing windows. */

import type { ChannelConfig, MachineClassConfig } from '../config/schema.ts';
import { featureSpec, type ScalarFeatureSet } from './feature-set.ts';
import { meanOf } from './moments.ts';
import { EWMA_SPAN, INITIAL_WINDOWS, LONGEST_TRAILING, TrendMemory, trendCapacity } from './trend-memory.ts';

/** Trailing lengths in windows. */
const TRAILING = [10, 30, LONGEST_TRAILING] as const;

/**
 * Made for machines that send one row a cycle, where a window is a cycle. Every trailing statistic is of the window
 * means of the last W windows including this one; a shorter history uses what is there, and a single window has
 * neither `std` (population) nor `slope` (least squares, per window). `diff_initial` is the distance from the mean of
 * the machine's own first ten windows, of those seen so far. A revision of a window that is no longer remembered, or
 * whose trailing windows are not, leaves what needs them undefined. The set also has `last`, from `lastValue`.
 */
export function processTrend(
  { unit }: ChannelConfig,
  { sizeMs, hopMs = sizeMs, allowedLatenessMs }: MachineClassConfig['window'],
): ScalarFeatureSet {
  const capacity = trendCapacity(allowedLatenessMs, hopMs);
  return {
    specs: [
      featureSpec(`ewma.${EWMA_SPAN}`, unit, { spanWindows: EWMA_SPAN }),
      featureSpec('diff_initial', unit, { initialWindows: INITIAL_WINDOWS }),
      ...TRAILING.map((windows) => featureSpec(`mean.${windows}`, unit, { windows })),
      ...TRAILING.map((windows) => featureSpec(`std.${windows}`, unit, { windows })),
      ...TRAILING.map((windows) => featureSpec(`slope.${windows}`, `${unit}/window`, { windows })),
    ],
    compute({ channel, value }, { startMs }, state, out, at) {
      const n = value.length;
      if (n === 0) return;
      let memory = state.trends.get(channel);
      if (memory === undefined) {
        memory = new TrendMemory();
        state.trends.set(channel, memory);
      }
      const index = memory.put(startMs, meanOf(value, n), capacity);
      if (index < 0) return;
      out[at] = memory.ewma(index);
      out[at + 1] = memory.mean[index]! - memory.initialLevel(startMs);
      for (let i = 0; i < TRAILING.length; i++) {
        const first = memory.trailingStart(index, TRAILING[i]!);
        if (first >= 0) writeTrailing(memory.mean, first, index + 1, out, at + 2 + i);
      }
    },
  };
}

/** Mean, std and slope of y[first..end), to `at` and the places of the same trailing length after it. */
function writeTrailing(y: Float64Array, first: number, end: number, out: Float64Array, at: number): void {
  const n = end - first;
  let sum = 0;
  for (let i = first; i < end; i++) sum += y[i]!;
  const mean = sum / n;
  out[at] = mean;
  if (n < 2) return;
  const middle = (n - 1) / 2;
  let squares = 0;
  let sxx = 0;
  let sxy = 0;
  for (let i = first; i < end; i++) {
    const dx = i - first - middle;
    const dy = y[i]! - mean;
    squares += dy * dy;
    sxx += dx * dx;
    sxy += dx * dy;
  }
  out[at + TRAILING.length] = Math.sqrt(squares / n);
  out[at + 2 * TRAILING.length] = sxy / sxx;
}
