/** Paths and a format enter, recordings leave. */

import { GatewayError } from '../../errors.ts';
import { isCmapssName, readCmapss } from './cmapss.ts';
import { type CsvMapping, readCsv } from './csv.ts';
import { cwruManifestPath, readCwru } from './cwru.ts';
import { isFemtoName, readFemto } from './femto.ts';
import type { Recording } from './recording.ts';
import { isSkabText, readSkab } from './skab.ts';
import { readSourceFile, recordingError, type SourceFile } from './source-file.ts';
import { UnreadableCells } from './unreadable-cells.ts';

export const RECORDING_FORMATS = ['cmapss', 'skab', 'femto', 'cwru', 'csv'] as const;
export type RecordingFormat = (typeof RECORDING_FORMATS)[number];

export interface OpenedFile {
  readonly path: string;
  readonly format: RecordingFormat;
  /** One per machine in the file; at least one. */
  readonly recordings: readonly Recording[];
  /** What of its text could not be used. */
  readonly unreadable: UnreadableCells;
}

export interface OpenOptions {
  /** Default: told from the file's name and first bytes. */
  readonly format?: RecordingFormat | undefined;
  /** Renames the machine; only for files that hold a single one. */
  readonly machine?: string | undefined;
  readonly csv?: CsvMapping | undefined;
}

/** @throws GatewayError MW_RECORDING when a file cannot be read as its format */
export function openRecordings(path: string, options: OpenOptions = {}): OpenedFile {
  const file = readSourceFile(path);
  const format = options.format ?? guessFormat(file);
  const unreadable = new UnreadableCells();
  const recordings = READERS[format](file, options.csv ?? {}, unreadable);
  if (recordings.length === 0) throw recordingError(path, null, 'holds no rows');
  if (options.machine === undefined) return { path, format, recordings, unreadable };
  if (recordings.length > 1) {
    throw new GatewayError(
      'MW_USAGE',
      `${path} holds ${recordings.length} machines; --machine names only one`,
    );
  }
  return { path, format, recordings: [{ ...recordings[0]!, machine: options.machine }], unreadable };
}

type Reader = (file: SourceFile, csv: CsvMapping, unreadable: UnreadableCells) => Recording[];

const READERS: Record<RecordingFormat, Reader> = {
  cmapss: readCmapss,
  skab: readSkab,
  femto: readFemto,
  cwru: readCwru,
  csv: readCsv,
};

function guessFormat(file: SourceFile): RecordingFormat {
  if (isCmapssName(file.name)) return 'cmapss';
  if (isFemtoName(file.name)) return 'femto';
  if (/\.npy$/i.test(file.name)) {
    if (cwruManifestPath(file.path) !== null) return 'cwru';
    throw recordingError(file.path, null, 'is a NumPy file of no known layout (no manifest.csv beside it)');
  }
  return isSkabText(file.bytes) ? 'skab' : 'csv';
}
