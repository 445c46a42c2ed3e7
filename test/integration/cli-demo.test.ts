import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REPOSITORY, runCli } from '../support/cli-broker.ts';

const PORTS = { MILLWRIGHT_MQTT_PORT: '0', MILLWRIGHT_HTTP_PORT: '0' };

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millwright-demo-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('millwright demo', () => {
  it('learns three machines, then names the outer race of the pump and leaves the motor alone', async () => {
    // Ten times the speed of life: 160 simulated seconds.
    const { code, stdout, stderr } = await runCli(
      ['demo', '--data-dir', join(dir, 'a'), '--speed', '10', '--for', '17'],
      {
        env: PORTS,
      },
    );
    expect(stderr).toContain('stopped');
    expect(code).toBe(0);
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(/^Page: {2}http:\/\/127\.0\.0\.1:\d+/);
    expect(lines[1]).toMatch(/^MQTT: {2}mqtt:\/\/127\.0\.0\.1:\d+/);
    expect(stdout).toMatch(/pump-1 commissioning \d+%/);
    expect(stdout).toMatch(/pump-1 alarm [\d.]+\/[\d.]+ vibration\.env_(snr|amp)\.bpfo/);
    expect(stdout).toMatch(/fan-1 alarm [\d.]+\/[\d.]+ (airflow|current|bearing_temperature)\./);
    expect(stdout).toMatch(/motor-1 healthy/);
    expect(stdout).not.toMatch(/motor-1 alarm/);
    expect(stdout).toMatch(/\d{2,} acks\/s/);
  });

  it('stops the gateway and the machines on one Ctrl-C, leaving no process behind', async () => {
    const args = [join(REPOSITORY, 'bin', 'millwright.mjs'), 'demo', '--data-dir', join(dir, 'b')];
    const child = spawn(process.execPath, args, {
      cwd: REPOSITORY,
      env: { ...process.env, ...PORTS },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A terminal sends Ctrl-C to the whole group.
      detached: true,
    });
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    await expect.poll(() => stdout, { timeout: 20_000 }).toMatch(/[1-9]\d* acks\/s/);
    process.kill(-child.pid!, 'SIGINT');
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    // Nobody is left in the group.
    expect(() => process.kill(-child.pid!, 0)).toThrow();
  });
});
