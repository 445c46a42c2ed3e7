/** A gateway as users run it: the built `millwright` command in a process of its own, on free loopback ports. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';

export const REPOSITORY = resolve(import.meta.dirname, '../..');
export const MILLWRIGHT = join(REPOSITORY, 'bin/millwright.mjs');

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A directory that the caller removes with the returned function. */
export function temporaryDirectory(name: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `millwright-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface GatewayProcess {
  readonly mqttPort: number;
  readonly httpPort: number;
  readonly dataDir: string;
  readonly process: ChildProcess;
  /** Everything the process wrote to standard error. */
  log(): string;
  status(): Promise<Record<string, unknown>>;
  /** SIGKILL, as a power cut of the process. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export interface GatewayProcessOptions {
  /** Configuration as an object; ports and data directory are filled in. */
  readonly config: Record<string, unknown>;
  readonly dataDir: string;
  readonly mqttPort?: number;
  readonly httpPort?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** Longest time until /readyz says yes. */
  readonly readyWithinMs?: number;
  /** Do not wait until it is ready, only until it says whether it is. */
  readonly mayBeUnready?: boolean;
  /** In front of node, e.g. ['strace', ...]. */
  readonly wrapper?: readonly string[];
}

/** Starts a gateway and waits until it is ready. Throws with its log if it is not. */
export async function startGatewayProcess(options: GatewayProcessOptions): Promise<GatewayProcess> {
  const mqttPort = options.mqttPort ?? (await freePort());
  const httpPort = options.httpPort ?? (await freePort());
  const config = structuredClone(options.config) as Record<string, Record<string, unknown>>;
  const ingest = config['ingest'] ?? {};
  config['ingest'] = ingest;
  if (ingest['mode'] !== 'external') {
    ingest['embedded'] = {
      host: '127.0.0.1',
      allowAnonymous: true,
      ...(ingest['embedded'] as object | undefined),
      port: mqttPort,
    };
  }
  config['http'] = { ...config['http'], host: '127.0.0.1', port: httpPort };
  const configPath = join(options.dataDir, '..', `gateway-${httpPort}.yaml`);
  writeFileSync(
    configPath,
    stringify({ ...config, dataDir: options.dataDir, modelsDir: join(REPOSITORY, 'models') }),
    { mode: 0o600 },
  );
  const command = [...(options.wrapper ?? []), process.execPath, MILLWRIGHT, 'run', '--config', configPath];
  const child = spawn(command[0]!, command.slice(1), {
    cwd: REPOSITORY,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-200_000);
  });
  const exited = once(child, 'exit');
  const gateway: GatewayProcess = {
    mqttPort,
    httpPort,
    dataDir: options.dataDir,
    process: child,
    log: () => log,
    status: async () => (await (await fetch(`http://127.0.0.1:${httpPort}/api/v1/status`)).json()) as never,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      child.kill('SIGTERM');
      const [code] = (await exited) as [number | null];
      return code;
    },
  };
  await waitUntil(
    async () => {
      if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}:\n${log}`);
      const answer = await fetch(`http://127.0.0.1:${httpPort}/readyz`).catch(() => null);
      return answer?.status === 200 || (options.mayBeUnready === true && answer?.status === 503);
    },
    options.readyWithinMs ?? 30_000,
    () => `the gateway did not become ready:\n${log}`,
    25,
  );
  return gateway;
}

/** Polls until the condition holds; throws with `explain()` after `withinMs`. */
export async function waitUntil(
  condition: () => Promise<boolean> | boolean,
  withinMs: number,
  explain: () => string,
  everyMs = 100,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(explain());
    await new Promise((r) => setTimeout(r, everyMs));
  }
}
