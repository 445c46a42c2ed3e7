/**
 * The real gateway as a subscriber of a real mosquitto that flaps, forgets, freezes, or serves two gateways under one id.
 *
 * What can be promised: mosquitto acknowledges a publisher before it has saved the message, so nothing but an orderly
 * end (SIGTERM) of the broker keeps what it acknowledged. With its session kept, the gateway then loses none of it,
 * however often the connection breaks. After SIGKILL of the broker the gateway can only say that there is a gap.
 *
 * The oracle is the publishers' count and sum of acknowledged messages against the windows in a real InfluxDB. Control:
 * the same without a session must lose.
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MOSQUITTO } from '../support/cli-broker.ts';
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts';
import {
  type GatewayProcess,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { findInfluxd, type Influx, NO_INFLUXD, startInflux } from '../support/influx.ts';
import { type PlantBroker, startPlantBroker } from '../support/plant-broker.ts';
import { openHandles, residentBytes } from '../support/process-facts.ts';
import { scaledCount, scaledTimeoutMs } from '../support/scale.ts';
import { SequencePublisher } from '../support/sequence-publisher.ts';
import { type StoredWindow, samplesIn, storedWindows, sumOf } from '../support/stored-windows.ts';

const NO_MOSQUITTO =
  'mosquitto not found (apt-get install mosquitto): tests with an external broker are skipped';
if (MOSQUITTO === null) console.log(NO_MOSQUITTO);
if (findInfluxd() === null) console.log(NO_INFLUXD);
const possible = MOSQUITTO !== null && findInfluxd() !== null;

const FLAPS = scaledCount('MILLWRIGHT_FLAPS', 200, 1000);
/** Every so many flaps the broker itself is ended and started again. */
const RESTART_EVERY = 5;
/** Flaps after which the process has everything it will ever need. */
const WARM_AFTER = 40;
const MACHINES = 3;

let influx: Influx;
const cleanups: (() => unknown)[] = [];
beforeAll(async () => {
  if (possible) influx = await startInflux();
});
afterAll(() => influx?.stop());
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function broker(extra = ''): Promise<{ broker: PlantBroker; proxy: CuttingProxy }> {
  const started = await startPlantBroker(extra);
  cleanups.push(() => started.stop());
  const proxy = await startCuttingProxy(started.port);
  cleanups.push(() => proxy.stop());
  return { broker: started, proxy };
}

interface Subscriber {
  gateway: GatewayProcess;
  /** After `kill` or `stop`. */
  start(): Promise<void>;
}

async function subscriber(port: number, external: Record<string, unknown>): Promise<Subscriber> {
  const directory = temporaryDirectory('external');
  cleanups.push(() => directory.remove());
  const { url, org, bucket, token } = influx;
  const options = {
    config: {
      machineClasses: {
        any: {
          topics: ['plant/{machine}/{channel}'],
          channels: { '*': { features: ['proc.basic'] } },
          window: { sizeMs: 1000, outOfOrderMs: 1000, idleTimeoutMs: 60_000 },
        },
      },
      ingest: { mode: 'external', external: { url: `mqtt://127.0.0.1:${port}`, ...external } },
      sinks: { influx: { type: 'influxdb2', url, org, bucket, token, flushIntervalMs: 100 } },
    },
    dataDir: join(directory.path, 'data'),
  };
  const it: Subscriber = {
    gateway: await startGatewayProcess(options),
    async start() {
      it.gateway = await startGatewayProcess(options);
    },
  };
  cleanups.push(() => it.gateway.kill());
  return it;
}

interface Sensor {
  readonly machine: string;
  sum: number;
  readonly publisher: SequencePublisher;
}

function sensors(port: number): Sensor[] {
  return Array.from({ length: MACHINES }, () => {
    let lastMs = 0;
    const machine = `e-${randomUUID().slice(0, 8)}`;
    const sensor: Sensor = {
      machine,
      sum: 0,
      publisher: new SequencePublisher({
        port,
        clientId: machine,
        inFlight: 5,
        intervalMs: 10,
        paced: true,
        next(n) {
          lastMs = Math.max(lastMs + 1, Date.now());
          sensor.sum += n / 8;
          return { topic: `plant/${machine}/c`, payload: JSON.stringify({ t: lastMs, v: n / 8 }) };
        },
      }),
    };
    cleanups.push(() => sensor.publisher.abandon());
    sensor.publisher.start();
    return sensor;
  });
}

/** Until everything is acknowledged, and the windows of it are closed: by a sample of 4 s ahead, not counted. */
async function finish(all: readonly Sensor[], port: number): Promise<void> {
  await Promise.all(all.map(({ publisher }) => publisher.finish()));
  const aheadMs = Date.now() + 4000;
  const closer = new SequencePublisher({
    ...{ port, clientId: randomUUID().slice(0, 8), inFlight: 5, intervalMs: 0 },
    next: (n) =>
      n < all.length
        ? { topic: `plant/${all[n]!.machine}/c`, payload: JSON.stringify({ t: aheadMs, v: 0 }) }
        : null,
  });
  closer.start();
  await sleep(200);
  await closer.finish();
}

