/**
 * Any table with a time column enters, recordings leave: wide (one column per channel, optionally a machine column)
 * or long (columns machine, channel, value).
 */

import { type DelimitedText, numberCell, parseDelimited } from './delimited-text.ts';
import { parseEventTime, type TimeUnit } from './event-time.ts';
import { identifierFrom, type Recording } from './recording.ts';
import { rowsRecording, type TimedRow } from './rows-recording.ts';
import { recordingError, type SourceFile } from './source-file.ts';
import type { UnreadableCells } from './unreadable-cells.ts';

/** Which column means what. Names must match the header exactly. */
export interface CsvMapping {
  /** Default: the first column. */
  readonly timeColumn?: string | undefined;
  /** Default: told from the first cell: a number is seconds below 1e11, else milliseconds; other text is ISO 8601. */
  readonly timeUnit?: TimeUnit | undefined;
  readonly machineColumn?: string | undefined;
  /** Long form: the column that names the channel; needs exactly one value column. */
  readonly channelColumn?: string | undefined;
  /** Default: every other column in which a row holds a number. */
  readonly valueColumns?: readonly string[] | undefined;
  readonly delimiter?: string | undefined;
}

interface Layout {
  readonly time: number;
  readonly unit: TimeUnit;
  readonly machine: number;
  readonly channel: number;
  readonly values: readonly { readonly name: string; readonly index: number }[];
}

/**
 * Recordings by machine, in order of first appearance. Cells that are empty or no number are left out of their row; the
 * latter are counted in `unreadable`.
 * @throws GatewayError MW_RECORDING on a missing column or an unreadable time
 */
export function readCsv(file: SourceFile, mapping: CsvMapping, unreadable: UnreadableCells): Recording[] {
  const text = parseDelimited(file.bytes.toString('utf8'), mapping.delimiter);
  const layout = layoutOf(file, text, mapping);
  const machines = new Map<string, { rows: TimedRow[]; channels: Set<string> }>();
  for (const { line, cells } of text.rows()) {
    const timeMs = parseEventTime(cells[layout.time] ?? '', layout.unit);
    if (!Number.isFinite(timeMs))
      throw recordingError(file.path, line, `"${cells[layout.time] ?? ''}" is not a time`);
    const machine = layout.machine < 0 ? file.name.replace(/\.[^.]*$/, '') : (cells[layout.machine] ?? '');
    const key = identifierFrom(machine);
    const entry = machines.get(key) ?? { rows: [], channels: new Set<string>() };
    machines.set(key, entry);
    const values: Record<string, number> = {};
    for (const { name, index } of layout.values) {
      const value = numberCell(cells[index]);
      const channel = layout.channel < 0 ? name : identifierFrom(cells[layout.channel] ?? '');
      if (!Number.isFinite(value)) {
        unreadable.add(channel, line, cells[index]);
        continue;
      }
      values[channel] = value;
      entry.channels.add(channel);
    }
    if (Object.keys(values).length > 0) entry.rows.push({ timeMs, values });
  }
  const recordings = [...machines]
    .filter(([, entry]) => entry.rows.length > 0)
    .map(([machine, entry]) => rowsRecording(machine, [...entry.channels], entry.rows, true));
  if (recordings.length === 0) throw recordingError(file.path, null, 'holds no values');
  return recordings;
}

function layoutOf(file: SourceFile, text: DelimitedText, mapping: CsvMapping): Layout {
  const column = (name: string | undefined, fallback: number) => {
    if (name === undefined) return fallback;
    const index = text.header.indexOf(name);
    if (index < 0)
      throw recordingError(file.path, 1, `has no column "${name}"; it has: ${text.header.join(', ')}`);
    return index;
  };
  const [first] = text.rows();
  if (first === undefined) throw recordingError(file.path, null, 'holds no rows');
  const time = column(mapping.timeColumn, 0);
  const machine = column(mapping.machineColumn, -1);
  const channel = column(mapping.channelColumn, -1);
  const taken = new Set([time, machine, channel]);
  const indices =
    mapping.valueColumns?.map((name) => column(name, -1)) ??
    numericColumns(text).filter((i) => !taken.has(i));
  if (indices.length === 0) throw recordingError(file.path, 1, 'has no column with numbers beside the time');
  if (channel >= 0 && indices.length !== 1) {
    throw recordingError(file.path, 1, 'a table with a channel column needs exactly one value column');
  }
  const values = indices.map((index) => ({ name: identifierFrom(text.header[index]!), index }));
  return { time, unit: mapping.timeUnit ?? guessUnit(first.cells[time] ?? ''), machine, channel, values };
}

/** The first row does not decide: a sensor that had not spoken yet would be left out for all rows. */
function numericColumns(text: DelimitedText): number[] {
  const open = new Set(text.header.keys());
  for (const { cells } of text.rows()) {
    for (const index of open) if (Number.isFinite(numberCell(cells[index]))) open.delete(index);
    if (open.size === 0) break;
  }
  return [...text.header.keys()].filter((index) => !open.has(index));
}

function guessUnit(cell: string): TimeUnit {
  const number = numberCell(cell);
  if (Number.isNaN(number)) return 'iso8601';
  // 1e11 s is the year 5138, 1e11 ms is 1973: no plant recording is near either.
  return Math.abs(number) < 1e11 ? 's' : 'ms';
}
