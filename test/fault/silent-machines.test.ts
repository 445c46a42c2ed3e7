/**
 * Power goes while a machine is in alarm, and none of the machines speaks again: the page and the API must go on to
 * show what was known of them.
 */

import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { GatewayStatus, MachineStatus } from '../../src/domain/gateway-status.ts';
import {
  freePort,
  type GatewayProcess,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { playKilled } from '../support/killed-recording.ts';

const WINDOW_MS = 1000;
const SAMPLE_MS = 100;
const WINDOWS = 60;
const FAULT_AT = 45;
const START_MS = 1_767_225_600_000;

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const CHANNEL = { features: ['proc.basic'], periodMs: SAMPLE_MS };
const WINDOW = { sizeMs: WINDOW_MS, outOfOrderMs: 1000, idleTimeoutMs: 120_000 };
const BASELINE = { enabled: true, minSpanMs: 0, falseAlarmsPerMachinePer30Days: 1000 };

const classOf = (name: string, baseline: object) => ({
  topics: [`${name}/{machine}/{channel}`],
  channels: { load: CHANNEL },
  window: WINDOW,
  baseline,
});

const CONFIG = {
  machineClasses: {
    fan: classOf('fan', { ...BASELINE, minWindows: 2 * WINDOWS }),
    meter: classOf('meter', { enabled: false }),
    pump: classOf('pump', { ...BASELINE, minWindows: 30 }),
  },
  inference: { deadlineMs: 20_000 },
  ingest: { clockGuard: { maxPastMs: 0 } },
};

const NAMES = ['fan', 'meter', 'pump'];
const FAILING = 2;

/** A hash of the time, and a fault: the same in every run. */
function messageOf(machine: number, n: number): { topic: string; payload: string } | null {
  const afterMs = n * SAMPLE_MS;
  if (afterMs >= WINDOWS * WINDOW_MS) return null;
  const fault = machine === FAILING && afterMs >= FAULT_AT * WINDOW_MS ? 40 : 0;
  const value = 10 + ((Math.imul(n + machine, 0x9e3779b9) >>> 0) % 1000) / 300 + fault;
  const payload = JSON.stringify({ t: START_MS + afterMs, v: value });
  return { topic: `${NAMES[machine]}/${NAMES[machine]}-1/load`, payload };
}

async function played(): Promise<{ gateway: GatewayProcess; restart(): Promise<GatewayProcess> }> {
  const directory = temporaryDirectory('silent');
  cleanups.push(() => directory.remove());
  const options = { config: CONFIG, dataDir: join(directory.path, 'data'), mqttPort: await freePort() };
  const recording = { machines: NAMES.length, messages: (WINDOWS * WINDOW_MS) / SAMPLE_MS, messageOf };
  const gateway = await playKilled(options, recording, { kills: 0 }, (cleanup) => cleanups.push(cleanup));
  const restart = async () => {
    const again = await startGatewayProcess({ ...options, mqttPort: await freePort() });
    cleanups.push(() => again.kill());
    return again;
  };
  return { gateway, restart };
}

const statusOf = async (gateway: GatewayProcess) => (await gateway.status()) as unknown as GatewayStatus;

/** What a restart knows to the bit. */
function lasting({ machine, machineClass, state, baselineProgress, lastWindow }: MachineStatus) {
  const { startMs, endMs } = lastWindow!;
  return { machine, machineClass, state, baselineProgress, startMs, endMs };
}

describe('machines that stay silent after a power cut', () => {
  it('are shown with their state, alarm, advice, progress and last window', async () => {
    const { gateway, restart } = await played();
    const ended = START_MS + (WINDOWS - 1) * WINDOW_MS;
    await waitUntil(
      async () => {
        const { machines } = await statusOf(gateway);
        return (
          machines.length === 3 &&
          machines.every(({ lastWindow }) => (lastWindow?.endMs ?? 0) >= ended - WINDOW_MS)
        );
      },
      20_000,
      () => gateway.log(),
    );
    // Longer than a commit, and than it takes to post a status.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const before = await statusOf(gateway);
    expect(before.machines.map(({ machine, state }) => [machine, state])).toEqual([
      ['fan-1', 'commissioning'],
      ['meter-1', 'unknown'],
      ['pump-1', 'alarm'],
    ]);
    expect(before.alarms).toMatchObject([{ machine: 'pump-1', transition: 'raised', severity: 'alarm' }]);
    await gateway.kill();

    const after = await restart();
    await waitUntil(
      async () => (await statusOf(after)).machines.length > 0,
      5_000,
      () => 'no machine is shown',
    );
    const { machines, alarms } = await statusOf(after);
    expect(machines.map(lasting)).toEqual(before.machines.map(lasting));
    expect(alarms).toEqual(before.alarms);
    expect(machines[2]).toMatchObject({
      advice: expect.stringMatching(/^Inspect the machine: load\.\w+ is above its healthy level/),
      healthIndex: null,
      scoreState: 'none',
      reason: 'no_window_yet',
      lastWindow: { coverage: null, quality: null },
      features: [],
    });
    const answer = await fetch(`http://127.0.0.1:${after.httpPort}/api/v1/machines/pump-1`);
    expect(answer.status).toBe(200);
  });
});
