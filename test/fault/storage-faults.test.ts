/**
 * What a disk can do to a gateway under load: fill up, turn read-only, be locked by another program, lose its power.
 * Nothing is acknowledged that is not stored, the process never hangs, and once the disk is well again everything
 * acknowledged is in the real database, in the windows that the messages alone ask for.
 */

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  freePort,
  type GatewayProcess,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { findInfluxd, type Influx, NO_INFLUXD, startInflux } from '../support/influx.ts';
import { DiskBench, type LoopDisk, noLoopDisks } from '../support/loop-disk.ts';
import { NaiveGateway } from '../support/naive-gateway.ts';
import { compilePowerCut, noPowerCuts } from '../support/power-cut.ts';
import { isStopped } from '../support/process-facts.ts';
import { scaledCount, scaledTimeoutMs } from '../support/scale.ts';
import { seededRandom, testSeed } from '../support/seeded-random.ts';
import {
  expectWindows,
  influxSink,
  type Sensors,
  sampleAccount,
  startSensors,
  windowedClass,
} from '../support/window-load.ts';

const POWER_CUTS = scaledCount('MILLWRIGHT_POWER_CUTS', 8, 500);
/** What a disk that is well again may take to be used again. */
const RESUMES_WITHIN_MS = 10_000;

const noDisks = noLoopDisks();
const noPower = noPowerCuts();
const noServer = findInfluxd() === null;
if (noDisks !== null) console.log(`skipped: ${noDisks}, gateways are not put on failing disks`);
else if (noServer) console.log(NO_INFLUXD);

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

let influx: Influx;

interface Plant {
  readonly options: Parameters<typeof startGatewayProcess>[0];
  gateway: GatewayProcess;
  readonly sensors: Sensors;
}

/** A gateway with its data in `dataDir` and three sensors that push as fast as they are acknowledged. */
async function startPlant(machine: string, dataDir: string): Promise<Plant> {
  const config = {
    machineClasses: {
      // Records that nothing lets go of, so that the file grows.
      held: { ...windowedClass(3_600_000), machines: ['held'], window: { sizeMs: 3_600_000 } },
      any: windowedClass(4000),
    },
    ingest: { clockGuard: { maxPastMs: 3_600_000 } },
    store: { minFreeBytes: 0 },
    sinks: { influx: influxSink(influx) },
  };
  const options = { config, dataDir, mqttPort: await freePort(), httpPort: await freePort() };
  const gateway = await startGatewayProcess(options);
  const load = { port: options.mqttPort, machine, count: 3, inFlight: 10, intervalMs: 2 };
  const plant = { options, gateway, sensors: startSensors(load) };
  cleanups.push(() => plant.gateway.kill());
  cleanups.push(() => plant.sensors.abandon());
  await acknowledges(plant, 200);
  return plant;
}

/** Waits until `more` further messages are acknowledged; returns how long that took, ms. */
async function acknowledges(plant: Plant, more: number, withinMs = RESUMES_WITHIN_MS): Promise<number> {
  const before = plant.sensors.acknowledged();
  const startedMs = performance.now();
  await waitUntil(
    () => plant.sensors.acknowledged() >= before + more,
    withinMs,
    () =>
      `${plant.sensors.acknowledged() - before} of ${more} acknowledged\n${plant.gateway.log().slice(-4000)}`,
    10,
  );
  return performance.now() - startedMs;
}

/** Waits until nothing has been acknowledged for a second. */
async function acknowledgesNothing({ sensors, gateway }: Plant): Promise<void> {
  let [last, sinceMs] = [sensors.acknowledged(), performance.now()];
  await waitUntil(
    () => {
      if (sensors.acknowledged() !== last) [last, sinceMs] = [sensors.acknowledged(), performance.now()];
      return performance.now() - sinceMs > 1000;
    },
    20_000,
    () => `still acknowledging\n${gateway.log().slice(-4000)}`,
    20,
  );
}

/** Waits until the gateway's account holds at least what was acknowledged; a status is at most a second old. */
async function accountsFor({ gateway }: Plant, acknowledged: number): Promise<void> {
  await waitUntil(
    async () => (await sampleAccount(gateway)).accepted >= acknowledged,
    5000,
    () => `fewer than ${acknowledged} samples are there\n${gateway.log().slice(-4000)}`,
  );
}

async function readiness(gateway: GatewayProcess): Promise<{ status: number; text: string }> {
  const answer = await fetch(`http://127.0.0.1:${gateway.httpPort}/readyz`);
  return { status: answer.status, text: await answer.text() };
}

/** All messages acknowledged, all windows in the database, the account balanced. */
async function expectNothingLost(plant: Plant): Promise<void> {
  await plant.sensors.finish();
  await expectWindows(influx, plant.sensors.sent, () => plant.gateway.log().slice(-4000));
  const { evicted, quarantined } = await sampleAccount(plant.gateway);
  expect({ evicted, quarantined }).toEqual({ evicted: 0, quarantined: 0 });
}

