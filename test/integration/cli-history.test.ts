/**
 * `millwright history` as a user starts it, beside a store that is open for writing. What is exported is read by
 * programs that share no code with it: rrdtool, pyarrow, and a few lines that split commas.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { runCli } from '../support/cli-broker.ts';
import { historyConfig, MIDNIGHT_MS, naiveRows, plain, settle, windowResult } from '../support/history.ts';
import { type StoreFolder, storeFolder, unit } from '../support/store.ts';

const PYTHON = process.env['MILLWRIGHT_PYTHON'] ?? 'python3';
const hasRrdtool = spawnSync('rrdtool', ['--version']).error === undefined;
const hasPyarrow = spawnSync(PYTHON, ['-c', 'import pyarrow.parquet'], { stdio: 'ignore' }).status === 0;
if (!hasRrdtool) console.log('rrdtool not found: exports for it are not checked');
if (!hasPyarrow) console.log('pyarrow not found (set MILLWRIGHT_PYTHON): Parquet exports are not checked');

const WINDOW_MS = 10_000;
/** A day and a half of windows, a break of half an hour and one of 30 s among them. */
const WINDOWS = 13_000;
const BREAKS = [
  [3_000, 3_180],
  [5_000, 5_003],
] as const;
const STEPS_MS = [60_000, 900_000, 3_600_000];
/** What a spreadsheet would run, and CSV would tear apart. */
const HOSTILE = '=cmd|"/C calc",A1';

const isMissing = (n: number) => BREAKS.some(([from, to]) => n >= from && n < to);
const temperature = (n: number) => 20 + 5 * Math.sin(n / 700) + ((n * 7919) % 101) / 100;
const wave = (n: number) => ({
  series: 'vibration',
  average: Math.cos(n),
  min: Math.cos(n) - 3,
  max: Math.cos(n) + (n % 50),
  last: Math.cos(n) + 1,
});

/** Every window of a series, as the model wants it. */
const windows = Array.from({ length: WINDOWS }, (_, n) => ({ n, startMs: MIDNIGHT_MS + n * WINDOW_MS }))
  .filter(({ n }) => !isMissing(n))
  .map(({ n, startMs }) => ({ startMs, temperature: plain('temperature', temperature(n)), wave: wave(n) }));

let folder: StoreFolder;
let store: Store;
beforeAll(() => {
  folder = storeFolder();
  store = folder.open({}, { history: historyConfig() });
  for (let at = 0; at < windows.length; at += 200) {
    const results = windows
      .slice(at, at + 200)
      .map((each) =>
        windowResult(each.startMs, [each.temperature, each.wave, plain(HOSTILE, -1)], { machine: 'pump-1' }),
      );
    store.commit(unit({ results }));
    settle(store);
  }
  store.commit(unit({ results: [windowResult(MIDNIGHT_MS, [plain('speed', 1)], { machine: '@fan' })] }));
  settle(store);
});
afterAll(() => {
  store.close();
  folder.remove();
});

const at = (...args: string[]) => ['history', ...args, '--data-dir', folder.path];
const out = (name: string) => join(folder.path, name);

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
}

/** Rows of the model with at least half of their windows, by start. */
function known(values: readonly { startMs: number; value: ReturnType<typeof wave> }[], stepMs: number) {
  return new Map([...naiveRows(values, stepMs)].filter(([, row]) => row[4]! >= stepMs / WINDOW_MS / 2));
}

function expectClose(got: number, want: number, what: string): void {
  expect(Math.abs(got - want), `${what}: ${got} for ${want}`).toBeLessThanOrEqual(
    1e-6 * Math.max(1, Math.abs(want)),
  );
}

describe('millwright history size', () => {
  it('prints what the store then takes, to the byte', async () => {
    const config = out('gateway.yaml');
    const text = `dataDir: ${folder.path}
ingest: { embedded: { allowAnonymous: true } }
machineClasses:
  pump:
    machines: [pump-1]
    topics: ['p/{machine}/{channel}']
    channels: { temperature: {}, vibration: {}, third: {} }
  fan: { machines: ['@fan'], topics: ['f/{machine}/{channel}'], channels: { speed: {} } }
`.replace("['@fan']", '[fan]');
    writeFileSync(config, text, { mode: 0o600 });
    const { code, stdout } = await runCli(['history', 'size', '--config', config, '--json']);
    expect(code).toBe(0);
    const size = JSON.parse(stdout);
    expect(size.series).toBe(4);
    expect(size.stored.series).toBe(4);
    expect(size.stored.archiveBytes).toBe(size.archiveBytes);
    expect(size.stored.measured.blockBytes).toBe(size.archiveBytes);
    expect(size.stored.measured.treeBytes).toBeLessThanOrEqual(size.treeBytes);
    const plainText = await runCli(['history', 'size', '--config', config]);
    expect(plainText.stdout).toContain(`${size.archiveBytes} of blocks`);
  });

  it('counts the channels of a wildcard that it is told, and says which it does not count', async () => {
    const config = out('wildcard.yaml');
    const text = `dataDir: ${out('nothing')}
ingest: { embedded: { allowAnonymous: true } }
machineClasses:
  pump: { topics: ['p/{machine}/{channel}'], channels: { temperature: {}, '*': {} } }
`;
    writeFileSync(config, text, { mode: 0o600 });
    const size = async (...args: string[]) =>
      (await runCli(['history', 'size', '--config', config, ...args])).stdout;
    expect(await size()).toMatch(
      /configured: 1 series[\s\S]*not in the estimate: channel '\*' of class pump/,
    );
    const told = await size('--channels', 'pump=3', '--machines', 'pump=2');
    expect(told).toContain('configured: 8 series');
    expect(told).not.toContain('not in the estimate');
  });

  it('needs a configuration', async () => {
    expect((await runCli(['history', 'size', '--config', out('none.yaml')])).code).toBe(78);
  });
});

