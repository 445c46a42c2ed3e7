/**
 * The database is away for a whole replay, the gateway is killed meanwhile, then the database comes back: every window
 * is there, once, with the right numbers. Against InfluxDB and against VictoriaMetrics.
 *
 * Control: the same oracle sees a loss when a part of the messages was never sent.
 */

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { startFaultProxy } from '../support/fault-proxy.ts';
import {
  freePort,
  type GatewayProcess,
  MILLWRIGHT,
  REPOSITORY,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { findInfluxd, NO_INFLUXD, startInflux } from '../support/influx.ts';
import {
  findVictoriaMetrics,
  NO_VICTORIA_METRICS,
  startVictoriaMetrics,
} from '../support/victoria-metrics.ts';

if (findInfluxd() === null) console.log(NO_INFLUXD);
if (findVictoriaMetrics() === null) console.log(NO_VICTORIA_METRICS);

const run = promisify(execFile);
const WINDOW_MS = 10_000;
/** Full windows only: VictoriaMetrics keeps about 13 digits, which tenths of eighths fit and sevenths do not. */
const ROWS = 21_000;
const FIRST_MS = Date.UTC(2026, 0, 1);

interface Row {
  readonly machine: string;
  readonly timeMs: number;
  readonly value: number;
}

/** Three machines, one row a second each; the values are eighths, so that sums are exact. */
function makeRows(): Row[] {
  return Array.from({ length: ROWS }, (_, i) => ({
    machine: `m${i % 3}`,
    timeMs: FIRST_MS + Math.floor(i / 3) * 1000,
    value: ((i * 7919) % 4096) / 8,
  }));
}

/** Key `machine startMs` -> [count, mean], from the rows alone. */
function expectedWindows(rows: readonly Row[]): Map<string, [number, number]> {
  const sums = new Map<string, [number, number]>();
  for (const { machine, timeMs, value } of rows) {
    const key = `${machine} ${Math.floor(timeMs / WINDOW_MS) * WINDOW_MS}`;
    const [n, sum] = sums.get(key) ?? [0, 0];
    sums.set(key, [n + 1, sum + value]);
  }
  return new Map([...sums].map(([key, [n, sum]]) => [key, [n, sum / n]]));
}

function differences(
  expected: Map<string, [number, number]>,
  stored: Map<string, [number, number]>,
): string[] {
  const wrong = [...expected].filter(
    ([key, [n, mean]]) => stored.get(key)?.[0] !== n || stored.get(key)?.[1] !== mean,
  );
  const extra = [...stored.keys()].filter((key) => !expected.has(key));
  return [
    ...wrong.map(([key, want]) => `${key}: ${stored.get(key) ?? 'missing'} instead of ${want}`),
    ...extra.map((key) => `never sent: ${key}`),
  ];
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Database {
  readonly upstream: string;
  sink(url: string): Record<string, unknown>;
  /** Key `machine startMs` -> [count, mean]; throws where a window stands twice. */
  windows(): Promise<Map<string, [number, number]>>;
}

async function influxDatabase(): Promise<Database> {
  const influx = await startInflux();
  cleanups.push(() => influx.stop());
  return {
    upstream: influx.url,
    sink: (url) => ({ type: 'influxdb2', url, org: influx.org, bucket: influx.bucket, token: influx.token }),
    async windows() {
      const rows = await influx.query(
        `from(bucket: "${influx.bucket}") |> range(start: 0)
          |> filter(fn: (r) => r._measurement == "machine_features" and (r._field == "count" or r._field == "mean"))
          |> pivot(rowKey: ["_time", "machine"], columnKey: ["_field"], valueColumn: "_value")`,
      );
      return collect(
        rows.map((r) => [
          `${r['machine']} ${Date.parse(String(r['_time']))}`,
          Number(r['count']),
          Number(r['mean']),
        ]),
      );
    },
  };
}

async function victoriaMetricsDatabase(): Promise<Database> {
  const metrics = await startVictoriaMetrics(['-retentionPeriod=10y']);
  cleanups.push(() => metrics.stop());
  return {
    upstream: metrics.url,
    sink: (url) => ({ type: 'line-protocol', url }),
    async windows() {
      const read = async (field: string) => {
        const series = await metrics.export(`{__name__="machine_features_${field}"}`);
        return series.flatMap((s) =>
          s.values.map((v, i) => [`${s.metric['machine']} ${s.timestamps[i]}`, v] as const),
        );
      };
      const means = new Map(await read('mean'));
      // Written together, a series each becomes readable for itself: a window is there when both are.
      const rows = (await read('count')).map(([key, count]) => [key, count, means.get(key)] as const);
      return collect(rows.flatMap(([key, count, mean]) => (mean === undefined ? [] : [[key, count, mean]])));
    },
  };
}

function collect(rows: readonly [string, number, number][]): Map<string, [number, number]> {
  const windows = new Map<string, [number, number]>();
  for (const [key, count, mean] of rows) {
    if (windows.has(key)) throw new Error(`window ${key} stands twice`);
    windows.set(key, [count, mean]);
  }
  return windows;
}

async function samples(gateway: GatewayProcess): Promise<{ accepted: number; open: number }> {
  const status = (await gateway.status()) as {
    store: { ledger: { samples: { accepted: number; open: number } } };
  };
  return status.store.ledger.samples;
}

describe.each([
  { name: 'InfluxDB 2.7', available: findInfluxd() !== null, open: influxDatabase },
  { name: 'VictoriaMetrics', available: findVictoriaMetrics() !== null, open: victoriaMetricsDatabase },
])('$name away for a whole replay', ({ name, available, open }) => {
  it.skipIf(!available)('has every window once after it comes back', async () => {
    const database = await open();
    const proxy = await startFaultProxy(database.upstream);
    cleanups.push(() => proxy.stop());
    await proxy.set({ kind: 'refuse' });
    const directory = temporaryDirectory('outage');
    cleanups.push(() => directory.remove());
    const config = {
      machineClasses: {
        any: {
          topics: ['plant/{machine}/row'],
          payload: { format: 'json', allFields: true },
          channels: { value: { features: ['proc.basic'] } },
          window: { sizeMs: WINDOW_MS, idleTimeoutMs: 4_000 },
        },
      },
      ingest: { clockGuard: { maxPastMs: 0 } },
      sinks: {
        far: { ...database.sink(proxy.url), flushIntervalMs: 100, retryMinMs: 100, retryMaxMs: 1000 },
      },
    };
    const options = { config, dataDir: join(directory.path, 'data'), mqttPort: await freePort() };
    let gateway = await startGatewayProcess(options);
    cleanups.push(() => gateway.kill());
    const rows = makeRows();
    const file = join(directory.path, 'rows.csv');
    writeFileSync(
      file,
      [
        'time,machine,value',
        ...rows.map((r) => `${new Date(r.timeMs).toISOString()},${r.machine},${r.value}`),
      ].join('\n'),
    );
    const replay = run(
      process.execPath,
      [
        MILLWRIGHT,
        'replay',
        '--format',
        'csv',
        file,
        '--time-column',
        'time',
        '--machine-column',
        'machine',
        '--values',
        'value',
        '--start',
        'recorded',
        '--url',
        `mqtt://127.0.0.1:${gateway.mqttPort}`,
        '--json',
      ],
      { cwd: REPOSITORY },
    );
    replay.catch(() => undefined);
    for (let kill = 1; kill <= 2; kill += 1) {
      await waitUntil(
        async () => (await samples(gateway)).accepted >= kill * 500,
        20_000,
        () => `the replay does not get through\n${gateway.log()}`,
        20,
      );
      await gateway.kill();
      gateway = await startGatewayProcess(options);
    }
    await replay;
    const expected = expectedWindows(rows);
    await waitUntil(
      async () => (await samples(gateway)).open === 0,
      30_000,
      () => `windows stay open\n${gateway.log()}`,
    );
    expect((await database.windows()).size).toBe(0);
    await proxy.set({ kind: 'pass' });
    let stored = new Map<string, [number, number]>();
    await waitUntil(
      async () => {
        stored = await database.windows();
        return stored.size >= expected.size;
      },
      60_000,
      () => `${stored.size} of ${expected.size} windows arrived\n${gateway.log().slice(-3000)}`,
      500,
    );
    expect(differences(expected, stored)).toEqual([]);
    console.log(
      `${name} away, gateway killed twice: ${rows.length} samples, ${expected.size} windows, all there once`,
    );
  });
});

describe('control', () => {
  it('the oracle sees a single lost, doubled or altered sample', () => {
    const rows = makeRows();
    const expected = expectedWindows(rows);
    expect(differences(expected, expectedWindows(rows.slice(1)))).toHaveLength(1);
    expect(differences(expected, expectedWindows([...rows, rows[5]!]))).toHaveLength(1);
    expect(
      differences(
        expected,
        expectedWindows(rows.map((r, i) => (i === 9 ? { ...r, value: r.value + 1 / 8 } : r))),
      ),
    ).toHaveLength(1);
  });
});
