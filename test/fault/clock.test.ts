/**
 * The real gateway under a system clock that steps, starts in 1970 or crosses 2038: nothing is lost, and every sample
 * stands in the window of the moment it was sent, read back from a real InfluxDB.
 *
 * The oracle is the test's own clock and the publishers' count of acknowledgements. A gateway-stamped message is
 * stamped after it was sent and before it is acknowledged, and at most IN_FLIGHT are in between; so the number of
 * samples in all windows up to any moment E lies between (sent until E) - IN_FLIGHT and (sent until E).
 *
 * Controls: a gateway that follows every step, and one that does not wait for its clock to be set, must fail.
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type FakeTime, fakeTime, findLibfaketime, NO_LIBFAKETIME } from '../support/fake-time.ts';
import {
  freePort,
  type GatewayProcess,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { findInfluxd, type Influx, NO_INFLUXD, startInflux } from '../support/influx.ts';
import { SequencePublisher } from '../support/sequence-publisher.ts';
import { type StoredWindow, samplesIn, storedWindows } from '../support/stored-windows.ts';

if (findLibfaketime() === null) console.log(NO_LIBFAKETIME);
if (findInfluxd() === null) console.log(NO_INFLUXD);
const possible = findLibfaketime() !== null && findInfluxd() !== null;

const WINDOW_MS = 1000;
const IN_FLIGHT = 5;
const HOUR_MS = 3_600_000;

interface Sent {
  readonly sentMs: number;
  /** What a device that stamps writes. */
  readonly timeMs: number;
  readonly value: number;
}

/** A sender and what it sent, in one go or with pauses. */
class Sensor {
  readonly sent: Sent[] = [];
  readonly machine: string;
  readonly stampsItself: boolean;
  readonly #port: number;
  /** Of the gateway, for when it does not acknowledge. */
  readonly #log: () => string;
  #publisher: SequencePublisher | null = null;

  constructor(port: number, machine: string, stampsItself: boolean, log: () => string) {
    this.#log = log;
    this.machine = machine;
    this.stampsItself = stampsItself;
    this.#port = port;
    this.begin();
  }

  begin(): void {
    this.#publisher = new SequencePublisher({
      port: this.#port,
      clientId: `${this.machine}-${randomUUID().slice(0, 8)}`,
      inFlight: IN_FLIGHT,
      intervalMs: 10,
      next: () => this.#next(),
    });
    this.#publisher.start();
  }

  /** Until everything is acknowledged. */
  async finish(): Promise<void> {
    await this.#publisher!.finish().catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#log()}`);
    });
  }

  abandon(): void {
    this.#publisher?.abandon();
  }

  #next(): { topic: string; payload: string } {
    const sentMs = Date.now();
    const timeMs = Math.max(sentMs, (this.sent.at(-1)?.timeMs ?? 0) + 1);
    // Eighths of whole numbers: sums are exact in any order. No value twice: equal ones of one ms are twins.
    const value = this.sent.length / 8;
    this.sent.push({ sentMs, timeMs, value });
    const payload = this.stampsItself ? { t: timeMs, v: value } : { v: value };
    return {
      topic: `${this.stampsItself ? 'own' : 'none'}/${this.machine}/c`,
      payload: JSON.stringify(payload),
    };
  }
}

let influx: Influx;
const cleanups: (() => unknown)[] = [];
beforeAll(async () => {
  if (possible) influx = await startInflux();
});
afterAll(() => influx?.stop());
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Plant {
  readonly time: FakeTime;
  /** Prefix of the machines' names: tests share one database. */
  readonly name: string;
  gateway: GatewayProcess;
  start(): Promise<void>;
  sensor(machine: string, stampsItself: boolean): Sensor;
}

async function plant(
  errorMs: number,
  clock: Record<string, unknown> = {},
  idleTimeoutMs = 2000,
): Promise<Plant> {
  const directory = temporaryDirectory('clock');
  cleanups.push(() => directory.remove());
  const time = fakeTime(join(directory.path, 'error'));
  time.setError(errorMs);
  const { url, org, bucket, token } = influx;
  const classOf = (topic: string, payload: object) => ({
    topics: [`${topic}/{machine}/{channel}`],
    payload: { format: 'json', ...payload },
    channels: { '*': { features: ['proc.basic'] } },
    window: { sizeMs: WINDOW_MS, outOfOrderMs: 500, idleTimeoutMs },
  });
  const options = {
    config: {
      machineClasses: { own: classOf('own', {}), none: classOf('none', { time: null }) },
      clock: { syncedFile: join(directory.path, 'synchronized/never'), ...clock },
      sinks: { influx: { type: 'influxdb2', url, org, bucket, token, flushIntervalMs: 100 } },
    },
    dataDir: join(directory.path, 'data'),
    mqttPort: await freePort(),
    httpPort: await freePort(),
    env: time.env,
  };
  const name = randomUUID().slice(0, 8);
  const it: Plant = {
    time,
    name,
    gateway: await startGatewayProcess(options),
    async start() {
      it.gateway = await startGatewayProcess(options);
    },
    sensor(machine, stampsItself) {
      const sensor = new Sensor(options.mqttPort, `${name}-${machine}`, stampsItself, () =>
        it.gateway.log().slice(-4000),
      );
      cleanups.push(() => sensor.abandon());
      return sensor;
    },
  };
  cleanups.push(() => it.gateway.kill());
  return it;
}

