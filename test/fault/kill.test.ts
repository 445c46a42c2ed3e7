/**
 * SIGKILL at random moments under QoS 1 load: nothing acknowledged may be missing from the windows that reach the
 * database, and the windows must be those of an unkilled run.
 *
 * The oracle is outside the gateway: each publisher knows what it sent and what was acknowledged. Expected windows are
 * computed here from the messages alone. The control run moves the store behind on('publish') and must lose.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import {
  freePort,
  type GatewayProcess,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { findInfluxd, startInflux } from '../support/influx.ts';
import { SequencePublisher } from '../support/sequence-publisher.ts';

const KILLS = Number(process.env['MILLWRIGHT_KILLS'] ?? 40);
const CLIENTS = 5;
const WINDOW_MS = 2000;

interface Sent {
  readonly channel: string;
  readonly timeMs: number;
  readonly value: number;
}

interface Aggregate {
  count: number;
  sum: number;
  min: number;
  max: number;
}

/** The windows the messages alone ask for: key `channel startMs`. */
function expectedWindows(sent: readonly Sent[]): Map<string, Aggregate> {
  const windows = new Map<string, Aggregate>();
  for (const { channel, timeMs, value } of sent) {
    const key = `${channel} ${Math.floor(timeMs / WINDOW_MS) * WINDOW_MS}`;
    const window = windows.get(key) ?? { count: 0, sum: 0, min: Infinity, max: -Infinity };
    window.count += 1;
    window.sum += value;
    window.min = Math.min(window.min, value);
    window.max = Math.max(window.max, value);
    windows.set(key, window);
  }
  return windows;
}

