/**
 * Real recordings over real MQTT through the running gateway into a real InfluxDB, read back by Flux.
 *
 * What must come out is what `millwright extract` computes from the same files: every window once, every field equal
 * bit for bit, and the RUL error of `evaluate` equal to the offline figure of the training report.
 */

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  type GatewayProcess,
  MILLWRIGHT,
  REPOSITORY,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { findInfluxd, type Influx, NO_INFLUXD, startInflux } from '../support/influx.ts';

const DATA = process.env['MILLWRIGHT_DATA'] ?? join(REPOSITORY, '../shared/data');
const ready = existsSync(join(DATA, 'cmapss')) && findInfluxd() !== null;
if (!existsSync(join(DATA, 'cmapss')))
  console.log('recordings not found (set MILLWRIGHT_DATA): end-to-end tests are skipped');
else if (!ready) console.log(NO_INFLUXD);

const run = promisify(execFile);
const START = '2026-01-01T00:00:00Z';

/** The columns of one `extract` table, keyed `machine startMs`. */
type Table = Map<string, Map<string, string>>;

function turbofanClass(): Record<string, unknown> {
  const config = parse(readFileSync(join(REPOSITORY, 'models/training/turbofan.yaml'), 'utf8')) as {
    machineClasses: { turbofan: Record<string, unknown> };
  };
  const turbofan = config.machineClasses.turbofan;
  return {
    ...turbofan,
    machines: ['FD001-*'],
    window: { ...(turbofan['window'] as object), idleTimeoutMs: 15_000 },
  };
}

const CLASSES = {
  turbofan: ready ? turbofanClass() : {},
  rig: {
    machines: ['skab-*'],
    topics: ['rig/{machine}/row'],
    payload: { format: 'json', allFields: true },
    channels: { '*': { unit: '1', features: ['proc.basic'] } },
    window: { sizeMs: 10_000, idleTimeoutMs: 15_000 },
  },
  bearing: {
    machines: ['Bearing*'],
    topics: ['rig/{machine}/{channel}'],
    payload: { format: 'block' },
    channels: Object.fromEntries(
      ['horizontal', 'vertical'].map((channel) => [
        channel,
        {
          kind: 'waveform',
          unit: 'g',
          sampleRateHz: 25_600,
          samplesPerWindow: 2560,
          features: ['vib.basic', 'vib.bearing'],
        },
      ]),
    ),
    parameters: {
      shaftSpeedRpm: 1800,
      bearing: { rollingElements: 13, ballDiameter: 3.5, pitchDiameter: 25.6 },
    },
    window: { sizeMs: 10_000, idleTimeoutMs: 15_000 },
  },
};

const JOBS = [
  { files: ['cmapss/test_FD001.txt.gz'], className: 'turbofan' },
  {
    files: ['valve1/0', 'valve1/3', 'valve2/2', 'other/9'].map((name) => `skab/${name}.csv.gz`),
    className: 'rig',
  },
  { files: ['femto/Bearing1_2.npy.gz'], className: 'bearing' },
];

async function millwright(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [MILLWRIGHT, ...args], {
    cwd: REPOSITORY,
    maxBuffer: 1 << 28,
  });
  return stdout;
}

function readTable(csv: string): Table {
  const [head, ...lines] = csv.trim().split('\n');
  const columns = head!.split(',');
  return new Map(
    lines.map((line) => {
      const cells = line.split(',');
      return [`${cells[0]} ${cells[1]}`, new Map(columns.map((name, i) => [name, cells[i]!]))];
    }),
  );
}

const ROW_COLUMNS = new Set(['result', 'table', '_time', 'channel']);

/** Keys `machine startMs` of the windows in the database. */
async function storedWindows(influx: Influx, machineClass: string): Promise<Set<string>> {
  const rows = await influx.query(
    `from(bucket: "${influx.bucket}") |> range(start: 0)
      |> filter(fn: (r) => r._measurement == "machine_features" and r.machine_class == "${machineClass}" and r._field == "coverage")
      |> keep(columns: ["_time", "machine"]) |> group(columns: ["machine"]) |> unique(column: "_time")`,
  );
  return new Set(rows.map((row) => `${row['machine']} ${Date.parse(String(row['_time']))}`));
}

/** All fields of one machine by window start, named `channel.field`. Throws if a field stands twice. */
async function readMachine(influx: Influx, machine: string): Promise<Map<number, Map<string, unknown>>> {
  const rows = await influx.query(
    `from(bucket: "${influx.bucket}") |> range(start: 0)
      |> filter(fn: (r) => r._measurement == "machine_features" and r.machine == "${machine}")
      |> drop(columns: ["_start", "_stop", "_measurement", "machine", "machine_class"])
      |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")`,
  );
  const windows = new Map<number, Map<string, unknown>>();
  for (const row of rows) {
    const startMs = Date.parse(String(row['_time']));
    const fields = windows.get(startMs) ?? new Map<string, unknown>();
    windows.set(startMs, fields);
    const channel = row['channel'] ? `${row['channel']}.` : '';
    for (const [name, value] of Object.entries(row)) {
      if (ROW_COLUMNS.has(name) || value === null) continue;
      if (fields.has(channel + name)) throw new Error(`${machine} ${startMs} ${channel}${name} stands twice`);
      fields.set(channel + name, value);
    }
  }
  return windows;
}

