/**
 * The watchdog of systemd is fed only while ingest, writer and forwarders make progress: a real datagram socket
 * receives the pings, and parts of the real gateway are stopped from outside. A sink that is away or answers nothing,
 * and a disk that is merely slow, must not stop the pings: a restart would help nobody.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  freePort,
  type GatewayProcess,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { missingForNotify, type NotifySocket, openNotifySocket } from '../support/notify-socket.ts';
import { publishPacket, RawClient } from '../support/raw-mqtt.ts';

const WATCHDOG_MS = 2_000;
const PING_MS = WATCHDOG_MS / 2;
/** A ping may be this late on a busy machine before silence counts as silence. */
const SLACK_MS = 2_000;
/** The gateway's own allowance for a part that does not move. */
const ALLOWED_SILENCE_MS = 10_000;

const missing = missingForNotify();
if (missing !== null) console.log(missing);
const canTrace = spawnSync('strace', ['-V']).status === 0 && process.getuid?.() === 0;
if (!canTrace) console.log('strace or root missing: the watchdog is not tested with calls that hang');

const cleanups: (() => unknown)[] = [];
let socket: NotifySocket;
let gateway: GatewayProcess;
let client: RawClient;
let packetId = 0;

beforeAll(async () => {
  if (missing !== null) return;
  const directory = temporaryDirectory('watchdog');
  cleanups.push(() => directory.remove());
  socket = await openNotifySocket(join(directory.path, 'notify'));
  cleanups.push(() => socket.stop());
  // Takes every connection and never answers.
  const mute = createServer((connection) => void connection.on('error', () => undefined).resume());
  const mutePort = await freePort();
  await new Promise<void>((resolve) => mute.listen(mutePort, '127.0.0.1', resolve));
  cleanups.push(() => mute.close());
  gateway = await startGatewayProcess({
    config: {
      machineClasses: {
        any: { topics: ['plant/{machine}/{channel}'], channels: { '*': {} }, window: { sizeMs: 1000 } },
      },
      ingest: { clockGuard: { maxPastMs: 0 } },
      sinks: {
        mute: {
          type: 'line-protocol',
          url: `http://127.0.0.1:${mutePort}`,
          requestTimeoutMs: 3_000,
          retryMaxMs: 1_000,
        },
        away: { type: 'line-protocol', url: `http://127.0.0.1:${await freePort()}` },
      },
      statusIntervalMs: 1000,
    },
    dataDir: join(directory.path, 'data'),
    env: { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: String(WATCHDOG_MS * 1000) },
  });
  cleanups.push(() => gateway.kill());
  client = await RawClient.connected(gateway.mqttPort);
  cleanups.push(() => client.close());
});

afterAll(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function publishOne(): number {
  packetId += 1;
  client.send(publishPacket('plant/m1/load', JSON.stringify({ t: Date.now(), v: packetId }), packetId));
  return packetId;
}

/** Times of the pings in [fromMs, now], with both ends of the span, so that silence at an end counts. */
function longestSilenceMs(fromMs: number): number {
  const times = socket.received
    .filter(({ text, atMs }) => text.includes('WATCHDOG=1') && atMs >= fromMs)
    .map(({ atMs }) => atMs);
  const ends = [fromMs, ...times, performance.now()];
  return Math.max(...ends.slice(1).map((atMs, i) => atMs - ends[i]!));
}

async function pingsAgain(): Promise<void> {
  const fromMs = performance.now();
  await waitUntil(
    () => socket.received.some(({ text, atMs }) => text.includes('WATCHDOG=1') && atMs > fromMs),
    PING_MS * 10,
    () => `no ping any more\n${gateway.log().slice(-2000)}`,
  );
}

/** Injects into the next system call of that name; `whole` for every thread of the process. */
async function strace(inject: string, call: string, pid: number, whole: boolean): Promise<ChildProcess> {
  const args = ['-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:${inject}:when=1`];
  const child = spawn('strace', [...(whole ? ['-f'] : []), ...args, '-p', String(pid)], { stdio: 'ignore' });
  cleanups.push(() => void child.kill('SIGINT'));
  await sleep(500);
  return child;
}

describe.skipIf(missing !== null)('the watchdog', () => {
  it('is told READY once and pinged while everything works, with one sink away and one that never answers', async () => {
    const fromMs = performance.now();
    await sleep(6_000);
    expect(socket.received.filter(({ text }) => text.includes('READY=1'))).toHaveLength(1);
    expect(longestSilenceMs(fromMs)).toBeLessThan(PING_MS + SLACK_MS);
    const sinks = (await gateway.status())['sinks'] as { retries: number }[];
    expect(sinks.every(({ retries }) => retries > 0)).toBe(true);
  });

  it('hears nothing while the process is stopped, and again afterwards', async () => {
    const fromMs = performance.now();
    gateway.process.kill('SIGSTOP');
    await sleep(4_000);
    gateway.process.kill('SIGCONT');
    expect(longestSilenceMs(fromMs)).toBeGreaterThan(3_000);
    await pingsAgain();
  });

  it.skipIf(!canTrace)('hears nothing while the MQTT thread is blocked, whatever the others do', async () => {
    const fromMs = performance.now();
    const tracer = await strace('delay_enter=6000000', 'epoll_pwait', gateway.process.pid!, false);
    await sleep(6_500);
    expect(longestSilenceMs(fromMs)).toBeGreaterThan(5_000);
    tracer.kill('SIGINT');
    await pingsAgain();
  });

  it.skipIf(!canTrace)(
    'hears nothing once an fsync hangs for longer than 10 s; then the message is acknowledged',
    async () => {
      const fromMs = performance.now();
      const tracer = await strace('delay_exit=16000000', 'fdatasync,fsync', gateway.process.pid!, true);
      const id = publishOne();
      await sleep(ALLOWED_SILENCE_MS + 4_000);
      const health = await fetch(`http://127.0.0.1:${gateway.httpPort}/healthz`);
      expect([health.status, ((await health.json()) as { reasons: string[] }).reasons]).toEqual([
        503,
        ['no progress: pipeline'],
      ]);
      expect(client.acked).not.toContain(id);
      await client.until(() => client.acked.includes(id), 15_000);
      // The last ping came when the silence was 10 s old at most; the call hung for 16 s.
      expect(longestSilenceMs(fromMs)).toBeGreaterThan(16_000 - ALLOWED_SILENCE_MS - PING_MS);
      tracer.kill('SIGINT');
      await pingsAgain();
      expect((await fetch(`http://127.0.0.1:${gateway.httpPort}/healthz`)).status).toBe(200);
    },
  );
});
