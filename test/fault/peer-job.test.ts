/**
 * The job on which other gateways were measured: `config/bench.yaml`, 100 connections, 1,000 QoS 1 messages a second,
 * line protocol into a real VictoriaMetrics. Every acknowledged message is looked for in the database.
 *
 * Telegraf, eKuiper, Node-RED and Redpanda Connect lost 5,246 to 43,459 of about 119,200 acknowledged messages in eight
 * SIGKILLs on it, and 6,032 to 57,647 of about 110,000 with the database down for 60 s and one SIGKILL meanwhile.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { startFaultProxy } from '../support/fault-proxy.ts';
import {
  freePort,
  type GatewayProcess,
  REPOSITORY,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { scaled } from '../support/scale.ts';
import { SequencePublisher } from '../support/sequence-publisher.ts';
import {
  findVictoriaMetrics,
  NO_VICTORIA_METRICS,
  startVictoriaMetrics,
} from '../support/victoria-metrics.ts';

const MACHINES = 25;
const CHANNELS = 4;
const MESSAGE_EVERY_MS = 100;
const WINDOW_MS = 10_000;
const KILLS = scaled(2, 8);
const KILL_EVERY_MS = scaled(2_500, 14_000);
const OUTAGE_MS = scaled(4_000, 60_000);

/** Acknowledged samples a window should hold: key `machine channel startMs`. */
type Counts = Map<string, number>;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function startSensors(port: number, sent: Counts): SequencePublisher[] {
  return Array.from({ length: MACHINES * CHANNELS }, (_, i) => {
    const machine = `m${Math.floor(i / CHANNELS)}`;
    const channel = `c${i % CHANNELS}`;
    let lastMs = 0;
    const sensor = new SequencePublisher({
      port,
      clientId: `${machine}-${channel}`,
      inFlight: 100,
      intervalMs: MESSAGE_EVERY_MS,
      paced: true,
      next(n) {
        lastMs = Math.max(lastMs + 1, Date.now());
        const key = `${machine} ${channel} ${Math.floor(lastMs / WINDOW_MS) * WINDOW_MS}`;
        sent.set(key, (sent.get(key) ?? 0) + 1);
        return { topic: `factory/${machine}/${channel}`, payload: JSON.stringify({ t: lastMs, v: n % 100 }) };
      },
    });
    sensor.start();
    cleanups.push(() => sensor.abandon());
    return sensor;
  });
}

/** The shipped configuration; only the time until a silent channel's window closes is shortened for the end. */
function benchConfig(url: string, durability: 'disk' | 'memory'): Record<string, unknown> {
  const config = parse(
    readFileSync(join(REPOSITORY, 'config/bench.yaml'), 'utf8').replace(/\$\{[A-Z_]+(:-\w*)?\}/g, '0'),
  );
  config.machineClasses.bench.window.idleTimeoutMs = 6_000;
  config.machineClasses.bench.channels['*'].durability = durability;
  config.sinks.influx = { type: 'line-protocol', url, database: 'gw' };
  delete config.log;
  return config;
}

interface Rig {
  gateway: GatewayProcess;
  readonly sent: Counts;
  readonly sensors: SequencePublisher[];
  restart(): Promise<void>;
}

async function startRig(url: string, durability: 'disk' | 'memory' = 'disk'): Promise<Rig> {
  const directory = temporaryDirectory('peer-job');
  cleanups.push(() => directory.remove());
  const options = {
    config: benchConfig(url, durability),
    dataDir: join(directory.path, 'data'),
    mqttPort: await freePort(),
  };
  const sent: Counts = new Map();
  const rig: Rig = {
    gateway: await startGatewayProcess(options),
    sent,
    sensors: startSensors(options.mqttPort, sent),
    async restart() {
      await rig.gateway.kill();
      rig.gateway = await startGatewayProcess(options);
    },
  };
  cleanups.push(() => rig.gateway.kill());
  return rig;
}

