/**
 * Dead letters from the broken message to the repaired window: beside a gateway as users run it, over its own broker.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli-broker.ts';
import {
  type GatewayProcess,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from '../support/gateway-process.ts';
import { SequencePublisher } from '../support/sequence-publisher.ts';

let directory: { path: string; remove(): void };
let gateway: GatewayProcess;
const config = {
  machineClasses: {
    pump: {
      machines: ['pump-*'],
      topics: ['plant/{machine}/{channel}'],
      payload: { format: 'json', value: '/v', time: '/t', timeUnit: 'ms' },
      channels: { temp: {} },
      window: { sizeMs: 10_000 },
    },
  },
  ingest: { clockGuard: { maxPastMs: 0 }, deadLetterPayloadBytes: 4096 },
};

beforeEach(async () => {
  directory = temporaryDirectory('letters');
  gateway = await startGatewayProcess({ config, dataDir: join(directory.path, 'data') });
});
afterEach(async () => {
  await gateway.kill();
  directory.remove();
});

const FIRST_MS = Date.UTC(2026, 0, 1);

/** Publishes and waits for every acknowledgement. */
async function publish(messages: readonly { topic: string; payload: string }[]): Promise<void> {
  const publisher = new SequencePublisher({
    port: gateway.mqttPort,
    clientId: 'sensor',
    inFlight: 20,
    intervalMs: 0,
    next: (n) => messages[n] ?? null,
  });
  publisher.start();
  await waitUntil(
    () => publisher.acknowledged === messages.length,
    10_000,
    () => gateway.log(),
    20,
  );
  publisher.abandon();
}

interface Exported {
  readonly id: number;
  readonly topic: string;
  readonly reason: string;
  payload: string;
}

const outbox = (...args: string[]) =>
  runCli(['outbox', 'dead-letters', ...args, '--data-dir', gateway.dataDir]);

async function letters(): Promise<{ id: number; reason: string; source: string }[]> {
  return JSON.parse((await outbox('list', '--json', '--limit', '1000')).stdout);
}

async function acceptedSamples(): Promise<number> {
  const status = (await gateway.status()) as { store: { ledger: { samples: { accepted: number } } } };
  return status.store.ledger.samples.accepted;
}