/** Waits until the database has every sample of the sensor; answers its windows. */
async function allOf({ machine, sent }: Sensor, gateway: GatewayProcess): Promise<StoredWindow[]> {
  let windows: StoredWindow[] = [];
  await waitUntil(
    async () => {
      windows = await storedWindows(influx, machine);
      return samplesIn(windows) >= sent.length;
    },
    20_000,
    () =>
      `${samplesIn(windows)} of ${sent.length} samples of ${machine} arrived\n${gateway.log().slice(-4000)}`,
    250,
  );
  return windows;
}

/** What is wrong with the windows of a sensor; empty if every sample stands where it belongs, once. */
function faults({ sent, stampsItself }: Sensor, windows: readonly StoredWindow[], shiftMs = 0): string[] {
  const wrong: string[] = [];
  if (samplesIn(windows) !== sent.length)
    wrong.push(`${samplesIn(windows)} samples instead of ${sent.length}`);
  const sum = windows.reduce((all, { count, mean }) => all + Math.round(count * mean * 8), 0);
  const sentSum = sent.reduce((all, { value }) => all + value * 8, 0);
  if (sum !== sentSum) wrong.push(`values sum up to ${sum / 8} instead of ${sentSum / 8}`);
  let until = 0;
  for (const { startMs, count } of windows) {
    until += count;
    const endMs = startMs + WINDOW_MS - shiftMs;
    const times = stampsItself ? sent.map(({ timeMs }) => timeMs) : sent.map(({ sentMs }) => sentMs);
    const most = times.filter((timeMs) => timeMs < endMs + (stampsItself ? 0 : 3)).length;
    const least = stampsItself ? most : times.filter((timeMs) => timeMs < endMs - 3).length - IN_FLIGHT;
    if (until < least || until > most)
      wrong.push(`${until} samples until ${new Date(endMs).toISOString()} instead of ${least} to ${most}`);
  }
  return wrong;
}

interface Status {
  readonly ready: boolean;
  readonly clock: { state: string; reason: string; steps: number; heldSamples: number };
  readonly store: { ledger: { samples: Record<string, number>; deadLetteredMessages: number } };
}

const statusOf = async (gateway: GatewayProcess) => (await gateway.status()) as unknown as Status;

async function expectNothingLost(gateway: GatewayProcess, accepted: number): Promise<void> {
  let ledger = (await statusOf(gateway)).store.ledger;
  await waitUntil(
    async () => {
      ledger = (await statusOf(gateway)).store.ledger;
      return ledger.samples['open'] === 0;
    },
    10_000,
    () => JSON.stringify(ledger),
  );
  const { late, evicted, quarantined } = ledger.samples;
  expect({ late, evicted, quarantined, dead: ledger.deadLetteredMessages }).toEqual({
    ...{ late: 0, evicted: 0, quarantined: 0, dead: 0 },
  });
  expect(ledger.samples['accepted']).toBe(accepted);
}

/** To 20 s after the epoch. */
const to1970 = () => 20_000 - Date.now();

describe.skipIf(!possible)('the system clock steps under QoS 1 load', () => {
  async function stepping(clock: Record<string, unknown>, everyMs: number) {
    const { gateway, time, sensor } = await plant(0, clock);
    const sensors = [sensor('own', true), sensor('own2', true), sensor('none', false)];
    await sleep(everyMs);
    for (const errorMs of [HOUR_MS, -HOUR_MS, to1970(), Date.UTC(2039, 0, 1) - Date.now(), 0]) {
      time.setError(errorMs);
      await sleep(everyMs);
    }
    await Promise.all(sensors.map((sensor) => sensor.finish()));
    return { gateway, sensors };
  }

  it('by hours and by decades: the windows are those without a step, everything once', async () => {
    const { gateway, sensors } = await stepping({}, 2000);
    for (const sensor of sensors) expect(faults(sensor, await allOf(sensor, gateway))).toEqual([]);
    const sent = sensors.reduce((sum, each) => sum + each.sent.length, 0);
    await expectNothingLost(gateway, sent);
    const { clock } = await statusOf(gateway);
    expect(clock.steps).toBe(4);
    const lines = gateway.log().split('\n');
    expect(lines.filter((line) => line.includes('the system clock was stepped'))).toHaveLength(4);
    expect(lines.filter((line) => line.includes('the system clock came back'))).toHaveLength(1);
    console.log(`clock steps: ${sent} acknowledged, 4 steps, 0 lost, every window as without a step`);
  });

  it('control: a gateway that follows every step puts samples into the wrong windows', async () => {
    const { sensors } = await stepping({ confirmStepMs: 0 }, 1000);
    const [, , none] = sensors;
    await sleep(4000);
    const wrong = faults(none!, await storedWindows(influx, none!.machine));
    console.log(`clock steps, control: ${wrong.length} windows of ${none!.sent.length} samples wrong`);
    expect(wrong.length).toBeGreaterThan(0);
  });
});

