/**
 * SKAB experiment files (`;`-separated, one row a second) enter, one recording per file leaves; labels beside it.
 *
 * Source: Katser, Kozitsin, "Skoltech Anomaly Benchmark (SKAB)", 2020, DOI 10.34740/KAGGLE/DSV/1693952.
 */

import { basename, dirname } from 'node:path';
import { numberCell, parseDelimited } from './delimited-text.ts';
import { parseEventTime } from './event-time.ts';
import { identifierFrom, type Recording } from './recording.ts';
import { rowsRecording, type TimedRow } from './rows-recording.ts';
import { recordingError, type SourceFile } from './source-file.ts';
import type { UnreadableCells } from './unreadable-cells.ts';

const LABELS = new Set(['anomaly', 'changepoint']);

/** One row's truth. */
export interface SkabLabel {
  readonly timeMs: number;
  readonly anomaly: boolean;
}

/** True if the first line is a SKAB header. */
export function isSkabText(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, 64).startsWith('datetime;');
}

/** `skab-valve1-0` for `valve1/0.csv`. */
export function skabMachine(path: string): string {
  const stem = basename(path).replace(/\.csv(\.gz)?$/i, '');
  return identifierFrom(`skab-${basename(dirname(path))}-${stem}`);
}

/** Channel names as in the header, with `_` for blanks; label columns are never published. */
export function readSkab(file: SourceFile, _mapping: unknown, unreadable: UnreadableCells): Recording[] {
  const text = parseDelimited(file.bytes.toString('utf8'), ';');
  const columns = text.header
    .map((name, index) => ({ name: identifierFrom(name), index }))
    .filter(({ name, index }) => index > 0 && !LABELS.has(name));
  const rows: TimedRow[] = [];
  for (const { line, cells } of text.rows()) {
    const timeMs = rowTime(file, line, cells);
    const values: Record<string, number> = {};
    for (const { name, index } of columns) {
      const value = numberCell(cells[index]);
      if (Number.isFinite(value)) values[name] = value;
      else unreadable.add(name, line, cells[index]);
    }
    rows.push({ timeMs, values });
  }
  if (rows.length === 0) throw recordingError(file.path, null, 'holds no rows');
  const names = columns.map(({ name }) => name);
  return [rowsRecording(skabMachine(file.path), names, rows, true)];
}

/** The truth of every row, ascending; empty for the fault-free file, which has no label column. */
export function readSkabLabels(file: SourceFile): SkabLabel[] {
  const text = parseDelimited(file.bytes.toString('utf8'), ';');
  const column = text.header.indexOf('anomaly');
  if (column < 0) return [];
  const labels: SkabLabel[] = [];
  for (const { line, cells } of text.rows()) {
    labels.push({ timeMs: rowTime(file, line, cells), anomaly: numberCell(cells[column]) >= 0.5 });
  }
  return labels.sort((a, b) => a.timeMs - b.timeMs);
}

function rowTime(file: SourceFile, line: number, cells: readonly string[]): number {
  const timeMs = parseEventTime(cells[0] ?? '', 'iso8601');
  if (Number.isNaN(timeMs)) throw recordingError(file.path, line, `"${cells[0] ?? ''}" is not a time`);
  return timeMs;
}
