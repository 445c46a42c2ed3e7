import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRecordings } from '../../../../src/cli/recordings/open.ts';
import type { RowMessage, WaveformMessage } from '../../../../src/cli/recordings/recording.ts';
import { readSkabLabels } from '../../../../src/cli/recordings/skab.ts';
import { readSourceFile } from '../../../../src/cli/recordings/source-file.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millwright-recordings-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(dir, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** A NumPy file as NEP 1 describes it, written independently of the reader. */
function npy(descr: string, shape: readonly number[], data: Uint8Array): Buffer {
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const header = Buffer.from(`${dict.padEnd(117)}\n`, 'latin1');
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, header, data]);
}

const bytesOf = (values: Int16Array | Int32Array) => new Uint8Array(values.buffer);

describe('C-MAPSS text', () => {
  const row = (unit: number, cycle: number, first: number) =>
    `${[unit, cycle, first, 0, 100, ...Array.from({ length: 21 }, (_, i) => i + 0.5)].join(' ')}  \n`;

  it('gives one machine per engine, one row a minute, channels by their published names', () => {
    const path = write('train_FD009.txt', row(1, 1, 0.25) + row(1, 2, -0.5) + row(2, 1, 1));
    const { format, recordings } = openRecordings(path);
    expect(format).toBe('cmapss');
    expect(recordings.map((r) => [r.machine, r.messageCount, r.lastOffsetMs])).toEqual([
      ['FD009-train-001', 2, 60_000],
      ['FD009-train-002', 1, 0],
    ]);
    const [, second] = [...recordings[0]!.messages()] as RowMessage[];
    expect(second).toMatchObject({
      offsetMs: 60_000,
      values: { setting1: -0.5, setting3: 100, s1: 0.5, s21: 20.5 },
    });
    expect(Object.keys(second!.values)).toHaveLength(24);
  });

  it('reads the same from a gzipped file', () => {
    const path = write('test_FD009.txt.gz', gzipSync(row(7, 1, 0)));
    expect(openRecordings(path).recordings[0]!.machine).toBe('FD009-test-007');
  });

  it('names the line of a row that is short, and of a cycle that goes back', () => {
    expect(() => openRecordings(write('train_FD008.txt', `${row(1, 1, 0)}1 2 3\n`))).toThrow(
      /:2: expected 26 numbers/,
    );
    expect(() => openRecordings(write('train_FD007.txt', row(1, 2, 0) + row(1, 2, 0)))).toThrow(
      /:2: cycle 2/,
    );
  });
});

describe('SKAB text', () => {
  const text =
    'datetime;Current;Volume Flow RateRMS;anomaly;changepoint\n' +
    '2020-03-01 15:44:06;1.25;76.0;0.0;0.0\n2020-03-01 15:44:08;1.5;;1.0;1.0\n';

  it('keeps the stated time as UTC, names channels as identifiers and never publishes labels', () => {
    const [recording] = openRecordings(write('valve1/3.csv', text)).recordings;
    expect(recording).toMatchObject({
      machine: 'skab-valve1-3',
      channels: ['Current', 'Volume_Flow_RateRMS'],
      originMs: Date.UTC(2020, 2, 1, 15, 44, 6),
      spacingMs: 2000,
    });
    expect([...recording!.messages()]).toEqual([
      { kind: 'row', offsetMs: 0, values: { Current: 1.25, Volume_Flow_RateRMS: 76 } },
      { kind: 'row', offsetMs: 2000, values: { Current: 1.5 } },
    ]);
  });

  it('gives the truth of every row to those who score', () => {
    const labels = readSkabLabels(readSourceFile(write('valve1/4.csv', text)));
    expect(labels.map((label) => label.anomaly)).toEqual([false, true]);
  });
});