/** Each begins its fault and answers how it ends. */
const FAULTS: readonly {
  readonly name: string;
  begin(disk: LoopDisk, file: string): Promise<() => Promise<void>>;
}[] = [
  {
    name: 'full',
    async begin(disk) {
      const hog = join(disk.path, 'hog');
      fillDisk(hog);
      return async () => rmSync(hog);
    },
  },
  {
    name: 'locked by another program',
    async begin(_disk, file) {
      const other = new Database(file);
      other.exec('BEGIN IMMEDIATE');
      return async () => void other.close();
    },
  },
  {
    name: 'turned read-only',
    async begin(disk) {
      await disk.remount('abort');
      return async () => {
        await disk.unmount();
        await disk.mount();
      };
    },
  },
];

describe.skipIf(noDisks !== null || noServer)('a gateway under load on a disk that fails', () => {
  beforeAll(async () => {
    influx = await startInflux();
  });
  afterAll(() => influx?.stop());

  async function loopDisk(): Promise<LoopDisk> {
    const bench = new DiskBench(32);
    cleanups.push(() => bench.remove());
    const disk = bench.disk('data');
    await disk.mount();
    return disk;
  }

  it('full: acknowledges nothing, goes on forwarding, and resumes by itself', {
    timeout: 120_000,
  }, async () => {
    const directory = temporaryDirectory('full');
    cleanups.push(() => directory.remove());
    const dataDir = join(directory.path, 'data');
    spawnSync('mkdir', [dataDir]);
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', dataDir]).status).toBe(0);
    cleanups.push(() => spawnSync('umount', ['-l', dataDir]));
    const plant = await startPlant('full', dataDir);
    const held = startSensors({
      port: plant.options.mqttPort!,
      machine: 'held',
      count: 2,
      inFlight: 50,
      intervalMs: 0,
    });
    cleanups.push(() => held.abandon());
    const hog = join(dataDir, 'hog');
    fillDisk(hog);
    await acknowledgesNothing(plant);
    const { status, text } = await readiness(plant.gateway);
    expect({ status, text }).toMatchObject({ status: 503, text: expect.stringContaining('store: full') });
    // What was stored before still reaches the database.
    await waitUntil(
      async () => (await backlogOf(plant.gateway)) === 0,
      RESUMES_WITHIN_MS,
      () => `the backlog stays\n${plant.gateway.log().slice(-4000)}`,
    );
    // Killed on the full disk it comes back with everything, and still takes nothing.
    await plant.gateway.kill();
    const told = plant.sensors.acknowledged() + held.acknowledged();
    plant.gateway = await startGatewayProcess({ ...plant.options, mayBeUnready: true }).catch((error) => {
      throw new Error(`does not start on a full disk: ${error}`);
    });
    await accountsFor(plant, told);
    rmSync(hog);
    const resumedMs = await acknowledges(plant, 50);
    await held.finish();
    await expectNothingLost(plant);
    const { open } = await sampleAccount(plant.gateway);
    expect(open).toBeGreaterThanOrEqual(held.sent.length);
    console.log(
      `full disk: ${plant.sensors.sent.length + held.sent.length} acknowledged, 0 lost, resumed after ${resumedMs.toFixed(0)} ms`,
    );
  });

  it('locked by another program: acknowledges nothing meanwhile, and goes on after', {
    timeout: 90_000,
  }, async () => {
    const directory = temporaryDirectory('locked');
    cleanups.push(() => directory.remove());
    const dataDir = join(directory.path, 'data');
    const plant = await startPlant('locked', dataDir);
    const other = new Database(join(dataDir, 'millwright.db'));
    cleanups.push(() => other.close());
    other.exec('BEGIN IMMEDIATE');
    await acknowledgesNothing(plant);
    await waitUntil(
      async () => (await readiness(plant.gateway)).text.includes('store: locked'),
      6000,
      () => plant.gateway.log().slice(-4000),
    );
    const told = plant.sensors.acknowledged();
    other.exec('ROLLBACK');
    const resumedMs = await acknowledges(plant, 50);
    expect(told).toBeGreaterThan(0);
    await expectNothingLost(plant);
    console.log(
      `locked database: ${plant.sensors.sent.length} acknowledged, 0 lost, resumed after ${resumedMs.toFixed(0)} ms`,
    );
  });

  it('a second gateway on the same data is refused in words', { timeout: 60_000 }, async () => {
    const directory = temporaryDirectory('second');
    cleanups.push(() => directory.remove());
    const plant = await startPlant('second', join(directory.path, 'data'));
    const second = startGatewayProcess({
      ...plant.options,
      mqttPort: await freePort(),
      httpPort: await freePort(),
    });
    await expect(second).rejects.toThrow(/MW_STORE_IN_USE/);
    await acknowledges(plant, 50);
  });

  it('turned read-only by an error: acknowledges nothing, says why, and has everything after', {
    timeout: 90_000,
  }, async () => {
    const disk = await loopDisk();
    const plant = await startPlant('read-only', disk.path);
    // As the kernel does with errors=remount-ro once the medium fails; only a new mount makes it writable again.
    await disk.remount('abort');
    await acknowledgesNothing(plant);
    const end = await Promise.race([
      once(plant.gateway.process, 'exit').then(([code]) => `ended with ${code}`),
      new Promise<string>((resolve) => setTimeout(() => resolve('lives'), 3000)),
    ]);
    const told = plant.sensors.acknowledged();
    if (end === 'lives') {
      expect((await readiness(plant.gateway)).text).toMatch(/store: (read_only|failing)/);
      await plant.gateway.kill();
    } else expect(end).toBe('ended with 1');
    // Started on such a disk it says so, lets itself be looked at, and takes nothing.
    plant.gateway = await startGatewayProcess({ ...plant.options, mayBeUnready: true });
    await waitUntil(
      async () => /store: (read_only|failing)/.test((await readiness(plant.gateway)).text),
      5000,
      () => plant.gateway.log(),
    );
    await acknowledgesNothing(plant);
    expect(plant.sensors.acknowledged()).toBe(told);
    await plant.gateway.kill();
    await disk.unmount();
    await disk.mount();
    plant.gateway = await startGatewayProcess(plant.options);
    await accountsFor(plant, told);
    await expectNothingLost(plant);
    console.log(`read-only disk: the gateway ${end}; ${plant.sensors.sent.length} acknowledged, 0 lost`);
  });

  it.each(FAULTS)(
    'control: a store behind on("publish") loses what it acknowledged on one that is $name',
    {
      timeout: 60_000,
    },
    async ({ begin }) => {
      const disk = await loopDisk();
      const file = join(disk.path, 'naive.db');
      const port = await freePort();
      const naive = new NaiveGateway(port, file);
      cleanups.push(() => naive.kill());
      const sensors = startSensors({ port, machine: 'naive', count: 3, inFlight: 10, intervalMs: 2 });
      cleanups.push(() => sensors.abandon());
      const told = (more: number) => {
        const enough = sensors.acknowledged() + more;
        return waitUntil(
          () => sensors.acknowledged() >= enough,
          20_000,
          () => 'the naive gateway acknowledges nothing',
          5,
        );
      };
      await told(200);
      const end = await begin(disk, file);
      await told(200);
      await naive.kill();
      sensors.abandon();
      await end();
      // At most what was in flight was not acknowledged.
      const lost = naive.missing(sensors.sent).length - (sensors.sent.length - sensors.acknowledged());
      console.log(`control: ${sensors.acknowledged()} acknowledged, ${lost} lost`);
      expect(lost).toBeGreaterThan(0);
    },
  );

  it.skipIf(noPower !== null)(
    `without power, ${POWER_CUTS} times: nothing acknowledged is missing`,
    { timeout: scaledTimeoutMs(150_000) },
    async () => {
      const seed = testSeed();
      const random = seededRandom(seed);
      const disk = await loopDisk();
      const { tool } = compilePowerCut(join(disk.path, '..'));
      const plant = await startPlant('power', disk.path);
      for (let cut = 0; cut < POWER_CUTS; cut += 1) {
        await acknowledges(plant, 20 + Math.floor(random() * 400), 30_000);
        await stopped(plant.gateway);
        expect(spawnSync(tool, [disk.path]).status).toBe(0);
        await plant.gateway.kill();
        await disk.unmount();
        await disk.mount();
        plant.gateway = await startGatewayProcess(plant.options);
      }
      await expectNothingLost(plant);
      console.log(
        `power cuts under load, MILLWRIGHT_SEED=${seed}: ${POWER_CUTS} cuts, ${plant.sensors.sent.length} acknowledged, 0 lost`,
      );
    },
  );
});

/**
 * The power goes for processor and disk at once. A gateway that ran on beside a disk that is gone would be told lies: of
 * an fsync under way while the file system is shut down, Linux 6.18 says that it succeeded, and its data are not there.
 */
async function stopped({ process: { pid } }: GatewayProcess): Promise<void> {
  process.kill(pid!, 'SIGSTOP');
  await waitUntil(
    () => isStopped(pid!),
    5000,
    () => 'the gateway does not stop',
    1,
  );
}

/** Points no sink has taken, as the status has it. */
async function backlogOf(gateway: GatewayProcess): Promise<number> {
  const { sinks } = (await gateway.status()) as { sinks: readonly { backlogPoints: number }[] };
  return sinks.reduce((sum, sink) => sum + sink.backlogPoints, 0);
}

/** Takes every byte that is left, as another program would. */
function fillDisk(path: string): void {
  const file = openSync(path, 'a');
  for (const bytes of [65_536, 4096, 1]) {
    try {
      while (writeSync(file, Buffer.alloc(bytes)) === bytes);
    } catch {
      // Full at this size; try the next smaller one.
    }
  }
  closeSync(file);
}
