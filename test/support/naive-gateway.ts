/** The negative control of zero-loss tests: a broker that stores what it publishes, as most gateways do. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Sent } from './window-load.ts';

export class NaiveGateway {
  readonly #port: number;
  readonly #file: string;
  #process: ChildProcess;

  /** @param file its database */
  constructor(port: number, file: string) {
    this.#port = port;
    this.#file = file;
    this.#process = this.#start();
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }

  restart(): void {
    this.#process = this.#start();
  }

  /** Messages that its database does not hold. */
  missing(sent: readonly Sent[]): Sent[] {
    const database = new Database(this.#file);
    const rows = database.prepare('SELECT topic, payload FROM message').all();
    database.close();
    const stored = new Set(
      (rows as { topic: string; payload: string }[]).map((r) => `${r.topic} ${r.payload}`),
    );
    return sent.filter(
      (m) => !stored.has(`factory/${m.machine}/${m.channel} ${JSON.stringify({ t: m.timeMs, v: m.value })}`),
    );
  }

  #start(): ChildProcess {
    const script = join(import.meta.dirname, 'naive-gateway.mjs');
    return spawn(process.execPath, [script, String(this.#port), this.#file], { stdio: 'ignore' });
  }
}
