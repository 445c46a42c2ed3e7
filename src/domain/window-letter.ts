/** A window that could not be computed, as a dead letter: enough of it to find out why. */

import { type DeadLetter, keptOf } from './dead-letter.ts';
import type { ChannelSlice, Window } from './window.ts';

/** Values of one channel that are kept; with 16 channels about 16 KiB. */
const KEPT_VALUES = 64;
const MAX_PAYLOAD_BYTES = 16_384;

/** @param detail what failed, one line @param nowMs wall clock */
export function windowLetter(window: Window, detail: string, nowMs: number): DeadLetter {
  const { machineClass, machine, startMs, endMs, revision, slices } = window;
  const text = Buffer.from(
    JSON.stringify({
      machineClass,
      machine,
      startMs,
      endMs,
      revision,
      slices: slices.map(sliceSummary),
    }),
  );
  return {
    reason: 'window_failed',
    detail,
    source: `window:${machineClass}/${machine}`,
    ...keptOf(text, text.length, MAX_PAYLOAD_BYTES),
    receivedMs: nowMs,
  };
}

function sliceSummary(slice: ChannelSlice): object {
  const { channel, kind } = slice;
  if (slice.kind === 'scalar') {
    const { timeMs, value } = slice;
    return {
      channel,
      kind,
      samples: value.length,
      firstMs: timeMs[0],
      lastMs: timeMs.at(-1),
      values: [...value.subarray(0, KEPT_VALUES)],
    };
  }
  return {
    channel,
    kind,
    segments: slice.segments.length,
    samples: slice.segments.reduce((sum, { values }) => sum + values.length, 0),
    firstMs: slice.segments[0]?.t0Ms,
    values: [...(slice.segments[0]?.values.subarray(0, KEPT_VALUES) ?? [])],
  };
}