interface IngestPart {
  readonly ingest: { ok: boolean; reason: string; sessionGaps: number; lastSessionGapMs: number | null };
}

const ingestOf = async (gateway: GatewayProcess) =>
  ((await gateway.status()) as unknown as IngestPart).ingest;

async function connected(gateway: GatewayProcess, withinMs = 15_000): Promise<void> {
  await waitUntil(
    async () => (await ingestOf(gateway)).ok,
    withinMs,
    () => `no connection\n${gateway.log().slice(-3000)}`,
    25,
  );
}

async function reconnects(gateway: GatewayProcess): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${gateway.httpPort}/metrics`)).text();
  return Number(/^millwright_ingest_reconnects_total (\d+)/m.exec(text)?.[1]);
}

/** Waits for the gateway's next connection and lets it live for a moment. */
async function nextConnection(proxy: CuttingProxy, accepted: number): Promise<void> {
  await waitUntil(
    () => proxy.accepted > accepted,
    10_000,
    () => 'the gateway does not come back',
    5,
  );
  await sleep(15 + Math.random() * 60);
}

/** Windows of the sensor once all of it has arrived, or what is there after `withinMs`. */
async function windowsOf({ machine, publisher }: Sensor, withinMs: number): Promise<StoredWindow[]> {
  let windows: StoredWindow[] = [];
  const deadline = performance.now() + withinMs;
  do {
    await sleep(300);
    windows = await storedWindows(influx, machine);
  } while (samplesIn(windows) < publisher.sent && performance.now() < deadline);
  return windows;
}

/** What the kernel says about the process when it is quiet: the least of a few looks. */
async function resources(gateway: GatewayProcess): Promise<{ handles: number; bytes: number }> {
  const pid = gateway.process.pid!;
  let [handles, bytes] = [Infinity, Infinity];
  for (let look = 0; look < 5; look += 1) {
    handles = Math.min(handles, openHandles(pid));
    bytes = Math.min(bytes, residentBytes(pid));
    await sleep(100);
  }
  return { handles, bytes };
}

describe.skipIf(!possible)('an external broker that flaps', () => {
  it(
    `loses nothing that it acknowledged in ${FLAPS} flaps, and the gateway does not grow`,
    async () => {
      const { broker: mosquitto, proxy } = await broker();
      const { gateway } = await subscriber(proxy.port, { reconnectMinMs: 50, reconnectMaxMs: 100 });
      const all = sensors(mosquitto.port);
      let warm = await resources(gateway);
      for (let flap = 1; flap <= FLAPS; flap += 1) {
        const { accepted } = proxy;
        if (flap % RESTART_EVERY === 0) {
          await mosquitto.end('SIGTERM');
          await mosquitto.restart();
          await connected(gateway);
        } else {
          proxy.cut(flap % 2 === 0 ? 'reset' : 'fin');
          await nextConnection(proxy, accepted);
        }
        if (flap === WARM_AFTER) {
          await connected(gateway);
          warm = await resources(gateway);
        }
      }
      await connected(gateway);
      const after = await resources(gateway);
      await finish(all, mosquitto.port);
      for (const sensor of all) {
        const windows = await windowsOf(sensor, 20_000);
        expect([samplesIn(windows), sumOf(windows)]).toEqual([sensor.publisher.acknowledged, sensor.sum]);
      }
      const sent = all.reduce((sum, { publisher }) => sum + publisher.acknowledged, 0);
      const times = await reconnects(gateway);
      console.log(
        `flapping broker: ${FLAPS} flaps, ${times} reconnects, ${sent} acknowledged by mosquitto, 0 lost; handles ${warm.handles} -> ${after.handles}, RSS ${(warm.bytes / 1e6).toFixed(1)} -> ${(after.bytes / 1e6).toFixed(1)} MB`,
      );
      expect(times).toBeGreaterThan(FLAPS / 2);
      expect((await ingestOf(gateway)).sessionGaps).toBe(0);
      expect(after.handles).toBeLessThanOrEqual(warm.handles + 2);
      expect(after.bytes).toBeLessThan(warm.bytes + 25e6);
      expect(gateway.log()).not.toContain('MaxListenersExceededWarning');
    },
    scaledTimeoutMs(180_000),
  );

  it('control: without a session it loses, and every gap is counted', async () => {
    const { broker: mosquitto, proxy } = await broker();
    const { gateway } = await subscriber(proxy.port, {
      ...{ reconnectMinMs: 50, reconnectMaxMs: 200, sessionExpiryS: 0 },
    });
    const all = sensors(mosquitto.port);
    for (let flap = 1; flap <= 20; flap += 1) {
      const { accepted } = proxy;
      await sleep(80);
      proxy.cut();
      await nextConnection(proxy, accepted);
    }
    await connected(gateway);
    await finish(all, mosquitto.port);
    await sleep(1500);
    let lost = 0;
    for (const { machine, publisher } of all)
      lost += publisher.acknowledged - samplesIn(await storedWindows(influx, machine));
    const { sessionGaps, lastSessionGapMs } = await ingestOf(gateway);
    console.log(
      `flapping broker, control without a session: ${lost} lost in 20 flaps, ${sessionGaps} gaps counted`,
    );
    expect(lost).toBeGreaterThan(0);
    expect(sessionGaps).toBe(await reconnects(gateway));
    expect(sessionGaps).toBeGreaterThan(10);
    expect(Math.abs(Date.now() - lastSessionGapMs!)).toBeLessThan(60_000);
  });
});

describe.skipIf(!possible)('an external broker that forgets', () => {
  it('leaves a gap that is logged, counted and shown, also one that happened while the gateway was away', async () => {
    const { broker: mosquitto } = await broker();
    const it = await subscriber(mosquitto.port, { reconnectMinMs: 50, reconnectMaxMs: 100 });
    const [sensor] = sensors(mosquitto.port);
    await sleep(500);
    for (let kill = 1; kill <= 3; kill += 1) {
      await mosquitto.end('SIGKILL');
      await mosquitto.restart();
      await waitUntil(
        async () => (await ingestOf(it.gateway)).sessionGaps === kill,
        10_000,
        () => it.gateway.log().slice(-2000),
        25,
      );
    }
    const said = it.gateway
      .log()
      .split('\n')
      .filter((line) => line.includes('the broker forgot our session'));
    expect(said).toHaveLength(3);
    expect(JSON.parse(said[0]!)).toMatchObject({ level: 'warn', hint: /persistence/ });
    await it.gateway.stop();
    await it.start();
    expect((await ingestOf(it.gateway)).sessionGaps).toBe(0);
    await it.gateway.stop();
    await mosquitto.end('SIGKILL');
    await mosquitto.restart();
    await it.start();
    expect((await ingestOf(it.gateway)).sessionGaps).toBe(1);
    sensor!.publisher.abandon();
  });
});

describe.skipIf(!possible)('two gateways with one client id', () => {
  async function fight(protocolVersion: 4 | 5, seconds: number) {
    const { proxy } = await broker();
    const options = { protocolVersion, clientId: 'the-same' };
    const gateways = [await subscriber(proxy.port, options), await subscriber(proxy.port, options)];
    const fromMs = performance.now();
    await sleep(seconds * 1000);
    return {
      connections: proxy.acceptedAtMs.filter((atMs) => atMs > fromMs).length,
      log: gateways.flatMap(({ gateway }) => gateway.log().split('\n')),
    };
  }

  it('do not storm the broker, and say what to do', async () => {
    const seconds = 10;
    const versions = [5, 4] as const;
    const fights = await Promise.all(versions.map((version) => fight(version, seconds)));
    for (const [i, { connections, log }] of fights.entries()) {
      console.log(
        `one id, MQTT version ${versions[i]}: ${connections} connections of two gateways in ${seconds} s`,
      );
      expect(connections).toBeGreaterThan(0);
      expect(connections / seconds).toBeLessThan(1);
      expect(
        log.filter((line) => /MQTT client id.*/.test(line) && line.includes('ingest.external.clientId')),
      ).not.toEqual([]);
    }
  });
});

describe.skipIf(!possible)('an external broker that freezes', () => {
  it('is noticed by keep alive, and loses nothing', async () => {
    const { broker: mosquitto } = await broker();
    const { gateway } = await subscriber(mosquitto.port, {
      ...{ keepaliveS: 5, reconnectMinMs: 50, reconnectMaxMs: 500 },
    });
    const all = sensors(mosquitto.port);
    await sleep(500);
    mosquitto.freeze();
    const frozenMs = performance.now();
    await waitUntil(
      async () => !(await ingestOf(gateway)).ok,
      10_000,
      () => 'the gateway did not notice',
      50,
    );
    const noticedMs = performance.now() - frozenMs;
    mosquitto.thaw();
    await connected(gateway, 20_000);
    await sleep(500);
    await finish(all, mosquitto.port);
    for (const sensor of all) {
      const windows = await windowsOf(sensor, 10_000);
      expect([samplesIn(windows), sumOf(windows)]).toEqual([sensor.publisher.acknowledged, sensor.sum]);
    }
    console.log(
      `frozen broker: noticed after ${(noticedMs / 1000).toFixed(1)} s with a keep alive of 5 s, 0 lost`,
    );
  });
});
