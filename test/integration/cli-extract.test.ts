import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DATA_DIR, runCli } from '../support/cli-broker.ts';

let dir: string;
let config: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millwright-extract-'));
  config = join(dir, 'fleet.yaml');
  const text = `
ingest: { embedded: { allowAnonymous: true } }
machineClasses:
  turbofan:
    machines: ['FD*']
    topics: ['fleet/{machine}/cycle']
    payload: { format: json, allFields: true }
    usage: true
    window: { sizeMs: 60000 }
    channels:
      s4: { periodMs: 60000, features: [proc.trend] }
      s11: { periodMs: 60000, features: [proc.trend] }
  bearing:
    topics: ['rig/{machine}/{channel}']
    payload: { format: block }
    window: { sizeMs: 10000 }
    channels:
      horizontal: { kind: waveform, unit: g, sampleRateHz: 25600, samplesPerWindow: 2560, features: [vib.basic] }
`;
  writeFileSync(config, text, { mode: 0o600 });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function readTable(text: string): { columns: string[]; rows: string[][] } {
  const [header, ...lines] = text
    .trimEnd()
    .split('\n')
    .map((line) => line.split(','));
  return { columns: header!, rows: lines };
}

describe.skipIf(DATA_DIR === null)('millwright extract on the public recordings', () => {
  it('gives one exact row per cycle of every C-MAPSS engine, the same bytes every time', async () => {
    const file = join(DATA_DIR!, 'cmapss', 'test_FD001.txt.gz');
    const out = join(dir, 'table.csv');
    const first = await runCli(['extract', '--config', config, file, '--out', out, '--json']);
    expect(first.code).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({
      machines: 100,
      windows: 13_096,
      refusedSamples: 0,
      class: 'turbofan',
    });
    const text = readFileSync(out, 'utf8');
    const again = await runCli(['extract', '--config', config, file]);
    expect(again.stdout === text).toBe(true);

    const { columns, rows } = readTable(text);
    const source = gunzipSync(readFileSync(file)).toString().trimEnd().split('\n');
    expect(rows).toHaveLength(source.length);
    const at = (name: string) => columns.indexOf(name);
    let history: number[] = [];
    source.forEach((line, i) => {
      const cells = line.trim().split(/\s+/).map(Number);
      if (cells[1] === 1) history = [];
      const s4 = cells[8]!;
      history.push(s4);
      const row = rows[i]!;
      expect(row[0]).toBe(`FD001-test-${String(cells[0]).padStart(3, '0')}`);
      expect(Number(row[at('s4.last')])).toBe(s4);
      // Independent mean of the trailing ten cycles.
      const ten = history.slice(-10);
      expect(Number(row[at('s4.mean.10')])).toBeCloseTo(ten.reduce((sum, v) => sum + v, 0) / ten.length, 9);
      expect(row[at('cycles')]).toBe(String(cells[1]));
    });
  });

  it('agrees with the published features of a bearing run', async () => {
    const folder = join(DATA_DIR!, 'femto');
    const { stdout, code } = await runCli(['extract', '--config', config, join(folder, 'Bearing2_7.npy.gz')]);
    expect(code).toBe(0);
    const { columns, rows } = readTable(stdout);
    const expected = readTable(
      gunzipSync(readFileSync(join(folder, 'Bearing2_7_features.csv.gz'))).toString(),
    );
    const stored = expected.rows.filter((row) => row[expected.columns.indexOf('in_waveform_file')] !== '');
    expect(rows).toHaveLength(stored.length);
    for (const [ours, theirs] of [
      ['std', 'h_std'],
      ['kurtosis', 'h_kurtosis'],
    ] as const) {
      rows.forEach((row, i) => {
        const value = Number(row[columns.indexOf(`horizontal.${ours}`)]);
        const published = Number(stored[i]![expected.columns.indexOf(theirs)]);
        expect(Math.abs(value - published)).toBeLessThanOrEqual(2e-5 * Math.abs(published));
      });
    }
  });
});

describe('millwright extract', () => {
  it('leaves no half table behind when it fails', async () => {
    const bad = join(dir, 'train_FD005.txt');
    writeFileSync(bad, '1 1 1\n');
    const out = join(dir, 'none.csv');
    const { code } = await runCli(['extract', '--config', config, bad, '--out', out]);
    expect(code).toBe(1);
    expect(() => readFileSync(out)).toThrow();
    expect(() => readFileSync(`${out}.partial`)).toThrow();
  });

  it('says which cells held no number and which channels no class declares', async () => {
    const path = join(dir, 'FD2.csv');
    const rows = ['0,s4,1', '1,s4,n/a', '2,s4,NaN', '3,s4,NULL', '4,s4,', '5,s44,7', '6,s44,8', '7,s4,2'];
    writeFileSync(path, ['t,name,v', ...rows].join('\n'));
    const out = join(dir, 'gaps.csv');
    const args = ['extract', '--config', config, path, '--channel-column', 'name', '--out', out];
    const expected =
      `warning: ${path}: 3 cells of s4 hold no number and are left out (first: "n/a" in line 3)\n` +
      'warning: left out, class turbofan does not declare: s44 (2 samples)\n' +
      'warning: no recording has s11: their columns are empty\n';
    const { code, stdout, stderr } = await runCli([...args, '--json']);
    expect(code).toBe(0);
    expect(stderr).toBe(expected);
    expect(JSON.parse(stdout)).toMatchObject({
      refusedSamples: 0,
      unknownChannels: { s44: 2 },
      channelsWithoutData: ['s11'],
      unreadableCells: { s4: 3 },
    });
    expect((await runCli(args)).stderr).toBe(
      `${expected}1 machines, 1 windows, 27 features (class turbofan)\n`,
    );
  });

  it('ends quietly when its reader has had enough', async () => {
    const path = join(dir, 'FD1.csv');
    writeFileSync(
      path,
      ['t,s4', ...Array.from({ length: 20_000 }, (_, i) => `${1.7e12 + i * 60_000},${i}`)].join('\n'),
    );
    const { execFileSync } = await import('node:child_process');
    const command = `"${process.execPath}" bin/millwright.mjs extract --config "${config}" "${path}" | head -2 | wc -l`;
    expect(
      execFileSync('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'] })
        .toString()
        .trim(),
    ).toBe('2');
  });
});