describe('millwright outbox dead-letters', () => {
  it('brings messages back into the windows beside the running gateway: export, correct, import', async () => {
    await publish([
      { topic: 'plant/pump-1/temp', payload: `{"t":${FIRST_MS},"v":1}` },
      ...Array.from({ length: 40 }, (_, i) => ({
        topic: 'plant/pump-1/temp',
        payload: `{"t":${FIRST_MS + i + 1},"v":${i},}`,
      })),
      { topic: 'plant/pump-1/nope', payload: `{"t":${FIRST_MS + 90},"v":7}` },
    ]);
    expect((await letters()).length).toBe(41);
    const file = join(directory.path, 'letters.jsonl');
    expect((await outbox('export', '--file', file)).stderr).toBe('41 dead letters\n');
    const exported = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Exported);
    expect(exported.map(({ reason }) => reason)).toEqual([
      ...Array.from({ length: 40 }, () => 'malformed_json'),
      'unknown_channel',
    ]);
    const edited = exported.map((letter) => ({
      ...letter,
      topic: letter.topic.replace('nope', 'temp'),
      payload: letter.payload.replace(',}', '}'),
    }));
    // The first stays for later: its line is taken out.
    writeFileSync(
      file,
      edited
        .slice(1)
        .map((letter) => JSON.stringify(letter))
        .join('\n'),
    );
    const broker = ['--url', `mqtt://127.0.0.1:${gateway.mqttPort}`];
    expect((await outbox('import', file, '--dry-run')).stderr).toMatch(/^40 letters, no mistake/);
    expect(await acceptedSamples()).toBe(1);

    const { code, stdout, stderr } = await outbox('import', file, ...broker, '--json');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ republished: 40, requeued: 0, left: 0 });
    await waitUntil(
      async () => (await acceptedSamples()) === 41,
      5_000,
      () => gateway.log(),
    );
    expect((await letters()).map(({ id }) => id)).toEqual([exported[0]!.id]);

    // A second time the letters are gone, and the messages are duplicates.
    const again = await outbox('import', file, ...broker, '--json');
    expect(JSON.parse(again.stdout)).toEqual({ republished: 40, requeued: 0, left: 40 });

    const shown = JSON.parse((await outbox('show', String(exported[0]!.id))).stdout) as Exported;
    expect(shown.payload).toBe(`{"t":${FIRST_MS + 1},"v":0,}`);
    expect(JSON.parse((await outbox('discard', '--all', '--json')).stdout)).toEqual({ removed: 1 });
    expect(await letters()).toEqual([]);
  });

  it('publishes letters again as they are, and keeps those that are not acknowledged', async () => {
    await publish([{ topic: 'plant/pump-1/temp', payload: '{"v":' }]);
    const [letter] = await letters();
    const nobody = await outbox('republish', '--all', '--url', 'mqtt://127.0.0.1:1', '--give-up', '1');
    expect(nobody.code).toBe(1);
    expect(nobody.stderr).toMatch(/^error: no MQTT broker at .*\nTry: /);
    expect(await letters()).toEqual([letter]);
    // Still broken: it comes back as a letter of its own.
    const url = `mqtt://127.0.0.1:${gateway.mqttPort}`;
    const { stdout } = await outbox('republish', String(letter!.id), '--url', url, '--json');
    expect(JSON.parse(stdout)).toEqual({ republished: 1, requeued: 0, left: 0, cut: 0 });
    await waitUntil(
      async () => (await letters())[0]?.id === letter!.id + 1,
      5_000,
      () => gateway.log(),
    );
    expect(await letters()).toMatchObject([{ reason: 'malformed_json', source: 'plant/pump-1/temp' }]);
  });

  it('says what was cut, and neither sends nor removes it', async () => {
    const topic = 'plant/pump-1/temp';
    await publish([
      { topic, payload: 'x'.repeat(5000) },
      { topic, payload: 'y'.repeat(4096) },
      { topic: `plant/pump-1/${'long'.repeat(200)}`, payload: 'z'.repeat(6000) },
    ]);
    const [cut, whole, beyondLimits] = await letters();
    expect(cut).toMatchObject({ originalBytes: 5000, payloadBase64: btoa('x'.repeat(4096)) });
    expect(whole).not.toHaveProperty('originalBytes');
    expect(beyondLimits).toMatchObject({ originalBytes: 6000 });
    expect((await outbox('list')).stdout).toMatch(/first 4096 of 5000 bytes: x+ \.\.\.\n/);
    const shown = await outbox('show', String(cut!.id));
    expect(JSON.parse(shown.stdout)).toMatchObject({ cut: 'first 4096 of 5000 bytes' });

    const broker = ['--url', `mqtt://127.0.0.1:${gateway.mqttPort}`];
    const { code, stdout, stderr } = await outbox('republish', '--all', ...broker, '--json');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`^letter ${cut!.id} stays: .*first 4096 of 5000 bytes\nletter ${beyondLimits!.id} stays: `),
    );
    expect(JSON.parse(stdout)).toEqual({ republished: 1, requeued: 0, left: 0, cut: 2 });
    await waitUntil(
      async () => (await letters()).length === 3,
      5_000,
      () => gateway.log(),
    );
    expect((await letters()).map(({ id }) => id)).toEqual([cut!.id, beyondLimits!.id, beyondLimits!.id + 1]);

    const file = join(directory.path, 'cut.jsonl');
    writeFileSync(file, shown.stdout);
    const refused = await outbox('import', file, ...broker);
    expect(refused.code).toBe(64);
    expect(refused.stderr).toMatch(
      /^error: line 1: letter \d+ holds only the first 4096 of 5000 bytes; complete/,
    );
  });

  it('refuses a file with a mistake as a whole, and names the line', async () => {
    const file = join(directory.path, 'letters.jsonl');
    writeFileSync(file, '{"id":1,"check":2,"topic":"a/b","payload":"x"}\n{"id":1');
    const { code, stderr } = await outbox('import', file);
    expect(code).toBe(64);
    expect(stderr).toMatch(/^error: line 2: not JSON\nTry: correct the line/);
  });
});