describe.skipIf(!possible)('a device that boots in 1970', () => {
  it('has its samples corrected once the clock is set, over kills before and after', async () => {
    // Longer than a start takes on a busy machine: what is sent again must find its window open.
    const it = await plant(to1970(), {}, 8000);
    const startedMs = Date.now();
    expect(await statusOf(it.gateway)).toMatchObject({ ready: true, clock: { state: 'unsynced' } });
    const own = it.sensor('own', true);
    const none = it.sensor('none', false);
    await sleep(2000);
    // A message whose acknowledgement a kill cuts off is stamped again: the exact oracle needs a pause.
    await none.finish();
    await it.gateway.kill();
    await it.start();
    none.begin();
    await sleep(3500);
    const before = await statusOf(it.gateway);
    expect(before.clock).toMatchObject({ state: 'unsynced' });
    expect(before.clock.heldSamples).toBeGreaterThan(100);
    // Devices that know the time are not held up and not turned away by a gateway in 1970.
    expect(samplesIn(await storedWindows(influx, own.machine))).toBeGreaterThan(100);
    expect(await storedWindows(influx, none.machine)).toEqual([]);
    it.time.setError(0);
    await sleep(600);
    await none.finish();
    await it.gateway.kill();
    await it.start();
    none.begin();
    await sleep(1000);
    await Promise.all([own, none].map((sensor) => sensor.finish()));
    expect((await statusOf(it.gateway)).clock).toMatchObject({ state: 'provisional', heldSamples: 0 });
    for (const sensor of [own, none]) {
      const windows = await allOf(sensor, it.gateway);
      expect(faults(sensor, windows)).toEqual([]);
      expect(windows[0]!.startMs).toBeGreaterThan(startedMs - WINDOW_MS);
    }
    const { samples, deadLetteredMessages } = (await statusOf(it.gateway)).store.ledger;
    expect({ late: samples['late'], dead: deadLetteredMessages }).toEqual({ late: 0, dead: 0 });
    const early = await influx.query(
      `from(bucket: "${influx.bucket}") |> range(start: 0, stop: 2026-01-01T00:00:00Z) |> filter(fn: (r) => exists r.gateway or r.machine =~ /^${it.name}/)`,
    );
    expect(early).toEqual([]);
    console.log(
      `boot in 1970: ${own.sent.length + none.sent.length} acknowledged, 2 kills, 0 lost, all at their time`,
    );
    await it.gateway.kill();
    it.time.setError(-72 * HOUR_MS);
    await it.start();
    expect((await statusOf(it.gateway)).clock).toMatchObject({
      state: 'unsynced',
      reason: 'the system clock is earlier than what was stored before',
    });
  });

  it('control: without waiting for the clock they stand at a guessed time, and say so', async () => {
    const { gateway, sensor } = await plant(to1970(), { maxHoldMs: 4000 });
    const none = sensor('none', false);
    await waitUntil(
      async () => (await statusOf(gateway)).clock.state === 'provisional',
      10_000,
      () => gateway.log(),
    );
    await sleep(500);
    await none.finish();
    const windows = await allOf(none, gateway);
    expect(faults(none, windows).length).toBeGreaterThan(0);
    expect(new Set(windows.map(({ quality }) => quality))).toEqual(new Set(['uncertain']));
    const { ready, clock } = await statusOf(gateway);
    expect([ready, clock.state]).toEqual([false, 'provisional']);
  });
});

describe.skipIf(!possible)('the end of 32-bit time', () => {
  it('passes without a lost sample or a stuck timer', async () => {
    const endMs = 2 ** 31 * 1000;
    // Time enough for the gateway to start.
    const shiftMs = Math.round((endMs - 12_000 - Date.now()) / 1000) * 1000;
    const { gateway, sensor } = await plant(shiftMs);
    const until = (timeMs: number) => sleep(Math.max(0, timeMs - shiftMs - Date.now()));
    await until(endMs - 2500);
    const none = sensor('none', false);
    await until(endMs + 2500);
    await none.finish();
    const windows = await allOf(none, gateway);
    expect(faults(none, windows, shiftMs)).toEqual([]);
    expect(windows.some(({ startMs }) => startMs < endMs)).toBe(true);
    expect(windows.some(({ startMs }) => startMs >= endMs)).toBe(true);
    await expectNothingLost(gateway, none.sent.length);
  });
});