describe('millwright history list and show', () => {
  it('name every series and give the newest rows', async () => {
    const { code, stdout } = await runCli(at('list', '--json'));
    expect(code).toBe(0);
    expect(JSON.parse(stdout).map((each: { series: string }) => each.series)).toEqual([
      'speed',
      HOSTILE,
      'temperature',
      'vibration',
    ]);
    const shown = await runCli(
      at(
        'show',
        '--machine',
        'pump-1',
        '--series',
        'temperature',
        '--resolution',
        '1h',
        '--limit',
        '3',
        '--json',
      ),
    );
    expect(shown.code).toBe(0);
    const { rows } = JSON.parse(shown.stdout);
    expect(rows).toHaveLength(3);
    expect(rows[0].count).toBe(360);
    expect((await runCli(at('show', '--machine', 'pump-1', '--series', 'temperature'))).stdout).toContain(
      'average',
    );
  });

  it('say what is wrong and what to do: 64 for a question, 1 for a store that is not there', async () => {
    expect((await runCli(at('show', '--machine', 'pump-1'))).code).toBe(64);
    expect((await runCli(at('show', '--machine', 'nobody'))).stderr).toContain('history list');
    expect((await runCli(at('export', '--resolution', '7s'))).code).toBe(64);
    expect((await runCli(at('export', '--from', 'soon'))).code).toBe(64);
    expect((await runCli(at('export', '--format', 'rrd'))).stderr).toContain('--machine');
    expect((await runCli(at('export', '--format', 'parquet'))).stderr).toContain('--out');
    expect((await runCli(['history', 'list', '--data-dir', out('nowhere')])).code).toBe(1);
  });
});

describe('millwright history export --format csv', () => {
  it('writes every row of the model, gaps as empty cells, and nothing a spreadsheet would run', async () => {
    const file = out('all.csv');
    expect((await runCli(at('export', '--out', file))).code).toBe(0);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines[0]).toBe('time,machine,series,resolution_s,average,min,max,last,count');
    for (const stepMs of STEPS_MS) {
      const got = lines
        .map((line) => line.split(','))
        .filter(
          ([, machine, series, step]) =>
            machine === 'pump-1' && series === 'vibration' && step === String(stepMs / 1000),
        );
      const want = known(
        windows.map(({ startMs, wave: value }) => ({ startMs, value })),
        stepMs,
      );
      expect(got.filter((cells) => cells[4] !== '')).toHaveLength(want.size);
      for (const [time, , , , average, min, max, last, count] of got) {
        const row = want.get(Date.parse(time!));
        if (row === undefined) {
          expect([average, min, max, last]).toEqual(['', '', '', '']);
          continue;
        }
        expectClose(Number(average), row[0]!, `${time} average`);
        expect([min, max, last, count].map(Number)).toEqual(row.slice(1));
      }
    }
    const hostile = lines.filter((line) => line.includes('cmd'));
    expect(hostile.length).toBeGreaterThan(0);
    for (const line of hostile) expect(line).toContain(`,"'=cmd|""/C calc"",A1",`);
    expect(lines.some((line) => line.includes(",'@fan,"))).toBe(true);
  });

  it('takes a series, a time and a resolution, and writes to standard output', async () => {
    const from = new Date(MIDNIGHT_MS + 3_600_000).toISOString();
    const to = new Date(MIDNIGHT_MS + 7_200_000).toISOString();
    const which = ['--machine', 'pump-1', '--series', 'temperature', '--from', from, '--to', to];
    const { stdout } = await runCli(at('export', ...which, '--resolution', '15min'));
    expect(stdout.trimEnd().split('\n')).toHaveLength(5);
  });
});

