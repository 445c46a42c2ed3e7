/**
 * A flush that fails under load in a whole gateway: the process must end with a code that makes its supervisor start
 * it again, and what it acknowledged until then, no message more, must be there afterwards.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort, startGatewayProcess, temporaryDirectory, waitUntil } from '../support/gateway-process.ts';
import { SequencePublisher } from '../support/sequence-publisher.ts';

const canInject =
  spawnSync('strace', ['-e', 'inject=fsync:error=EIO', '-o', '/dev/null', 'true']).status === 0;
if (!canInject) console.log('skipped: strace can not inject faults here, a failing flush is not tried');

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const CONFIG = {
  machineClasses: {
    any: {
      topics: ['factory/{machine}/{channel}'],
      channels: { '*': { features: ['proc.basic'] } },
      // Nothing closes: everything accepted stays countable.
      window: { sizeMs: 3_600_000 },
    },
  },
};

describe.skipIf(!canInject)('a flush that fails in a running gateway', () => {
  it('ends the process with code 1, and every message acknowledged before is there after a restart', async () => {
    const directory = temporaryDirectory('flush');
    cleanups.push(() => directory.remove());
    const options = {
      config: CONFIG,
      dataDir: join(directory.path, 'data'),
      mqttPort: await freePort(),
    };
    // The database exists from here on, so that the flushes counted below are those of commits.
    await (await startGatewayProcess(options)).stop();
    const inject = 'inject=fsync,fdatasync:error=EIO:when=60+';
    const wrapper = ['strace', '-f', '-o', '/dev/null', '-P', join(options.dataDir, 'millwright.db-wal')];
    const failing = await startGatewayProcess({ ...options, wrapper: [...wrapper, '-e', inject] });
    const exited = once(failing.process, 'exit');
    cleanups.push(() => killWithChildren(failing.process.pid!));
    const t0 = Date.now();
    const publisher = new SequencePublisher({
      port: options.mqttPort,
      clientId: 'sensor',
      inFlight: 20,
      intervalMs: 1,
      next: (n) => ({ topic: 'factory/m1/a', payload: JSON.stringify({ t: t0 + n, v: n }) }),
    });
    publisher.start();
    cleanups.push(() => publisher.abandon());

    let code: number | null = null;
    void exited.then(([exitCode]) => {
      code = exitCode as number;
    });
    await waitUntil(
      () => code !== null,
      25_000,
      () => `the process lives on after the failed flush:\n${failing.log()}`,
    );
    expect(code).toBe(1);
    expect(failing.log()).toContain('MW_STORE_FSYNC');
    const acknowledged = publisher.acknowledged;
    expect(acknowledged).toBeGreaterThan(20);
    publisher.abandon();

    const gateway = await startGatewayProcess(options);
    cleanups.push(() => gateway.kill());
    let accepted = -1;
    await waitUntil(
      async () => {
        const status = (await gateway.status()) as { store: { ledger: { samples: { accepted: number } } } };
        accepted = status.store.ledger.samples.accepted;
        return accepted > 0;
      },
      10_000,
      () => `no account after the restart:\n${gateway.log()}`,
    );
    expect(accepted).toBeGreaterThanOrEqual(acknowledged);
    expect(accepted).toBeLessThanOrEqual(acknowledged + 20);
  });
});

/** The tracer takes what it traces along only if it ends in order. */
function killWithChildren(pid: number): void {
  try {
    const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
    for (const child of children.trim().split(/\s+/)) process.kill(Number(child), 'SIGKILL');
  } catch {
    // Already gone.
  }
}
