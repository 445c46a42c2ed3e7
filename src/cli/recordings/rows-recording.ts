/** Timed rows of one machine enter, a recording leaves: shared by the text formats. */

import type { Recording, RowMessage } from './recording.ts';

export interface TimedRow {
  /** Absolute ms, or ms from an unknown beginning. */
  readonly timeMs: number;
  readonly values: Readonly<Record<string, number>>;
}

/**
 * @param rows any order; sorted by time here, rows of one instant keep theirs. At least one.
 * @param absolute true if the times are since the epoch
 */
export function rowsRecording(
  machine: string,
  channels: readonly string[],
  rows: readonly TimedRow[],
  absolute: boolean,
): Recording {
  const sorted = isAscending(rows) ? rows : rows.map((row) => row).sort((a, b) => a.timeMs - b.timeMs);
  const origin = sorted[0]!.timeMs;
  const last = sorted.at(-1)!.timeMs - origin;
  return {
    machine,
    channels,
    originMs: absolute ? origin : null,
    lastOffsetMs: last,
    spacingMs: medianSpacing(sorted),
    messageCount: sorted.length,
    *messages(): Generator<RowMessage> {
      for (const row of sorted) yield { kind: 'row', offsetMs: row.timeMs - origin, values: row.values };
    },
  };
}

function isAscending(rows: readonly TimedRow[]): boolean {
  return rows.every((row, i) => i === 0 || rows[i - 1]!.timeMs <= row.timeMs);
}

/** Median distance of the first thousand rows; 1 s for a single row. */
function medianSpacing(rows: readonly TimedRow[]): number {
  const steps = rows
    .slice(0, 1000)
    .map((row, i) => (i === 0 ? 0 : row.timeMs - rows[i - 1]!.timeMs))
    .filter((step) => step > 0)
    .sort((a, b) => a - b);
  return steps[steps.length >> 1] ?? 1000;
}