describe.skipIf(!ready)('recordings end to end', () => {
  const directory = temporaryDirectory('e2e');
  let influx: Influx;
  let gateway: GatewayProcess;
  const configFile = join(directory.path, 'extract.yaml');

  beforeAll(async () => {
    influx = await startInflux();
    const sink = {
      type: 'influxdb2',
      url: influx.url,
      org: influx.org,
      bucket: influx.bucket,
      token: influx.token,
      flushIntervalMs: 200,
    };
    const config = {
      machineClasses: CLASSES,
      ingest: { clockGuard: { maxPastMs: 0 } },
      sinks: { influx: sink },
    };
    gateway = await startGatewayProcess({ config, dataDir: join(directory.path, 'data') });
    const { writeFileSync } = await import('node:fs');
    writeFileSync(configFile, JSON.stringify(config));
  }, 60_000);

  afterAll(async () => {
    await gateway?.stop();
    await influx?.stop();
    directory.remove();
  });

  it.each(JOBS)(
    '$className: every window of extract is in the database once, every field equal',
    async ({ files, className }) => {
      const paths = files.map((file) => join(DATA, file));
      // SKAB rows carry their own time; the others get the same start in both commands.
      const start = className === 'rig' ? [] : ['--start', START];
      const replayStart = className === 'rig' ? ['--start', firstSkabTime(paths[0]!)] : start;
      const replayed = JSON.parse(
        await millwright(
          'replay',
          ...paths,
          '--url',
          `mqtt://127.0.0.1:${gateway.mqttPort}`,
          ...replayStart,
          '--json',
        ),
      ) as { acknowledged: number; messages: number };
      expect(replayed.acknowledged).toBe(replayed.messages);
      const extractStart = className === 'rig' ? replayStart : start;
      const table = readTable(
        await millwright('extract', '--config', configFile, '--class', className, ...extractStart, ...paths),
      );
      let stored = new Set<string>();
      await waitUntil(
        async () => {
          stored = await storedWindows(influx, className);
          return stored.size >= table.size;
        },
        90_000,
        () => `${stored.size} of ${table.size} windows arrived\n${gateway.log().slice(-4000)}`,
        1_000,
      );
      expect([...stored].sort()).toEqual([...table.keys()].sort());
      let compared = 0;
      const wrong: string[] = [];
      for (const machine of new Set([...table.keys()].map((key) => key.split(' ')[0]!))) {
        const windows = await readMachine(influx, machine);
        for (const [startMs, fields] of windows) {
          for (const [id, cell] of table.get(`${machine} ${startMs}`)!) {
            if (['machine', 'start_ms', 'end_ms', 'coverage', 'quality'].includes(id)) continue;
            const got = fields.get(id);
            compared += 1;
            const equal = cell === '' ? got === undefined : Object.is(got, Number(cell));
            if (!equal) wrong.push(`${machine} ${startMs} ${id}: extract ${cell}, stored ${got}`);
          }
        }
      }
      expect(wrong.slice(0, 10)).toEqual([]);
      expect(compared).toBeGreaterThan(table.size * 5);
      console.log(`${className}: ${table.size} windows, ${compared} fields equal bit for bit`);
    },
    240_000,
  );

  it('evaluate finds the RUL error that the training report states', async () => {
    const report = JSON.parse(
      readFileSync(join(REPOSITORY, 'models/turbofan-rul/1.0.0/report.json'), 'utf8'),
    ) as Record<string, unknown>;
    const scored = JSON.parse(
      await millwright(
        'evaluate',
        '--task',
        'rul',
        '--config',
        configFile,
        '--json',
        join(DATA, 'cmapss/RUL_FD001.txt'),
      ),
    ) as { capped: { rmse: number }; raw: { rmse: number } };
    const offline = report['shipped'] as { test: { capped: { rmse: number }; raw: { rmse: number } } };
    expect(scored.capped.rmse).toBeCloseTo(offline.test.capped.rmse, 3);
    expect(scored.raw.rmse).toBeCloseTo(offline.test.raw.rmse, 3);
    console.log(
      `RUL RMSE through the gateway: capped ${scored.capped.rmse.toFixed(3)}, raw ${scored.raw.rmse.toFixed(3)}`,
    );
  }, 60_000);
});

/** The first row's time, so that replay keeps the recorded times instead of ending now. */
function firstSkabTime(path: string): string {
  const { gunzipSync } = require('node:zlib') as typeof import('node:zlib');
  const [, row] = gunzipSync(readFileSync(path)).toString().split('\n');
  return `${row!.split(';')[0]!.replace(' ', 'T')}Z`;
}
