/** A real mosquitto for tests of the publishing commands, and the built `millwright` command as a user starts it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';

export const REPOSITORY = resolve(import.meta.dirname, '../..');

/** Path of mosquitto, or null where it is not installed. */
export const MOSQUITTO =
  [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
    .map((dir) => join(dir, 'mosquitto'))
    .find((path) => existsSync(path)) ?? null;

export interface Broker {
  readonly port: number;
  readonly url: string;
  /** SIGKILL: sessions and whatever was on the way are gone. */
  kill(): Promise<void>;
  /** Starts again on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startBroker(): Promise<Broker> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'millwright-broker-'));
  const config = join(dir, 'mosquitto.conf');
  writeFileSync(config, `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n`);
  let child = await launch(config, port);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((done) => child.once('exit', done));
    child.kill(signal);
    await exited;
  };
  return {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    kill: () => end('SIGKILL'),
    async restart() {
      child = await launch(config, port);
    },
    async stop() {
      await end('SIGTERM');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function launch(config: string, port: number): Promise<ChildProcess> {
  const child = spawn(MOSQUITTO!, ['-c', config], { stdio: 'ignore' });
  for (let i = 0; i < 100; i += 1) {
    if (await accepts(port)) return child;
    await new Promise((done) => setTimeout(done, 50));
  }
  child.kill('SIGKILL');
  throw new Error(`mosquitto did not listen on ${port}`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connectTcp(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}

export function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

export interface Received {
  readonly topic: string;
  readonly payload: Buffer;
}

/** Subscribes to everything at QoS 1 and keeps what comes. */
export async function subscribeAll(url: string): Promise<{ client: MqttClient; received: Received[] }> {
  const client = await connectAsync(url, { reconnectPeriod: 50 });
  const received: Received[] = [];
  client.on('message', (topic, payload) => received.push({ topic, payload }));
  await client.subscribeAsync('#', { qos: 1 });
  return { client, received };
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built command to its end. */
export function runCli(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [join(REPOSITORY, 'bin', 'millwright.mjs'), ...args], {
    cwd: options.cwd ?? REPOSITORY,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((done) => child.on('close', (code) => done({ code, stdout, stderr })));
}

/** Folder of the public recordings, or null. */
export const DATA_DIR =
  [process.env['MILLWRIGHT_DATA'], join(REPOSITORY, '..', 'shared', 'data')].find(
    (dir) => dir !== undefined && existsSync(join(dir, 'cmapss')),
  ) ?? null;
