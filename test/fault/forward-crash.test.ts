/**
 * The gateway is killed between the server's 204 and the settlement of its batch, and a sink whose certificate or name
 * is wrong: what was sent is sent again byte for byte and stands in the database once; the others wait with a reason
 * that says what to do.
 *
 * Control: the requests before the kill did reach the database, so the second sending is one.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { sinkConfig, startForwarder, until } from '../support/forwarding.ts';
import { temporaryDirectory, waitUntil } from '../support/gateway-process.ts';
import { findInfluxd, NO_INFLUXD } from '../support/influx.ts';
import { MemoryOutbox, numberedPoints } from '../support/memory-outbox.ts';
import { OutagePlant } from '../support/outage-plant.ts';
import { scaledCount, scaledTimeoutMs } from '../support/scale.ts';

const available = findInfluxd() !== null;
if (!available) console.log(NO_INFLUXD);

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.log('openssl not found: the certificate tests are skipped');

const KILLS = scaledCount('KILLS', 3, 100);

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe.skipIf(!available)('a gateway killed between 204 and settlement', () => {
  it(
    'sends the same bytes again, each time, and every window stands in the database once',
    async () => {
      const plant = await OutagePlant.start();
      cleanups.push(() => plant.stop());
      const load = plant.load('m', Date.now() - 7_200_000);
      load.start();
      const firstSent = new Map<string, string>();
      let sentAgain = 0;
      for (let kill = 0; kill < KILLS; kill += 1) {
        await sleep(400);
        const before = plant.proxy.writes.length;
        // The server stores the lines; its answer reaches nobody, and the gateway dies before it asks again.
        await plant.proxy.set({ kind: 'swallow' });
        await waitUntil(
          () => plant.proxy.writes.length > before,
          10_000,
          () => plant.gateway.log(),
          2,
        );
        await plant.killAndRestart();
        await plant.proxy.set({ kind: 'pass' });
      }
      await sleep(400);
      await load.finish();
      expect(await plant.settled(load, 20_000)).toEqual([]);
      for (const { lines } of plant.proxy.writes) {
        for (const line of lines.filter((text) => text.startsWith('machine_features'))) {
          const key = `${line.slice(0, line.indexOf(' '))} ${line.slice(line.lastIndexOf(' '))}`;
          const earlier = firstSent.get(key);
          if (earlier === undefined) firstSent.set(key, line);
          else {
            sentAgain += 1;
            expect(line).toBe(earlier);
          }
        }
      }
      console.log(
        `${firstSent.size} windows, ${sentAgain} lines sent again, none of them changed, 0 missing`,
      );
      expect(sentAgain).toBeGreaterThan(0);
      const [far] = await plant.accounts();
      expect(far).toMatchObject({ deadLettered: 0, evicted: 0, quarantined: 0 });
    },
    scaledTimeoutMs(120_000),
  );
});

const sinkOf = (type: string, url: string) =>
  type === 'influxdb2' ? { type, url, token: 'x' } : { type, url };

describe('a sink that cannot be reached as it is configured', () => {
  it.skipIf(!hasOpenssl).each(['influxdb2', 'line-protocol'])(
    'keeps everything and names the certificate (%s)',
    async (type) => {
      const directory = temporaryDirectory('tls');
      cleanups.push(() => directory.remove());
      const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(directory.path, name)) as [
        string,
        string,
      ];
      execFileSync(
        'openssl',
        // biome-ignore format: one option a line says no more
        ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '1', '-subj', '/CN=db'],
        { stdio: 'ignore' },
      );
      let requests = 0;
      const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
        requests += 1;
        response.writeHead(204).end();
      }).listen(0, '127.0.0.1');
      cleanups.push(() => server.close());
      await new Promise((resolve) => server.once('listening', resolve));
      const { port } = server.address() as AddressInfo;
      const outbox = new MemoryOutbox();
      outbox.append(numberedPoints(10));
      const forwarder = startForwarder(outbox, sinkConfig(sinkOf(type, `https://127.0.0.1:${port}`)));
      cleanups.push(() => forwarder.stop(500));
      await until('retries', () => forwarder.status().retries >= 3);
      expect(forwarder.status()).toMatchObject({
        state: 'retrying',
        reason: expect.stringMatching(/self-signed certificate/),
        hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
      });
      expect([requests, outbox.delivered, outbox.backlog('plant').points]).toEqual([0, 0, 10]);
    },
  );

  it.each(['influxdb2', 'line-protocol'])(
    'keeps everything and names the host that is unknown (%s)',
    async (type) => {
      const outbox = new MemoryOutbox();
      outbox.append(numberedPoints(10));
      // RFC 6761: no resolver knows a name under .invalid.
      const forwarder = startForwarder(outbox, sinkConfig(sinkOf(type, 'http://database.invalid:8086')));
      cleanups.push(() => forwarder.stop(500));
      await until('retries', () => forwarder.status().retries >= 2);
      expect(forwarder.status()).toMatchObject({
        state: 'retrying',
        reason: expect.stringMatching(/(ENOTFOUND|EAI_AGAIN).*database\.invalid/),
        hint: expect.stringContaining('name server'),
      });
      expect(outbox.backlog('plant').points).toBe(10);
    },
  );
});
