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
import { dashboardQueries } from '../support/dashboard-queries.ts';
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
/** Recent, as sensors are; the same start in both commands gives the same windows. */
const START = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 12 * 3_600_000).toISOString();

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
    baseline: { enabled: true, minWindows: 20, minSpanMs: 0 },
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
      statusIntervalMs: 1000,
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
      const replayed = JSON.parse(
        await millwright(
          'replay',
          ...paths,
          '--url',
          `mqtt://127.0.0.1:${gateway.mqttPort}`,
          '--start',
          START,
          '--json',
        ),
      ) as { acknowledged: number; messages: number };
      expect(replayed.acknowledged).toBe(replayed.messages);
      const table = readTable(
        await millwright('extract', '--config', configFile, '--class', className, '--start', START, ...paths),
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

  it('every query of the plant dashboard answers, with rows, on what was replayed', async () => {
    const dashboard = JSON.parse(
      readFileSync(join(REPOSITORY, 'deploy/grafana/dashboards/plant.json'), 'utf8'),
    );
    const queries = dashboardQueries(dashboard, {
      start: '-1d',
      stop: 'now()',
      windowPeriod: '10s',
      variables: {
        bucket: influx.bucket,
        machine: ['FD001-test-034', 'skab-valve1-0'],
        channel: ['Pressure'],
        feature: 'mean',
      },
    });
    const empty: string[] = [];
    for (const { name, flux } of queries) if ((await influx.query(flux)).length === 0) empty.push(name);
    // Whether an alarm was raised is up to the recordings.
    expect(empty.filter((name) => !/alarm/i.test(name))).toEqual([]);
    console.log(`dashboard: ${queries.length} queries answered`);
  }, 120_000);

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
    ) as { unscored: string[]; missing: string[]; capped: { rmse: number }; raw: { rmse: number } };
    expect([scored.missing, scored.unscored]).toEqual([[], []]);
    const offline = report['shipped'] as { test: { capped: { rmse: number }; raw: { rmse: number } } };
    expect(scored.capped.rmse).toBeCloseTo(offline.test.capped.rmse, 3);
    expect(scored.raw.rmse).toBeCloseTo(offline.test.raw.rmse, 3);
    console.log(
      `RUL RMSE through the gateway: capped ${scored.capped.rmse.toFixed(3)}, raw ${scored.raw.rmse.toFixed(3)}`,
    );
  }, 60_000);
});