describe('FEMTO waveforms', () => {
  const samples = Int32Array.from([1000, -2000, 1500, 2500, 3000, 4000, 5000, 6000]);

  it('splits the two axes, scales milli-g to g, and keeps left-out recordings as gaps', () => {
    const path = write('Bearing1_1.npy', npy('<i4', [2, 2, 2], bytesOf(samples)));
    write('Bearing1_1_features.csv', 'record,in_waveform_file,clock_s\n1,0,5\n2,,6\n3,1,7\n');
    const [recording] = openRecordings(path).recordings;
    const messages = [...recording!.messages()] as WaveformMessage[];
    expect(messages.map((m) => [m.channel, m.offsetMs, m.sequence, ...m.values])).toEqual([
      ['horizontal', 0, 1, 1, 1.5],
      ['vertical', 0, 1, -2, 2.5],
      ['horizontal', 20_000, 3, 3, 5],
      ['vertical', 20_000, 3, 4, 6],
    ]);
    expect(recording!.lastOffsetMs).toBe(20_000);
  });

  it('refuses an index that does not cover the file', () => {
    const path = write('Bearing1_9.npy', npy('<i4', [2, 2, 2], bytesOf(samples)));
    write('Bearing1_9_features.csv', 'record,in_waveform_file\n1,0\n');
    expect(() => openRecordings(path)).toThrow(/does not name the record of each of the 2 rows/);
  });

  it('refuses a file cut short of its shape', () => {
    const path = write('Bearing2_9.npy', npy('<i4', [5, 2, 2], bytesOf(samples)));
    expect(() => openRecordings(path)).toThrow(/holds fewer values than its shape/);
  });
});

describe('CWRU waveforms', () => {
  it('takes rate and scale from the manifest and cuts blocks of one second', () => {
    const counts = Int16Array.from({ length: 2500 }, (_, i) => i - 1250);
    const path = write('cwru/1797_X_DE.npy', npy('<i2', [2500], bytesOf(counts)));
    write('cwru/manifest.csv', 'file,channel,sample_rate_hz,scale_per_count\n1797_X_DE.npy.gz,DE,1000,0.5\n');
    const { format, recordings } = openRecordings(path);
    expect(format).toBe('cwru');
    expect(recordings[0]!.machine).toBe('cwru-1797_X');
    const messages = [...recordings[0]!.messages()] as WaveformMessage[];
    expect(messages.map((m) => [m.offsetMs, m.values.length, m.sampleRateHz])).toEqual([
      [0, 1000, 1000],
      [1000, 1000, 1000],
      [2000, 500, 1000],
    ]);
    expect(messages[0]!.values[0]).toBe(-625);
  });
});

describe('any csv', () => {
  it('tells the time unit from the first row and the value columns from all of them', () => {
    const path = write('pump.csv', 'ts,note,temp,flow\n1700000000,ok,20.5,3\n1700000001,,21,\n');
    const [recording] = openRecordings(path).recordings;
    expect(recording).toMatchObject({
      machine: 'pump',
      channels: ['temp', 'flow'],
      originMs: 1_700_000_000_000,
    });
    expect([...recording!.messages()].map((m) => (m as RowMessage).values)).toEqual([
      { temp: 20.5, flow: 3 },
      { temp: 21 },
    ]);
  });

  it('takes a column whose first cell is empty or no number, and counts the latter', () => {
    const path = write(
      'late.csv',
      'ts,note,temp,flow\n1700000000,ok,n/a,\n1700000001,,21,3\n1700000002,,NaN,4\n',
    );
    const { recordings, unreadable } = openRecordings(path);
    expect([...recordings[0]!.messages()].map((m) => (m as RowMessage).values)).toEqual([
      { temp: 21, flow: 3 },
      { flow: 4 },
    ]);
    expect([...unreadable.counts]).toEqual([['temp', 2]]);
    expect(unreadable.warnings('late.csv')).toEqual([
      'warning: late.csv: 2 cells of temp hold no number and are left out (first: "n/a" in line 2)',
    ]);
  });

  it('reads the long form into machines and channels, sorted by time', () => {
    const path = write(
      'long.csv',
      'when;asset;signal;value\n2024-01-01T00:00:02Z;a;x;2\n2024-01-01T00:00:01Z;a;y;1\n2024-01-01T00:00:01Z;"b;1";x;9\n',
    );
    const { recordings } = openRecordings(path, {
      csv: { machineColumn: 'asset', channelColumn: 'signal', valueColumns: ['value'] },
    });
    expect(recordings.map((r) => r.machine)).toEqual(['a', 'b_1']);
    expect([...recordings[0]!.messages()]).toEqual([
      { kind: 'row', offsetMs: 0, values: { y: 1 } },
      { kind: 'row', offsetMs: 1000, values: { x: 2 } },
    ]);
  });

  it('names a column that is not there, and what there is', () => {
    const path = write('c.csv', 'a,b\n1,2\n');
    expect(() => openRecordings(path, { csv: { timeColumn: 't' } })).toThrow(/no column "t"; it has: a, b/);
  });

  it('refuses --machine for a file of several machines', () => {
    const path = write('two.csv', 't,m,v\n1,a,1\n1,b,1\n');
    expect(() => openRecordings(path, { machine: 'x', csv: { machineColumn: 'm' } })).toThrow(
      /holds 2 machines/,
    );
  });
});
