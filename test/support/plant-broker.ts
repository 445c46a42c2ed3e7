/** mosquitto with the configuration the repository recommends, except for port, users and place of its files. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, MOSQUITTO, REPOSITORY } from './cli-broker.ts';

export interface PlantBroker {
  readonly port: number;
  /** SIGTERM saves sessions and queues, SIGKILL what was saved last (every 30 s). */
  end(signal: NodeJS.Signals): Promise<void>;
  /** Starts again on the same port, with what was saved. */
  restart(): Promise<void>;
  /** SIGSTOP: connections are accepted by the kernel and never answered. */
  freeze(): void;
  thaw(): void;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

/** @param extra further lines of mosquitto.conf */
export async function startPlantBroker(extra = ''): Promise<PlantBroker> {
  const dir = mkdtempSync(join(tmpdir(), 'millwright-broker-'));
  const port = await freePort();
  const shipped = readFileSync(join(REPOSITORY, 'deploy/mosquitto/millwright.conf'), 'utf8')
    .replace('listener 1883', `listener ${port} 127.0.0.1`)
    .replace('allow_anonymous false', 'allow_anonymous true')
    .replace(/^password_file .*$/m, '')
    .replace('/var/lib/mosquitto/', `${dir}/`);
  const file = join(dir, 'mosquitto.conf');
  // As root it would step down to a user who cannot write into the test's folder.
  writeFileSync(file, `user root\n${shipped}\n${extra}\n`);
  let child: ChildProcess;
  const restart = async () => {
    child = spawn(MOSQUITTO!, ['-c', file], { stdio: 'ignore' });
    for (let i = 0; i < 500; i += 1) {
      if (await answers(port)) return;
      await sleep(10);
    }
    throw new Error('mosquitto did not start');
  };
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGCONT');
    child.kill(signal);
    await exited;
  };
  await restart();
  return {
    port,
    end,
    restart,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async stop() {
      await end('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1', () => {
      probe.destroy();
      resolve(true);
    }).on('error', () => resolve(false));
  });
}
