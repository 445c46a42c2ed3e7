/** Rows of the history enter, lines of a comma-separated table leave that a spreadsheet shows and does not run. */

import { floatCell } from '../extraction/feature-table.ts';
import type { SeriesRows } from './selection.ts';

export const CSV_HEADER = 'time,machine,series,resolution_s,average,min,max,last,count';

/** One line per row, without line breaks; a gap has empty cells. */
export function* csvLines({ machine, series, rows }: SeriesRows): Generator<string> {
  const names = `${textCell(machine)},${textCell(series)},${rows.stepMs / 1000}`;
  for (let i = 0; i < rows.count.length; i += 1) {
    const time = new Date(rows.startMs + i * rows.stepMs).toISOString();
    const values = [rows.average[i]!, rows.min[i]!, rows.max[i]!, rows.last[i]!].map(floatCell).join(',');
    yield `${time},${names},${values},${rows.count[i]}`;
  }
}

/**
 * A text as one cell. What a spreadsheet would take for a formula gets an apostrophe (OWASP, CSV injection): machines
 * and channels are named by whoever publishes.
 */
export function textCell(text: string): string {
  const safe = /^[\s]*[=+\-@\t\r\uFF1D\uFF0B\uFF0D\uFF20]/.test(text) ? `'${text}` : text;
  return /[",\r\n\t;]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