/** One publisher per channel; every message has its own time stamp and value, remembered in `sent`. */
function startPublishers(port: number, sent: Sent[]): SequencePublisher[] {
  return Array.from({ length: CLIENTS }, (_, client) => {
    const channel = `c${client}`;
    let lastMs = 0;
    const publisher = new SequencePublisher({
      port,
      clientId: `sensor-${client}`,
      inFlight: 5,
      intervalMs: 2,
      next(n) {
        // Strictly increasing event times make every message distinguishable in the windows.
        lastMs = Math.max(lastMs + 1, Date.now());
        const value = (n % 1000) + client / 8;
        sent.push({ channel, timeMs: lastMs, value });
        return { topic: `factory/m1/${channel}`, payload: JSON.stringify({ t: lastMs, v: value }) };
      },
    });
    publisher.start();
    return publisher;
  });
}

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe('SIGKILL under QoS 1 load', () => {
  const influxd = findInfluxd();
  it.skipIf(influxd === null)(
    `loses no acknowledged sample in ${KILLS} kills and yields the windows of an unkilled run`,
    async () => {
      const influx = await startInflux();
      cleanups.push(() => influx.stop());
      const directory = temporaryDirectory('kill');
      cleanups.push(() => directory.remove());
      const config = {
        machineClasses: {
          any: {
            topics: ['factory/{machine}/{channel}'],
            channels: { '*': { features: ['proc.basic'] } },
            window: { sizeMs: WINDOW_MS, outOfOrderMs: 1000, idleTimeoutMs: 8000 },
          },
        },
        ingest: { clockGuard: { maxPastMs: 3_600_000 } },
        sinks: {
          influx: {
            type: 'influxdb2',
            url: influx.url,
            org: influx.org,
            bucket: influx.bucket,
            token: influx.token,
            flushIntervalMs: 100,
          },
        },
      };
      const options = { config, dataDir: join(directory.path, 'data'), mqttPort: await freePort() };
      let gateway: GatewayProcess = await startGatewayProcess(options);
      cleanups.push(() => gateway.kill());
      const sent: Sent[] = [];
      const publishers = startPublishers(gateway.mqttPort, sent);
      cleanups.push(() => {
        for (const publisher of publishers) publisher.abandon();
      });
      for (let kill = 0; kill < KILLS; kill += 1) {
        await new Promise((r) => setTimeout(r, 30 + Math.random() * 600));
        await gateway.kill();
        gateway = await startGatewayProcess(options);
      }
      await new Promise((r) => setTimeout(r, 1000));
      await Promise.all(publishers.map((publisher) => publisher.finish()));
      expect(publishers.reduce((sum, p) => sum + p.acknowledged, 0)).toBe(sent.length);

      const expected = expectedWindows(sent);
      const query = `from(bucket: "${influx.bucket}") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "machine_features" and (r._field == "count" or r._field == "min" or r._field == "max" or r._field == "mean"))`;
      let rows: Awaited<ReturnType<typeof influx.query>> = [];
      await waitUntil(
        async () => {
          rows = await influx.query(query);
          return rows.length >= expected.size * 4;
        },
        60_000,
        () => `${rows.length / 4} of ${expected.size} windows arrived\n${gateway.log()}`,
        500,
      );
      const stored = new Map<string, Record<string, number>>();
      for (const row of rows) {
        const key = `${row['channel']} ${Date.parse(String(row['_time']))}`;
        stored.set(key, { ...stored.get(key), [String(row['_field'])]: Number(row['_value']) });
      }
      expect([...stored.keys()].sort()).toEqual([...expected.keys()].sort());
      const wrong = [...expected].filter(([key, want]) => {
        const got = stored.get(key)!;
        return (
          got['count'] !== want.count ||
          got['min'] !== want.min ||
          got['max'] !== want.max ||
          got['mean'] !== want.sum / want.count
        );
      });
      expect(wrong.map(([key, want]) => ({ key, want, got: stored.get(key) }))).toEqual([]);
      const status = (await gateway.status()) as { store: { ledger: { samples: Record<string, number> } } };
      const { accepted, open, windowed, late, duplicate, evicted, quarantined } = status.store.ledger
        .samples as Record<string, number>;
      expect(accepted).toBe(open! + windowed! + late! + duplicate! + evicted! + quarantined!);
      expect(late).toBe(0);
      console.log(
        `kill test: ${KILLS} kills, ${sent.length} acknowledged, 0 lost, ${duplicate} redelivered and removed, ${expected.size} windows identical`,
      );
    },
  );

  it('control: a store behind on("publish") loses acknowledged messages under the same load', async () => {
    const directory = temporaryDirectory('naive');
    cleanups.push(() => directory.remove());
    const file = join(directory.path, 'naive.db');
    const port = await freePort();
    const start = () =>
      spawn(
        process.execPath,
        [join(import.meta.dirname, '../support/naive-gateway.mjs'), String(port), file],
        { stdio: 'ignore' },
      );
    let child = start();
    cleanups.push(() => void child.kill('SIGKILL'));
    const sent: Sent[] = [];
    const publishers = startPublishers(port, sent);
    cleanups.push(() => {
      for (const publisher of publishers) publisher.abandon();
    });
    for (let kill = 0; kill < 8; kill += 1) {
      await new Promise((r) => setTimeout(r, 600 + Math.random() * 400));
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      child = start();
    }
    await new Promise((r) => setTimeout(r, 1000));
    await Promise.all(publishers.map((publisher) => publisher.finish()));
    await new Promise((r) => setTimeout(r, 300));
    const database = new Database(file, { readonly: true });
    const stored = new Set(
      (
        database.prepare('SELECT topic, payload FROM message').all() as { topic: string; payload: string }[]
      ).map((row) => `${row.topic} ${row.payload}`),
    );
    database.close();
    const lost = sent.filter(
      (m) => !stored.has(`factory/m1/${m.channel} ${JSON.stringify({ t: m.timeMs, v: m.value })}`),
    );
    console.log(`control: ${sent.length} acknowledged, ${lost.length} lost in 8 kills`);
    expect(lost.length).toBeGreaterThan(0);
  });
});
