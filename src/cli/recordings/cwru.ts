/**
 * Case Western Reserve University bearing waveforms (NumPy, int16 counts) enter, one recording per file leaves, cut
 * into blocks of one second.
 *
 * Source: Bearing Data Center, Case School of Engineering; sample rate and scale come from `manifest.csv` beside.
 */

import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { numberCell, parseDelimited } from './delimited-text.ts';
import { readNpy } from './npy.ts';
import { identifierFrom, type Recording, type WaveformMessage } from './recording.ts';
import { readSourceFile, recordingError, type SourceFile } from './source-file.ts';

const BLOCK_MS = 1000;

/** The index of a folder of such files, or null. */
export function cwruManifestPath(path: string): string | null {
  const manifest = join(dirname(path), 'manifest.csv');
  return existsSync(manifest) ? manifest : null;
}

/** Machine `cwru-1797_IR_7_DE12`, channel `DE` or `FE`, unit g. The last block may be shorter. */
export function readCwru(file: SourceFile): Recording[] {
  const entry = manifestEntry(file);
  const { shape, values } = readNpy(file);
  if (shape.length !== 1 || values.length === 0) {
    throw recordingError(file.path, null, `shape (${shape.join(', ')}) is not one channel of samples`);
  }
  const blockSamples = Math.round((entry.sampleRateHz * BLOCK_MS) / 1000);
  const blocks = Math.ceil(values.length / blockSamples);
  const stem = file.name.replace(/\.npy$/i, '').replace(new RegExp(`_${entry.channel}$`), '');
  return [
    {
      machine: identifierFrom(`cwru-${stem}`),
      channels: [entry.channel],
      originMs: null,
      lastOffsetMs: (blocks - 1) * BLOCK_MS,
      spacingMs: BLOCK_MS,
      messageCount: blocks,
      *messages(): Generator<WaveformMessage> {
        for (let b = 0; b < blocks; b += 1) {
          const counts = values.subarray(b * blockSamples, (b + 1) * blockSamples);
          yield {
            kind: 'waveform',
            offsetMs: b * BLOCK_MS,
            channel: entry.channel,
            unit: 'g',
            sampleRateHz: entry.sampleRateHz,
            sequence: b + 1,
            values: Float32Array.from(counts, (count) => count * entry.scalePerCount),
          };
        }
      },
    },
  ];
}

function manifestEntry(file: SourceFile): { channel: string; sampleRateHz: number; scalePerCount: number } {
  const path = cwruManifestPath(file.path);
  if (path === null) throw recordingError(file.path, null, 'has no manifest.csv beside it');
  const table = parseDelimited(readSourceFile(path).bytes.toString('utf8'));
  const column = (name: string) => table.header.indexOf(name);
  for (const { line, cells } of table.rows()) {
    if (cells[column('file')]?.replace(/\.gz$/, '') !== basename(file.name)) continue;
    const entry = {
      channel: cells[column('channel')] ?? '',
      sampleRateHz: numberCell(cells[column('sample_rate_hz')]),
      scalePerCount: numberCell(cells[column('scale_per_count')]),
    };
    if (entry.channel === '' || !(entry.sampleRateHz > 0) || !(entry.scalePerCount > 0)) {
      throw recordingError(path, line, 'channel, sample_rate_hz and scale_per_count are needed');
    }
    return entry;
  }
  throw recordingError(path, null, `does not list ${file.name}`);
}