describe.skipIf(!hasRrdtool)('millwright history export --format rrd', () => {
  it('gives back our rows at their times and our gaps through rrdtool restore, fetch and xport', async () => {
    const [xml, rrd] = [out('pump.xml'), out('pump.rrd')];
    expect((await runCli(at('export', '--format', 'rrd', '--machine', 'pump-1', '--out', xml))).code).toBe(0);
    run('rrdtool', 'restore', xml, rrd);
    const info = run('rrdtool', 'info', rrd);
    expect(info).toContain('step = 10');
    expect(info).toMatch(/ds\[temperature\]\.type = "GAUGE"/);
    const columns = { AVERAGE: 0, MIN: 1, MAX: 2, LAST: 3 } as const;
    const endMs = windows.at(-1)!.startMs + WINDOW_MS;
    for (const stepMs of STEPS_MS) {
      const want = known(
        windows.map(({ startMs, wave: value }) => ({ startMs, value })),
        stepMs,
      );
      // Rows that were complete at the last update.
      const untilMs = Math.floor(endMs / stepMs) * stepMs;
      const complete = [...want].filter(([row]) => row + stepMs <= untilMs);
      for (const [cf, column] of Object.entries(columns)) {
        const times = ['--start', String(MIDNIGHT_MS / 1000), '--end', String(untilMs / 1000)];
        const fetched = fetchRows(
          run('rrdtool', 'fetch', rrd, cf, '-r', String(stepMs / 1000), ...times),
          'vibration',
        );
        const inside = [...fetched].filter(([end]) => end > MIDNIGHT_MS && end <= untilMs);
        expect(inside.length, `${cf} ${stepMs}`).toBe((untilMs - MIDNIGHT_MS) / stepMs);
        // rrdtool names a row by its end.
        const values = inside.filter(([, value]) => !Number.isNaN(value));
        expect(values.map(([end]) => end - stepMs)).toEqual(complete.map(([row]) => row));
        values.forEach(([end, value], i) => {
          expectClose(value, complete[i]![1][column]!, `${cf} of ${stepMs} at ${end}`);
        });
        expect(inside.length).toBeGreaterThan(values.length - 1);
      }
    }
    const exported = run(
      'rrdtool',
      'xport',
      '--maxrows',
      '100000',
      '--json',
      '--step',
      '60',
      '--start',
      String(MIDNIGHT_MS / 1000),
      '--end',
      String(MIDNIGHT_MS / 1000 + 43_200),
      `DEF:t=${rrd}:temperature:AVERAGE`,
      'XPORT:t:t',
    );
    const { data } = JSON.parse(exported) as { data: [number | null][] };
    const minutes = known(
      windows.map(({ startMs, temperature: value }) => ({ startMs, value })),
      60_000,
    );
    const gaps = Array.from({ length: 720 }, (_, i) => minutes.get(MIDNIGHT_MS + i * 60_000) === undefined);
    expect(gaps.filter(Boolean).length).toBeGreaterThanOrEqual(30);
    expect(data.slice(0, 720).map(([value]) => value === null)).toEqual(gaps);
  });
});

/** `time: value value` lines of rrdtool fetch, of one data source, by end of the row in ms. */
function fetchRows(text: string, source: string): Map<number, number> {
  const [header, ...lines] = text.split('\n').filter((line) => line.trim() !== '');
  const column = header!.trim().split(/\s+/).indexOf(source);
  return new Map(
    lines.map((line) => {
      const [time, ...values] = line.replace(':', '').trim().split(/\s+/);
      const value = values[column]!;
      return [Number(time) * 1000, /nan/i.test(value) ? Number.NaN : Number(value)];
    }),
  );
}

const READ_PARQUET = `
import json, sys, pyarrow.parquet as pq
table = pq.read_table(sys.argv[1])
columns = table.to_pydict()
columns["time"] = [t.timestamp() for t in columns["time"]]
print(json.dumps({"schema": {f.name: str(f.type) for f in table.schema}, "columns": columns}))
`;

describe.skipIf(!hasPyarrow)('millwright history export --format parquet', () => {
  it('is read by pyarrow: types, rows and nulls', async () => {
    const file = out('all.parquet');
    expect((await runCli(at('export', '--format', 'parquet', '--out', file, '--json'))).code).toBe(0);
    const { schema, columns } = JSON.parse(run(PYTHON, '-c', READ_PARQUET, file));
    expect(schema).toMatchObject({
      machine: 'string',
      average: 'double',
      resolution_ms: 'int32',
      count: 'int32',
    });
    expect(schema.time).toContain('timestamp[ms');
    const want = known(
      windows.map(({ startMs, wave: value }) => ({ startMs, value })),
      60_000,
    );
    const rows = (columns.time as number[])
      .map((time, i) => ({ i, startMs: time * 1000 }))
      .filter(({ i }) => columns.series[i] === 'vibration' && columns.resolution_ms[i] === 60_000);
    const filled = rows.filter(({ i }) => columns.average[i] !== null);
    expect(filled.map(({ startMs }) => startMs)).toEqual([...want.keys()]);
    for (const { i, startMs } of filled) {
      const [average, ...exact] = want.get(startMs)!;
      expectClose(columns.average[i], average!, `average at ${startMs}`);
      expect([columns.min[i], columns.max[i], columns.last[i], columns.count[i]]).toEqual(exact);
    }
    expect(rows.length).toBeGreaterThan(filled.length);
  });
});
