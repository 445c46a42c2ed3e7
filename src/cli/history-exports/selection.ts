/** Which series and what time is asked for on the command line enter; the stored series that match, and rows, leave. */

import { InvalidArgumentError } from 'commander';
import type { HistoryRows } from '../../domain/history.ts';
import { GatewayError } from '../../errors.ts';
import type { HistoryExtent, HistoryView } from '../../store/history/history-view.ts';
import { parseEventTime } from '../recordings/event-time.ts';

export interface SelectionOptions {
  readonly machine?: string;
  readonly series?: string;
  readonly from?: number;
  readonly to?: number;
  readonly resolution?: number;
}

/** Rows of one series at one resolution. */
export interface SeriesRows {
  readonly machine: string;
  readonly series: string;
  readonly rows: HistoryRows;
}

/** More than the longest archive there can be. */
const ALL_ROWS = 100_000_000;
const END_OF_TIME_MS = 8.64e15;
const UNITS = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `60s`, `15min`, `1h`, `1d`, or milliseconds. */
export function parseResolution(text: string): number {
  const [, number, unit = 'ms'] = /^(\d+)(ms|s|min|h|d)?$/.exec(text.trim()) ?? [];
  if (number === undefined) throw new InvalidArgumentError('such as 60s, 15min, 1h, or milliseconds');
  return Number(number) * UNITS[unit as keyof typeof UNITS];
}

/** A date, a date with a time (UTC without a zone), or milliseconds since the epoch. */
export function parseTime(text: string): number {
  const timeMs = parseEventTime(text, /^\d+$/.test(text.trim()) ? 'ms' : 'iso8601');
  if (!Number.isFinite(timeMs))
    throw new InvalidArgumentError('such as 2026-06-01, 2026-06-01T12:00Z, or ms since 1970');
  return timeMs;
}

/** `1 min`, `15 min`, `1 h`, as a person would say it. */
export function formatResolution(stepMs: number): string {
  for (const [unit, ms] of Object.entries(UNITS).reverse())
    if (stepMs % ms === 0) return `${stepMs / ms} ${unit}`;
  return `${stepMs} ms`;
}

/** Stored series that are meant. @throws GatewayError MW_USAGE where there is none */
export function selectSeries(view: HistoryView, { machine, series }: SelectionOptions): HistoryExtent[] {
  const found = view
    .list()
    .filter((each) => (machine ?? each.machine) === each.machine && (series ?? each.series) === each.series);
  if (found.length > 0) return found;
  throw new GatewayError('MW_USAGE', 'the history has no such series', {
    hint: 'millwright history list shows what there is',
  });
}

/**
 * Rows of every selected series and resolution, one series at a time; gaps before the first known row are left out.
 * @throws GatewayError MW_USAGE for a resolution that no selected series has
 */
export function* selectRows(
  view: HistoryView,
  extents: readonly HistoryExtent[],
  options: SelectionOptions,
): Generator<SeriesRows> {
  const { resolution } = options;
  const has = ({ archives }: HistoryExtent) => archives.some(({ stepMs }) => stepMs === resolution);
  if (resolution !== undefined && !extents.some(has)) {
    const steps = [...new Set(extents.flatMap(({ archives }) => archives.map(({ stepMs }) => stepMs)))];
    throw new GatewayError('MW_USAGE', `no archive with rows of ${formatResolution(resolution)}`, {
      hint: `--resolution takes ${steps.map(formatResolution).join(', ').replaceAll(' ', '')}`,
    });
  }
  for (const { machine, series, archives } of extents) {
    for (const { stepMs } of archives) {
      if (resolution !== undefined && stepMs !== resolution) continue;
      const rows = readRows(view, { machine, series, stepMs }, options);
      if (rows.count.length > 0) yield { machine, series, rows };
    }
  }
}

/** Rows of one archive, from the first known one on. */
export function readRows(
  view: HistoryView,
  { machine, series, stepMs }: { machine: string; series: string; stepMs: number },
  { from, to }: Pick<SelectionOptions, 'from' | 'to'>,
): HistoryRows {
  const [fromMs, toMs] = [from ?? -END_OF_TIME_MS, to ?? END_OF_TIME_MS];
  const answer = view.rows({ machine, series, stepMs, fromMs, toMs, maxRows: ALL_ROWS });
  if ('refused' in answer)
    throw new GatewayError('MW_INTERNAL', `the history refused a series: ${answer.refused.reason}`);
  return fromFirstKnown(answer.rows);
}

function fromFirstKnown(rows: HistoryRows): HistoryRows {
  const first = rows.count.findIndex((count) => count > 0);
  const at = first < 0 ? rows.count.length : first;
  return {
    startMs: rows.startMs + at * rows.stepMs,
    stepMs: rows.stepMs,
    average: rows.average.subarray(at),
    min: rows.min.subarray(at),
    max: rows.max.subarray(at),
    last: rows.last.subarray(at),
    count: rows.count.subarray(at),
  };
}
