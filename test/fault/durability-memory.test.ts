/** `durability: memory`: acknowledged on receipt, gone with a kill, and counted as evicted to the sample. */

import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type GatewayProcess,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const SAMPLES = 200;

/** Channel `quick` as given, `safe` always durable; windows stay open over the test. */
function configured(durability: 'memory' | 'disk') {
  return {
    store: { commitWindowMs: 1000, adaptiveCommit: false, minFreeBytes: 0 },
    machineClasses: {
      pump: {
        topics: ['plant/{machine}/{channel}'],
        channels: { quick: { durability }, safe: {} },
        window: { sizeMs: 3_600_000, idleTimeoutMs: 3_600_000 },
      },
    },
  };
}

interface Account {
  readonly samples: Record<string, number>;
  readonly reasons: readonly string[];
}

async function account(gateway: GatewayProcess): Promise<Account> {
  const { store, reasons } = (await gateway.status()) as {
    store: { ledger: { samples: Record<string, number> } };
    reasons: string[];
  };
  return { samples: store.ledger.samples, reasons };
}

const send = (client: MqttClient, channel: string, n: number) =>
  client.publishAsync(`plant/m1/${channel}`, JSON.stringify({ t: Date.now() + n, v: n }), { qos: 1 });

/** Publishes to both channels, kills the gateway, starts it again. */
async function lifeAndDeath(durability: 'memory' | 'disk') {
  const directory = temporaryDirectory('memory');
  cleanups.push(() => directory.remove());
  const options = { config: configured(durability), dataDir: `${directory.path}/data` };
  let gateway = await startGatewayProcess(options);
  cleanups.push(() => gateway.kill());
  // A connection of its own each: acknowledgements of one connection keep their order.
  const address = `mqtt://127.0.0.1:${gateway.mqttPort}`;
  const client = await connectAsync(address, { reconnectPeriod: 0 });
  const quick = await connectAsync(address, { reconnectPeriod: 0 });
  const order: string[] = [];
  const published: Promise<unknown>[] = [];
  for (let n = 0; n < SAMPLES; n += 1) {
    published.push(send(client, 'safe', n).then(() => order.push('safe')));
    published.push(send(quick, 'quick', n).then(() => order.push('quick')));
  }
  await Promise.all(published);
  // A durable batch after the last sample in memory carries the account of all.
  await send(client, 'safe', SAMPLES);
  client.end(true);
  quick.end(true);
  await gateway.kill();
  gateway = await startGatewayProcess(options);
  const restarted = gateway;
  // The first status comes a second after the start.
  await waitUntil(
    async () => (await account(restarted)).samples['accepted']! > 0,
    20_000,
    () => restarted.log(),
  );
  return { order, after: await account(restarted) };
}

describe('a channel with durability: memory', () => {
  it('is acknowledged before the flush, and what a kill takes is evicted, exactly', async () => {
    const { order, after } = await lifeAndDeath('memory');
    // Sent after the durable one, acknowledged before it.
    expect(order[0]).toBe('quick');
    expect(after.samples).toMatchObject({
      accepted: 2 * SAMPLES + 1,
      open: SAMPLES + 1,
      evicted: SAMPLES,
      quarantined: 0,
      duplicate: 0,
    });
    expect(after.reasons).toEqual([]);
    console.log(
      `durability: memory: ${2 * SAMPLES + 1} acknowledged, ${after.samples['evicted']} evicted by a kill`,
    );
  });

  it('control: the same channel with durability: disk loses nothing', async () => {
    const { after } = await lifeAndDeath('disk');
    expect(after.samples).toMatchObject({ accepted: 2 * SAMPLES + 1, open: 2 * SAMPLES + 1, evicted: 0 });
  });
});
