/**
 * FEMTO-ST / PRONOSTIA bearing waveforms (NumPy, milli-g) enter, one recording of two channels leaves.
 *
 * Source: Nectoux et al., "PRONOSTIA: An Experimental Platform for Bearings Accelerated Degradation Tests",
 * IEEE PHM 2012. A recording of 0.1 s every 10 s; the file may keep only some of them.
 */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseDelimited } from './delimited-text.ts';
import { readNpy } from './npy.ts';
import type { Recording, WaveformMessage } from './recording.ts';
import { readSourceFile, recordingError, type SourceFile } from './source-file.ts';

export const FEMTO_SAMPLE_RATE_HZ = 25_600;
/** Distance of two recordings of the rig. */
export const FEMTO_SPACING_MS = 10_000;
const CHANNELS = ['horizontal', 'vertical'] as const;

/** True for `Bearing1_2.npy` and its like. */
export function isFemtoName(name: string): boolean {
  return /^Bearing\d_\d+\.npy$/i.test(name);
}

/**
 * One waveform message per channel and stored recording; the sequence number is the rig's record number (from 1)
 * and the offset (record - 1) * 10 s, so that left-out recordings stay gaps.
 */
export function readFemto(file: SourceFile): Recording[] {
  const { shape, values } = readNpy(file);
  const [records, samples, channels] = shape as [number, number, number];
  if (shape.length !== 3 || channels !== CHANNELS.length || records === 0) {
    throw recordingError(file.path, null, `shape (${shape.join(', ')}) is not (recordings, samples, 2)`);
  }
  const recordOfRow = recordNumbers(file, records);
  return [
    {
      machine: file.name.replace(/\.npy$/i, ''),
      channels: CHANNELS,
      originMs: null,
      lastOffsetMs: (recordOfRow.at(-1)! - 1) * FEMTO_SPACING_MS,
      spacingMs: FEMTO_SPACING_MS,
      messageCount: records * CHANNELS.length,
      *messages(): Generator<WaveformMessage> {
        for (let row = 0; row < records; row += 1) {
          for (let c = 0; c < CHANNELS.length; c += 1) {
            const block = new Float32Array(samples);
            const first = row * samples * CHANNELS.length + c;
            for (let i = 0; i < samples; i += 1) block[i] = values[first + i * CHANNELS.length]! / 1000;
            yield {
              kind: 'waveform',
              offsetMs: (recordOfRow[row]! - 1) * FEMTO_SPACING_MS,
              channel: CHANNELS[c]!,
              unit: 'g',
              sampleRateHz: FEMTO_SAMPLE_RATE_HZ,
              sequence: recordOfRow[row]!,
              values: block,
            };
          }
        }
      },
    },
  ];
}

/**
 * Record number of each row of the waveform file, from the `_features.csv.gz` beside it. Without that file the rows
 * are taken as consecutive recordings.
 */
function recordNumbers(file: SourceFile, rows: number): number[] {
  const stem = file.name.replace(/\.npy$/i, '_features.csv');
  const beside = [`${stem}.gz`, stem]
    .map((name) => join(dirname(file.path), name))
    .find((path) => existsSync(path));
  const consecutive = Array.from({ length: rows }, (_, i) => i + 1);
  if (beside === undefined) return consecutive;
  const table = parseDelimited(readSourceFile(beside).bytes.toString('utf8'));
  const record = table.header.indexOf('record');
  const inFile = table.header.indexOf('in_waveform_file');
  if (record < 0 || inFile < 0) return consecutive;
  const numbers: number[] = [];
  for (const { cells } of table.rows()) {
    if ((cells[inFile] ?? '') !== '') numbers[Number(cells[inFile])] = Number(cells[record]);
  }
  const ascending = numbers.every(
    (n, i) => Number.isInteger(n) && n >= 1 && (i === 0 || n > numbers[i - 1]!),
  );
  // `every` skips holes, so the count of real entries is checked as well.
  if (!ascending || Object.keys(numbers).length !== rows) {
    throw recordingError(
      beside,
      null,
      `does not name the record of each of the ${rows} rows of ${file.name}`,
    );
  }
  return numbers;
}
