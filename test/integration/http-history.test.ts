/** `/api/v1/history` of a gateway as users run it, and how long it keeps the MQTT thread. */

import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import { createHttpServer } from '../../src/http/server.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import { startGatewayProcess, temporaryDirectory, waitUntil } from '../support/gateway-process.ts';
import { plantStatus } from '../support/plant-status.ts';

const START_MS = 1_767_225_600_000;
const WINDOW_MS = 1_000;

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const config = {
  machineClasses: {
    pump: {
      topics: ['plant/{machine}/{channel}'],
      channels: { load: { features: ['proc.basic'], periodMs: 500 } },
      window: { sizeMs: WINDOW_MS, outOfOrderMs: 0 },
      baseline: { enabled: false },
    },
  },
  history: {
    features: ['load.max'],
    archives: [
      { stepMs: 1000, rows: 5000 },
      { stepMs: 10_000, rows: 5000 },
    ],
  },
  ingest: { clockGuard: { maxPastMs: 0 } },
};

describe('GET /api/v1/history', () => {
  it('answers columns with gaps, and refuses what is wrong or too much', async () => {
    const directory = temporaryDirectory('http-history');
    cleanups.push(() => directory.remove());
    const gateway = await startGatewayProcess({ config, dataDir: join(directory.path, 'data') });
    cleanups.push(() => gateway.kill());
    const client = await connectAsync(`mqtt://127.0.0.1:${gateway.mqttPort}`);
    cleanups.push(() => client.endAsync(true));
    for (let n = 0; n <= 240; n += 1) {
      // Ten windows without a sample.
      if (n >= 40 && n < 60) continue;
      const payload = JSON.stringify({ t: START_MS + n * 500, v: n });
      await client.publishAsync('plant/pump-1/load', payload, { qos: 1 });
    }
    const url = `http://127.0.0.1:${gateway.httpPort}/api/v1/history`;
    const about = `machine=pump-1&from=${START_MS}&to=${START_MS + 120_000}`;
    const ask = async (query: string) => {
      const response = await fetch(`${url}?${query}`);
      return { status: response.status, body: (await response.json()) as Record<string, never> };
    };
    await waitUntil(
      async () => {
        const { status, body } = await ask(`${about}&series=load&resolution=1000`);
        return status === 200 && (body['count'] as number[]).length >= 120;
      },
      20_000,
      () => `the windows never came\n${gateway.log()}`,
    );
    const { body } = await ask(`${about}&series=load&resolution=1000`);
    const want = (value: (n: number) => number) =>
      Array.from({ length: 120 }, (_, n) => (n >= 20 && n < 30 ? null : value(n)));
    expect(body).toMatchObject({ machine: 'pump-1', series: 'load', startMs: START_MS, stepMs: 1000 });
    expect(body['average']).toEqual(want((n) => 2 * n + 0.5));
    expect(body['min']).toEqual(want((n) => 2 * n));
    expect(body['max']).toEqual(want((n) => 2 * n + 1));
    expect((await ask(`${about}&series=load.max&resolution=10000`)).body['max']).toHaveLength(12);
    expect((await ask(`${about}&series=load`)).body['stepMs']).toBe(1000);
    expect((await ask(`${about}&series=none`)).status).toBe(404);
    expect((await ask(`${about}&series=load&resolution=7`)).status).toBe(400);
    expect((await ask(`machine=pump-1&series=load&from=soon`)).status).toBe(400);
    expect((await ask('series=load')).status).toBe(400);
    expect(
      (await ask(`machine=pump-1&series=load&from=${START_MS - 9e6}&to=${START_MS + 9e6}&resolution=1000`))
        .status,
    ).toBe(400);
  });

  it('says so where no history is kept', async () => {
    const server = createHttpServer({
      config: { enabled: true, host: '127.0.0.1', port: 0 },
      status: () => plantStatus(START_MS),
      metricsText: async () => '',
      health: () => ({ live: true, ready: true, reasons: [] }),
      logger: SILENT,
    });
    cleanups.push(() => server.stop());
    const response = await fetch(`${await server.start()}/api/v1/history?machine=a&series=b`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'no_history' } });
  });
});
