/** SIGTERM while senders push as hard as they may: an orderly end in time, and nothing acknowledged is missing. */

import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort, startGatewayProcess, temporaryDirectory, waitUntil } from '../support/gateway-process.ts';
import { SequencePublisher } from '../support/sequence-publisher.ts';

const SENDERS = 4;
const STOPS = 3;
const IN_FLIGHT = 200;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe('SIGTERM under load', () => {
  it('ends with code 0 within five seconds, and every acknowledged message is there afterwards', async () => {
    const directory = temporaryDirectory('stop');
    cleanups.push(() => directory.remove());
    const options = {
      config: {
        machineClasses: {
          any: {
            topics: ['factory/{machine}/{channel}'],
            channels: { '*': { features: ['proc.basic'] } },
            // Nothing closes: everything accepted stays countable.
            window: { sizeMs: 3_600_000 },
          },
        },
      },
      dataDir: join(directory.path, 'data'),
      mqttPort: await freePort(),
    };
    let gateway = await startGatewayProcess(options);
    cleanups.push(() => gateway.kill());
    const t0 = Math.floor(Date.now() / 3_600_000) * 3_600_000;
    const publishers = Array.from({ length: SENDERS }, (_, sender) => {
      const publisher = new SequencePublisher({
        port: options.mqttPort,
        clientId: `s${sender}`,
        inFlight: IN_FLIGHT,
        intervalMs: 0,
        next: (n) => ({ topic: `factory/m1/c${sender}`, payload: JSON.stringify({ t: t0 + n, v: n }) }),
      });
      publisher.start();
      cleanups.push(() => publisher.abandon());
      return publisher;
    });
    const acknowledged = () => publishers.reduce((sum, publisher) => sum + publisher.acknowledged, 0);

    for (let stop = 0; stop < STOPS; stop += 1) {
      const before = acknowledged();
      await waitUntil(
        () => acknowledged() > before + 500,
        20_000,
        () => `no progress\n${gateway.log()}`,
        5,
      );
      const startedMs = performance.now();
      expect(await gateway.stop()).toBe(0);
      expect(performance.now() - startedMs).toBeLessThan(5_000);
      gateway = await startGatewayProcess(options);
    }
    await Promise.all(publishers.map((publisher) => publisher.finish()));
    let samples: Record<string, number> = {};
    // The status is at most a second old.
    await waitUntil(
      async () => {
        const status = (await gateway.status()) as { store: { ledger: { samples: typeof samples } } };
        samples = status.store.ledger.samples;
        return samples['accepted']! >= acknowledged();
      },
      10_000,
      () => `${samples['accepted']} of ${acknowledged()} accepted`,
    );
    // Sent twice is at most what was in flight at each stop.
    expect(samples['open']).toBe(samples['accepted']);
    expect(samples['accepted']).toBeLessThanOrEqual(acknowledged() + STOPS * SENDERS * IN_FLIGHT);
    console.log(
      `stop under load: ${STOPS} stops, ${acknowledged()} acknowledged, ${samples['accepted']} there`,
    );
  });
});