interface Outcome {
  readonly acknowledged: number;
  /** Acknowledged messages that no window in the database holds. */
  readonly lost: number;
  /** Samples that windows hold too often. */
  readonly duplicated: number;
  readonly late: number;
}

async function finish(rig: Rig, exported: () => Promise<Counts>): Promise<Outcome> {
  await Promise.all(rig.sensors.map((sensor) => sensor.finish()));
  const acknowledged = rig.sensors.reduce((sum, sensor) => sum + sensor.acknowledged, 0);
  const asked = [...rig.sent.values()].reduce((sum, count) => sum + count, 0);
  expect(acknowledged).toBe(asked);
  let stored: Counts = new Map();
  await waitUntil(
    async () => {
      stored = await exported();
      return stored.size >= rig.sent.size;
    },
    60_000,
    () => `${stored.size} of ${rig.sent.size} windows arrived\n${rig.gateway.log()}`,
    1_000,
  ).catch((error) => console.log(String(error).slice(0, 200)));
  let lost = 0;
  let duplicated = 0;
  for (const [key, count] of rig.sent) lost += Math.max(0, count - (stored.get(key) ?? 0));
  for (const [key, count] of stored) duplicated += Math.max(0, count - (rig.sent.get(key) ?? 0));
  const status = (await rig.gateway.status()) as { store: { ledger: { samples: Record<string, number> } } };
  return { acknowledged, lost, duplicated, late: status.store.ledger.samples['late'] ?? 0 };
}

async function database() {
  const server = await startVictoriaMetrics();
  cleanups.push(() => server.stop());
  return {
    url: server.url,
    counts: async (): Promise<Counts> => {
      const counts: Counts = new Map();
      for (const series of await server.export('{__name__="machine_features_count"}')) {
        const { machine, channel } = series.metric;
        series.timestamps.forEach((startMs, i) => {
          counts.set(`${machine} ${channel} ${startMs}`, series.values[i]!);
        });
      }
      return counts;
    },
  };
}

const HAS_SERVER = findVictoriaMetrics() !== null;
if (!HAS_SERVER) console.log(NO_VICTORIA_METRICS);

describe.skipIf(!HAS_SERVER)("the peers' job", () => {
  it('loses no acknowledged message in SIGKILLs under load', { timeout: 400_000 }, async () => {
    const { url, counts } = await database();
    const rig = await startRig(url);
    for (let kill = 0; kill < KILLS; kill++) {
      await pause(KILL_EVERY_MS);
      await rig.restart();
    }
    await pause(2_000);
    const outcome = await finish(rig, counts);
    console.log(`peers' job, ${KILLS} SIGKILLs: ${JSON.stringify(outcome)}`);
    expect(outcome).toMatchObject({ lost: 0, duplicated: 0, late: 0 });
  });

  it('control: acknowledged on receipt, the same job loses', { timeout: 400_000 }, async () => {
    const { url, counts } = await database();
    const rig = await startRig(url, 'memory');
    await pause(2_500);
    await rig.restart();
    await pause(2_000);
    const outcome = await finish(rig, counts);
    console.log(`peers' job, durability memory, 1 SIGKILL: ${JSON.stringify(outcome)}`);
    expect(outcome.lost).toBeGreaterThan(0);
  });

  it('loses none with the database away and a SIGKILL meanwhile', { timeout: 400_000 }, async () => {
    const { url, counts } = await database();
    const proxy = await startFaultProxy(url);
    cleanups.push(() => proxy.stop());
    const rig = await startRig(proxy.url);
    await pause(5_000);
    await proxy.set({ kind: 'refuse' });
    await pause(OUTAGE_MS / 2);
    await rig.restart();
    await pause(OUTAGE_MS / 2);
    await proxy.set({ kind: 'pass' });
    await pause(3_000);
    const outcome = await finish(rig, counts);
    console.log(`peers' job, database away ${OUTAGE_MS / 1000} s and a SIGKILL: ${JSON.stringify(outcome)}`);
    expect(outcome).toMatchObject({ lost: 0, duplicated: 0, late: 0 });
  });
});
