/**
 * The archives of one machine enter, lines of XML leave that `rrdtool restore` makes an RRD file of.
 *
 * A data source per series, and AVERAGE, MIN, MAX and LAST of every resolution. rrdtool names a row by its end and
 * counts back from the last update, so the newest row of each archive is the last that was complete at that time.
 */

import type { HistoryRows } from '../../domain/history.ts';
import type { HistoryExtent, HistoryView } from '../../store/history/history-view.ts';
import { readRows } from './selection.ts';

const FUNCTIONS = ['AVERAGE', 'MIN', 'MAX', 'LAST'] as const;
const COLUMNS = { AVERAGE: 'average', MIN: 'min', MAX: 'max', LAST: 'last' } as const;
/** Longest name of a data source. */
const MAX_NAME = 19;

/** @param extents series of one machine, at least one; @param xff as configured */
export function* rrdXmlLines(
  view: HistoryView,
  extents: readonly HistoryExtent[],
  xff: number,
): Generator<string> {
  const { archives, untilMs, hopMs } = extents[0]!;
  const stepS = primaryStepS(archives[0]!.stepMs / 1000, hopMs / 1000);
  const lastUpdateS = (untilMs ?? 0) / 1000;
  yield '<?xml version="1.0" encoding="utf-8"?>';
  yield '<!DOCTYPE rrd SYSTEM "https://oss.oetiker.ch/rrdtool/rrdtool.dtd">';
  yield `<rrd><version>0003</version><step>${stepS}</step><lastupdate>${lastUpdateS}</lastupdate>`;
  const names = sourceNames(extents.map(({ series }) => series));
  for (const [i, { machine, series }] of extents.entries()) {
    yield `<!-- ${names[i]}: ${commentText(machine)} ${commentText(series)} -->`;
    yield `<ds><name>${names[i]}</name><type>GAUGE</type><minimal_heartbeat>${archives[0]!.stepMs / 500}</minimal_heartbeat>`;
    yield '<min>NaN</min><max>NaN</max><last_ds>U</last_ds><value>NaN</value><unknown_sec>0</unknown_sec></ds>';
  }
  for (const { stepMs, rows } of archives) {
    const endMs = Math.floor((untilMs ?? 0) / stepMs) * stepMs;
    const place = { stepMs, startMs: endMs - rows * stepMs, rows };
    yield* archiveLines(view, extents, place, { xff, perRow: stepMs / 1000 / stepS });
  }
  yield '</rrd>';
}

/**
 * Step of the file, seconds: the distance of windows, or a part of the finest row. rrdtool answers a question for MIN
 * or MAX from any archive whose rows are one step long, AVERAGE first, so rows must be longer. Rows of one second
 * cannot be; there MIN and MAX come back as AVERAGE.
 */
export function primaryStepS(rowS: number, hopS: number): number {
  if (Number.isInteger(hopS) && hopS < rowS && rowS % hopS === 0) return hopS;
  let factor = 2;
  while (factor < rowS && rowS % factor !== 0) factor += 1;
  return Math.max(1, rowS / factor);
}

interface Place {
  readonly stepMs: number;
  readonly startMs: number;
  readonly rows: number;
}

function* archiveLines(
  view: HistoryView,
  extents: readonly HistoryExtent[],
  place: Place,
  { xff, perRow }: { xff: number; perRow: number },
): Generator<string> {
  const { stepMs, startMs } = place;
  const range = { from: startMs, to: startMs + place.rows * stepMs };
  const read = extents.map(({ machine, series }) => readRows(view, { machine, series, stepMs }, range));
  for (const name of FUNCTIONS) {
    yield `<rra><cf>${name}</cf><pdp_per_row>${perRow}</pdp_per_row><params><xff>${xff}</xff></params><cdp_prep>`;
    for (const _ of extents) {
      yield '<ds><primary_value>NaN</primary_value><secondary_value>NaN</secondary_value><value>NaN</value>';
      yield '<unknown_datapoints>0</unknown_datapoints></ds>';
    }
    yield '</cdp_prep><database>';
    for (let i = 0; i < place.rows; i += 1) {
      const values = read.map((rows) => `<v>${valueAt(rows, COLUMNS[name], startMs + i * stepMs)}</v>`);
      yield `<row>${values.join('')}</row>`;
    }
    yield '</database></rra>';
  }
}

function valueAt(rows: HistoryRows, column: 'average' | 'min' | 'max' | 'last', timeMs: number): string {
  const value = rows[column][(timeMs - rows.startMs) / rows.stepMs];
  return value === undefined || Number.isNaN(value) ? 'NaN' : String(value);
}

/** Names rrdtool takes: letters, digits and underscores, at most 19, each once. */
export function sourceNames(series: readonly string[]): string[] {
  const taken = new Set<string>();
  return series.map((name) => {
    const plain = name.replace(/[^A-Za-z0-9_]/g, '_').slice(0, MAX_NAME) || '_';
    let unique = plain;
    for (let n = 2; taken.has(unique); n += 1) {
      unique = `${plain.slice(0, MAX_NAME - 1 - String(n).length)}_${n}`;
    }
    taken.add(unique);
    return unique;
  });
}

/** Text that cannot end a comment, nor hold what XML does not allow. */
function commentText(text: string): string {
  return text.replace(/[^\x20-\x7e]|--|[<>&]|-$/g, '_');
}
