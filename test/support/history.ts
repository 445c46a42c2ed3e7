/** Windows for the history, a store that keeps them, and a model of its archives that shares no code with it. */

import { configSchema, type HistoryConfig } from '../../src/config/schema.ts';
import type { HistoryRows, HistorySample } from '../../src/domain/history.ts';
import type { WindowResult } from '../../src/domain/window-result.ts';
import type { HistoryView } from '../../src/store/history/history-view.ts';
import { openStoreReadOnly, type Store } from '../../src/store/store.ts';

/** 2026-06-01 00:00 UTC, a start of rows of every resolution used here. */
export const MIDNIGHT_MS = Date.UTC(2026, 5, 1);

/** The configuration's defaults with some keys changed. */
export function historyConfig(changes: Partial<HistoryConfig> = {}): HistoryConfig {
  return { ...configSchema.parse({ machineClasses: {} }).history, ...changes };
}

/** Three archives that turn over within days, so that tests see many turns. */
export const SMALL_ARCHIVES = [
  { stepMs: 10_000, rows: 96 },
  { stepMs: 60_000, rows: 96 },
  { stepMs: 600_000, rows: 144 },
];

/** A sample whose four values are one. */
export function plain(series: string, value: number): HistorySample {
  return { series, average: value, min: value, max: value, last: value };
}

export interface WindowOptions {
  readonly machine?: string;
  readonly sizeMs?: number;
  readonly hopMs?: number;
  /** Windows that end at or before this never come again; by default this one's end. */
  readonly finalMs?: number;
}

/** What the pipeline hands over for one window, without its points. */
export function windowResult(
  startMs: number,
  samples: readonly HistorySample[],
  { machine = 'pump-1', sizeMs = 10_000, hopMs = sizeMs, finalMs = startMs + sizeMs }: WindowOptions = {},
): WindowResult {
  return {
    machine,
    closedUntilMs: finalMs,
    points: [],
    stateWrites: [],
    history: { startMs, sizeMs, hopMs, samples },
  };
}

/** Works off everything that can wait. */
export function settle(store: Store): void {
  const unreserved = () =>
    store
      .metrics()
      .find(({ name, labels }) => name === 'millwright_history_bytes' && labels?.['part'] === 'unreserved');
  for (let i = 0; i < 100_000; i += 1) {
    if (store.idleStep()) continue;
    if (Number(unreserved()?.value ?? 0) === 0 && !store.idleStep()) return;
  }
  throw new Error('the store never comes to rest');
}

/** Reads beside the writer. */
export function reading<T>(path: string, use: (history: HistoryView) => T, xff = 0.5): T {
  const store = openStoreReadOnly(path);
  try {
    return use(store.history(xff));
  } finally {
    store.close();
  }
}

/** Every row of a series at one resolution that holds a window: start -> [average, min, max, last, count]. */
export function rowsIn(view: HistoryView, machine: string, series: string, stepMs: number) {
  const query = { machine, series, stepMs, fromMs: 0, toMs: 8.64e15, maxRows: 10_000_000 };
  const answer = view.rows(query);
  if ('refused' in answer) throw new Error(JSON.stringify(answer.refused));
  return toMap(answer.rows);
}

export function toMap(rows: HistoryRows): Map<number, readonly number[]> {
  const found = new Map<number, readonly number[]>();
  rows.count.forEach((count, i) => {
    if (count === 0) return;
    const { average, min, max, last } = rows;
    found.set(rows.startMs + i * rows.stepMs, [average[i]!, min[i]!, max[i]!, last[i]!, count]);
  });
  return found;
}

/** Every row of every series at every resolution, gaps by xff included. */
export function everything(view: HistoryView): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const { machine, series, archives } of view.list())
    for (const { stepMs } of archives)
      all[`${machine}/${series}/${stepMs}`] = [...rowsIn(view, machine, series, stepMs)];
  return all;
}

/** Rows of one resolution from all windows: the last one with the same start wins. */
export function naiveRows(
  windows: readonly { readonly startMs: number; readonly value: HistorySample | null }[],
  stepMs: number,
): Map<number, readonly number[]> {
  const newest = new Map(windows.map(({ startMs, value }) => [startMs, value]));
  const byRow = new Map<number, HistorySample[]>();
  for (const [startMs, value] of [...newest].sort(([a], [b]) => a - b)) {
    if (value === null) continue;
    const row = Math.floor(startMs / stepMs) * stepMs;
    byRow.set(row, [...(byRow.get(row) ?? []), value]);
  }
  return new Map(
    [...byRow].map(([row, values]) => {
      const mean = values.reduce((sum, { average }) => sum + Math.fround(average), 0) / values.length;
      const min = Math.min(...values.map((value) => Math.fround(value.min)));
      const max = Math.max(...values.map((value) => Math.fround(value.max)));
      // Adding 0: there is one zero.
      return [row, [mean + 0, min + 0, max + 0, Math.fround(values.at(-1)!.last) + 0, values.length]];
    }),
  );
}
