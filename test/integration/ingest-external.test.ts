import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import { createExternalSource, type IngestSource } from '../../src/ingest/source.ts';
import type { Logger } from '../../src/telemetry/logger.ts';
import { freePort, MOSQUITTO } from '../support/cli-broker.ts';
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts';
import { harness, metric, type TestCommitter, testConfig } from '../support/ingest-harness.ts';
import { type PlantBroker, startPlantBroker } from '../support/plant-broker.ts';
import { publishPacket, RawClient } from '../support/raw-mqtt.ts';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startBroker(extra = ''): Promise<PlantBroker> {
  const broker = await startPlantBroker(extra);
  cleanups.push(() => broker.stop());
  return broker;
}

interface Started {
  readonly source: IngestSource;
  readonly committer: TestCommitter;
  readonly warnings: string[];
  /** Commits stop (or go on). */
  hold(held: boolean): void;
}

async function start(
  port: number,
  options: {
    protocolVersion?: 4 | 5;
    url?: string;
    caFile?: string;
    keep?: boolean;
    waitForIt?: boolean;
  } = {},
): Promise<Started> {
  const config = testConfig(undefined, {
    mode: 'external',
    external: {
      url: options.url ?? `mqtt://127.0.0.1:${port}`,
      protocolVersion: options.protocolVersion ?? 5,
      reconnectMinMs: 50,
      reconnectMaxMs: 200,
      ...(options.caFile === undefined ? {} : { caFile: options.caFile }),
    },
  });
  const warnings: string[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    warn: (_details, message) => warnings.push(message),
    error: (_details, message) => warnings.push(message),
  };
  let held = false;
  let onRequest = () => undefined as unknown;
  const { context, committer, ingest, router } = harness(config, {
    keep: options.keep ?? true,
    logger,
    onRequest: () => onRequest(),
  });
  const source = createExternalSource(ingest, context, router.topicFilters());
  const commit = () => {
    if (!held) source.onCommitted(committer.drain());
  };
  onRequest = () => setTimeout(commit, 3);
  await source.start();
  const timer = setInterval(commit, 50);
  cleanups.push(async () => {
    held = false;
    await source.stop();
    clearInterval(timer);
  });
  if (options.waitForIt !== false) await until(() => source.health.ok, 5000);
  return {
    source,
    committer,
    warnings,
    hold: (value) => {
      held = value;
    },
  };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms`);
    await pause(10);
  }
}

const json = (v: number) => JSON.stringify({ t: 1_764_000_000_000 + v, v });

/** Publishes v = from..to-1 at QoS 1 and waits for the broker's acknowledgements. */
async function publish(port: number, from: number, to: number): Promise<void> {
  const raw = await RawClient.connected(port);
  const chunk = 500;
  for (let at = from; at < to; at += chunk) {
    const next = Math.min(to, at + chunk);
    raw.send(
      ...Array.from({ length: next - at }, (_, i) =>
        publishPacket('plant/m1/temp', json(at + i), ((at + i) % 60_000) + 1),
      ),
    );
    await raw.until(() => raw.acked.length >= next - from, 20_000);
  }
  raw.close();
}

async function proxyTo(port: number): Promise<CuttingProxy> {
  const proxy = await startCuttingProxy(port);
  cleanups.push(() => proxy.stop());
  return proxy;
}

describe.skipIf(MOSQUITTO === null)('the external source at mosquitto', () => {
  it.each([4, 5] as const)(
    'takes more than 5000 durable messages a second over MQTT version %i',
    async (version) => {
      const { port } = await startBroker();
      const { source, committer } = await start(port, { protocolVersion: version });
      const count = 20_000;
      const before = performance.now();
      await Promise.all([publish(port, 0, count / 2), publish(port, count / 2, count)]);
      await until(() => source.acknowledgedMessages >= count);
      const seconds = (performance.now() - before) / 1000;
      expect(new Set(committer.seen.scalars.map(({ value }) => value)).size).toBe(count);
      expect(count / seconds).toBeGreaterThan(5000);
      expect(source.pendingAcks).toBe(0);
    },
  );

  it.each([4, 5] as const)(
    'acknowledges after the commit only: what was not committed comes again (version %i)',
    async (version) => {
      const { port } = await startBroker();
      const proxy = await proxyTo(port);
      const { source, committer, hold } = await start(proxy.port, { protocolVersion: version });
      hold(true);
      await publish(port, 0, 100);
      await until(() => source.pendingAcks === 100);
      expect(source.acknowledgedMessages).toBe(0);
      proxy.cut();
      await until(() => !source.health.ok);
      // The old connection's messages are no longer waited for; the broker sends all of them again.
      await until(() => source.health.ok && source.pendingAcks === 100);
      hold(false);
      await until(() => source.acknowledgedMessages === 100);
      expect(committer.seen.scalars.length).toBe(200);
      expect(metric(source.metrics(), 'millwright_ingest_reconnects_total')).toBe(1);
      expect(metric(source.metrics(), 'millwright_ingest_session_gaps_total')).toBe(0);
    },
  );

  it('loses nothing over connections cut at any moment', async () => {
    const { port } = await startBroker();
    const proxy = await proxyTo(port);
    const { source, committer } = await start(proxy.port);
    const rounds = 12;
    const perRound = 1000;
    const count = rounds * perRound;
    for (let round = 0; round < rounds; round++) {
      await publish(port, round * perRound, (round + 1) * perRound);
      await pause(40 * Math.random());
      proxy.cut();
      await pause(120);
    }
    expect(metric(source.metrics(), 'millwright_ingest_reconnects_total')).toBeGreaterThan(3);
    const values = () => new Set(committer.seen.scalars.map(({ value }) => value)).size;
    await until(() => values() === count);
    await until(() => source.health.ok && source.pendingAcks === 0);
  });

  it('gets what was published while it was away', async () => {
    const { port } = await startBroker();
    const first = await start(port);
    await publish(port, 0, 10);
    await until(() => first.source.acknowledgedMessages === 10);
    await first.source.stop();
    await publish(port, 10, 3000);
    const second = await start(port);
    await until(() => second.source.acknowledgedMessages === 2990);
    expect(second.committer.seen.scalars.map(({ value }) => value)).toEqual(
      Array.from({ length: 2990 }, (_, i) => i + 10),
    );
  });

  it('says and counts that the broker forgot the session', async () => {
    const broker = await startBroker('persistence false');
    const { source, warnings } = await start(broker.port);
    await broker.end('SIGKILL');
    await until(() => !source.health.ok);
    expect(source.health.reason).not.toBe('');
    await broker.restart();
    await until(() => source.health.ok);
    expect(metric(source.metrics(), 'millwright_ingest_session_gaps_total')).toBe(1);
    expect(warnings).toContain('the broker forgot our session: messages of the meantime are lost');
    await publish(broker.port, 0, 5);
    await until(() => source.acknowledgedMessages === 5);
  });

  it('keeps its session over an orderly restart of a broker with the recommended configuration', async () => {
    const broker = await startBroker();
    const { source } = await start(broker.port);
    await broker.end('SIGTERM');
    await until(() => !source.health.ok);
    await broker.restart();
    await until(() => source.health.ok);
    expect(metric(source.metrics(), 'millwright_ingest_session_gaps_total')).toBe(0);
  });

  it('starts before its broker does', async () => {
    const port = await freePort();
    const { source } = await start(port, { waitForIt: false });
    await until(() => /ECONNREFUSED/.test(source.health.reason));
    const server = createServer((socket) => socket.destroy());
    server.listen(port, '127.0.0.1');
    await pause(300);
    expect(source.health.ok).toBe(false);
    await new Promise((resolve) => server.close(resolve));
  });

  it('says why when the broker turns it away', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millwright-acl-'));
    cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
    writeFileSync(join(dir, 'passwd'), '');
    const closed = await freePort();
    writeFileSync(
      join(dir, 'm.conf'),
      `user root\nlistener ${closed} 127.0.0.1\nallow_anonymous false\npassword_file ${dir}/passwd\n`,
    );
    const child = spawn(MOSQUITTO!, ['-c', join(dir, 'm.conf')], { stdio: 'ignore' });
    cleanups.push(() => child.kill('SIGKILL'));
    const { source } = await start(closed, { waitForIt: false });
    await until(() => /[Nn]ot authorized/.test(source.health.reason));
  });

  it.each([4, 5] as const)(
    'acknowledges a message too large for the gateway, as a dead letter (version %i)',
    async (version) => {
      const { port } = await startBroker('max_packet_size 4000000');
      const { source, committer } = await start(port, { protocolVersion: version });
      const raw = await RawClient.connected(port);
      raw.send(publishPacket('plant/m1/temp', Buffer.alloc(2_000_000, 'x'), 1));
      raw.send(publishPacket('plant/m1/temp', json(1), 2));
      await until(() => source.acknowledgedMessages === 2);
      expect(committer.seen.deadLetters).toMatchObject([
        {
          reason: 'oversize',
          source: 'plant/m1/temp',
          payload: new Uint8Array(131_072).fill(120),
          originalBytes: 2_000_000,
        },
      ]);
      expect(committer.seen.scalars).toHaveLength(1);
      expect(metric(source.metrics(), 'millwright_ingest_dead_letters_total', 'oversize')).toBe(1);
      raw.close();
    },
  );

  it('acknowledges a message too large whose MQTT 5 properties alone are longer than what is kept', async () => {
    const { port } = await startBroker('max_packet_size 4000000');
    const { source, committer } = await start(port);
    const sender = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
    cleanups.push(() => sender.endAsync(true));
    const note = Array.from({ length: 40 }, () => 'x'.repeat(60_000));
    const properties = { userProperties: { note } };
    await sender.publishAsync('plant/m1/temp', 'x'.repeat(100_000), { qos: 1, properties });
    await sender.publishAsync('plant/m1/temp', json(1), { qos: 1 });
    await until(() => source.acknowledgedMessages === 2);
    expect(committer.seen.deadLetters).toMatchObject([
      { reason: 'oversize', payload: new Uint8Array(), originalBytes: 100_000 },
    ]);
    expect(committer.seen.scalars).toHaveLength(1);
    expect(metric(source.metrics(), 'millwright_ingest_reconnects_total')).toBe(0);
  });

  it('goes through TLS with the given certificate authority, and not without', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millwright-tls-'));
    cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
    const tlsPort = await freePort();
    execFileSync(
      'openssl',
      // biome-ignore format: one option a line tells nothing more
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
        '-addext', 'subjectAltName=DNS:localhost', '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')],
      { stdio: 'ignore' },
    );
    const { port } = await startBroker(
      `listener ${tlsPort} 127.0.0.1\ncertfile ${dir}/cert.pem\nkeyfile ${dir}/key.pem\nallow_anonymous true`,
    );
    const url = `mqtts://localhost:${tlsPort}`;
    const { source } = await start(tlsPort, { url, caFile: join(dir, 'cert.pem') });
    await publish(port, 0, 100);
    await until(() => source.acknowledgedMessages === 100);
    const distrustful = await start(tlsPort, { url, waitForIt: false });
    await until(() => /self.signed certificate/.test(distrustful.source.health.reason));
  });

  it('refuses a WebSocket address and an unreadable certificate with a clear error', async () => {
    const of = (external: object) => {
      const config = testConfig(undefined, { mode: 'external', external });
      const { context, ingest } = harness(config);
      return () => createExternalSource(ingest, context, ['plant/+/+']);
    };
    expect(of({ url: 'ws://broker:9001' })).toThrow(/WebSocket/);
    await expect(of({ url: 'mqtts://broker', caFile: '/nowhere/ca.pem' })().start()).rejects.toThrow(
      /caFile/,
    );
  });
});
