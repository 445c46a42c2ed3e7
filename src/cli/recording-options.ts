/** Command-line options about recordings enter, opened recordings placed in time leave; shared by the commands that read them. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { GatewayError } from '../errors.ts';
import { parseEventTime, TIME_UNITS, type TimeUnit } from './recordings/event-time.ts';
import type { PlacedRecording } from './recordings/merge.ts';
import {
  type OpenedFile,
  openRecordings,
  RECORDING_FORMATS,
  type RecordingFormat,
} from './recordings/open.ts';

export interface RecordingOptions {
  readonly format?: RecordingFormat;
  readonly machine?: string;
  readonly start?: string;
  readonly parallel?: boolean;
  readonly timeColumn?: string;
  readonly timeUnit?: TimeUnit;
  readonly machineColumn?: string;
  readonly channelColumn?: string;
  readonly values?: string[];
  readonly delimiter?: string;
}

export function addRecordingOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--format <format>', 'layout of the files (default: told from name and content)').choices(
        RECORDING_FORMATS,
      ),
    )
    .option('--machine <id>', 'machine id, for files that hold a single machine')
    .addOption(
      new Option('--parallel', 'several files at the same time, interleaved; otherwise one after the other'),
    )
    .option('--time-column <name>', 'csv: column with the time (default: the first)')
    .addOption(
      new Option('--time-unit <unit>', 'csv: unit of the time (default: told from the first cell)').choices(
        TIME_UNITS,
      ),
    )
    .option('--machine-column <name>', 'csv: column that names the machine')
    .option('--channel-column <name>', 'csv: column that names the channel, one value a row')
    .option('--values <names>', 'csv: value columns, separated by commas (default: all numeric)', (text) =>
      text.split(','),
    )
    .option('--delimiter <char>', 'csv: between the cells (default: told from the header)');
}

/** @throws GatewayError MW_RECORDING, MW_USAGE */
export function openFiles(paths: readonly string[], options: RecordingOptions): OpenedFile[] {
  if (options.machine !== undefined && !/^[A-Za-z0-9_.:-]{1,64}$/.test(options.machine)) {
    throw new GatewayError('MW_USAGE', `--machine ${options.machine}: letters, digits, _ . : - (at most 64)`);
  }
  return paths.map((path) =>
    openRecordings(path, {
      format: options.format,
      machine: options.machine,
      csv: {
        timeColumn: options.timeColumn,
        timeUnit: options.timeUnit,
        machineColumn: options.machineColumn,
        channelColumn: options.channelColumn,
        valueColumns: options.values,
        delimiter: options.delimiter,
      },
    }),
  );
}

/** Files placed relative to a start of 0, and when the last message of all is. */
export interface Timeline {
  readonly placed: readonly PlacedRecording[];
  readonly lastMs: number;
}

/**
 * Machines of one file run side by side from their file's beginning, keeping the distances their own times state.
 * Files follow each other, one spacing apart, or all begin together if `parallel`.
 */
export function arrange(files: readonly OpenedFile[], parallel: boolean): Timeline {
  const placed: PlacedRecording[] = [];
  let fileStart = 0;
  let lastMs = 0;
  for (const { recordings } of files) {
    const origins = recordings.map(({ originMs }) => originMs).filter((origin) => origin !== null);
    const fileOrigin = origins.length === 0 ? 0 : Math.min(...origins);
    let fileEnd = fileStart;
    for (const recording of recordings) {
      const startMs = fileStart + (recording.originMs === null ? 0 : recording.originMs - fileOrigin);
      placed.push({ recording, startMs });
      lastMs = Math.max(lastMs, startMs + recording.lastOffsetMs);
      fileEnd = Math.max(fileEnd, startMs + recording.lastOffsetMs + recording.spacingMs);
    }
    if (!parallel) fileStart = fileEnd;
  }
  return { placed, lastMs };
}

/** The same recordings, each begun `byMs` later. */
export function shift(placed: readonly PlacedRecording[], byMs: number): PlacedRecording[] {
  return placed.map(({ recording, startMs }) => ({ recording, startMs: startMs + byMs }));
}

/** Each recording at the time it states itself; the others as arranged, from `undatedMs` on. */
export function asRecorded(placed: readonly PlacedRecording[], undatedMs: number): PlacedRecording[] {
  return placed.map(({ recording, startMs }) => ({
    recording,
    startMs: recording.originMs ?? undatedMs + startMs,
  }));
}

/** @throws GatewayError MW_USAGE */
export function parseStart(text: string): number {
  const timeMs = parseEventTime(text, 'iso8601');
  if (!Number.isFinite(timeMs)) {
    throw new GatewayError('MW_USAGE', `--start ${text} is not a time`, {
      hint: 'for example 2024-05-01T08:00:00Z',
    });
  }
  return timeMs;
}

/** Parser for an option that takes a whole number. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(
        `expected a whole number from ${min}${max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`}`,
      );
    }
    return value;
  };
}
