import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Broker,
  DATA_DIR,
  MOSQUITTO,
  REPOSITORY,
  type Received,
  runCli,
  startBroker,
  subscribeAll,
} from '../support/cli-broker.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millwright-replay-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function table(name: string, rows: number, spacingMs: number): string {
  const path = join(dir, name);
  const lines = Array.from({ length: rows }, (_, i) => `${1_700_000_000_000 + i * spacingMs},${i},${i / 7}`);
  writeFileSync(path, ['t,temp,flow', ...lines].join('\n'));
  return path;
}

const jsonOf = (message: Received) => JSON.parse(message.payload.toString()) as Record<string, number>;

describe.skipIf(MOSQUITTO === null)('millwright replay against mosquitto', () => {
  let broker: Broker;
  let received: Received[];
  let close: () => Promise<void>;
  beforeEach(async () => {
    broker = await startBroker();
    const subscriber = await subscribeAll(broker.url);
    received = subscriber.received;
    close = () => subscriber.client.endAsync();
  });
  afterEach(async () => {
    await close();
    await broker.stop();
  });

  it('publishes every row exactly once, in order, with exact numbers, ending now', async () => {
    const path = table('pump-7.csv', 2500, 1000);
    const before = Date.now();
    const { code, stdout, stderr } = await runCli(['replay', path, '--url', broker.url, '--json']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    await expect.poll(() => received.length).toBe(2500);
    expect(new Set(received.map((m) => m.topic))).toEqual(new Set(['plant/pump-7/row']));
    const rows = received.map(jsonOf);
    expect(rows.map((row) => row['temp'])).toEqual(Array.from({ length: 2500 }, (_, i) => i));
    expect(rows.every((row, i) => row['flow'] === i / 7)).toBe(true);
    expect(rows.every((row, i) => row['t']! - rows[0]!['t']! === i * 1000)).toBe(true);
    expect(rows.at(-1)!['t']).toBeGreaterThanOrEqual(before);
    expect(rows.at(-1)!['t']).toBeLessThanOrEqual(Date.now());
    expect(JSON.parse(stdout)).toMatchObject({
      messages: 2500,
      acknowledged: 2500,
      resent: 0,
      machines: 1,
      interrupted: false,
    });
  });

  it('says which cells held no number', async () => {
    const path = join(dir, 'gaps.csv');
    writeFileSync(path, 't,temp,flow\n1,1,2\n2,,n/a\n3,3,NULL');
    const { stdout, stderr } = await runCli(['replay', path, '--url', broker.url, '--json']);
    expect(stderr).toMatch(/^warning: .*gaps\.csv: 2 cells of flow hold no number .*"n\/a" in line 3\)\n$/);
    expect(JSON.parse(stdout)).toMatchObject({ acknowledged: 2, unreadableCells: { flow: 2 } });
  });

  it('publishes one message a channel where the topic names it, from the given start', async () => {
    const path = table('x.csv', 10, 500);
    const topic = 'plant/{machine}/{channel}';
    await runCli([
      'replay',
      path,
      '--url',
      broker.url,
      '--topic',
      topic,
      '--machine',
      'm:1',
      '--start',
      '2024-01-01T00:00:00Z',
    ]);
    await expect.poll(() => received.length).toBe(20);
    expect(received[0]!.topic).toBe('plant/m:1/temp');
    expect(jsonOf(received[2]!)).toEqual({ t: Date.UTC(2024, 0, 1) + 500, v: 1 });
  });

  it('runs several files one after the other, or interleaved by event time', async () => {
    const [a, b] = [table('a.csv', 5, 1000), table('b.csv', 5, 1000)];
    const topics = () => received.map((m) => m.topic.split('/')[1]).join('');
    await runCli(['replay', a, b, '--url', broker.url]);
    await expect.poll(() => received.length).toBe(10);
    expect(topics()).toBe('aaaaabbbbb');
    const times = received.map((m) => jsonOf(m)['t']!);
    expect(times[5]! - times[4]!).toBe(1000);
    received.length = 0;
    await runCli(['replay', a, b, '--url', broker.url, '--parallel']);
    await expect.poll(() => received.length).toBe(10);
    expect(topics()).toBe('ababababab');
  });

  it('keeps the pace of the recording times the speed, and stops at the limit', async () => {
    const path = table('p.csv', 100, 1000);
    const { stdout } = await runCli([
      'replay',
      path,
      '--url',
      broker.url,
      '--speed',
      '20',
      '--limit',
      '11',
      '--json',
    ]);
    const { messages, seconds } = JSON.parse(stdout);
    expect(messages).toBe(11);
    // 10 s of recording at 20 times the speed.
    expect(seconds).toBeGreaterThan(0.48);
    expect(seconds).toBeLessThan(2);
  });

  it('ends on an interrupt with what was acknowledged, and code 1', async () => {
    const path = table('long.csv', 1000, 1000);
    const args = [
      join(REPOSITORY, 'bin', 'millwright.mjs'),
      'replay',
      path,
      '--url',
      broker.url,
      '--speed',
      '10',
      '--json',
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    await expect.poll(() => received.length, { timeout: 10_000 }).toBeGreaterThan(3);
    child.kill('SIGINT');
    const [code] = await once(child, 'close');
    expect(code).toBe(1);
    const summary = JSON.parse(stdout);
    expect(summary.interrupted).toBe(true);
    expect(summary.acknowledged).toBe(received.length);
  });

  it.skipIf(DATA_DIR === null)(
    'publishes a C-MAPSS file as one machine per engine, a cycle a minute',
    async () => {
      const file = join(DATA_DIR!, 'cmapss', 'test_FD001.txt.gz');
      const { stdout } = await runCli(['replay', file, '--url', broker.url, '--json']);
      expect(JSON.parse(stdout)).toMatchObject({ messages: 13_096, acknowledged: 13_096, machines: 100 });
      await expect.poll(() => received.length, { timeout: 10_000 }).toBe(13_096);
      const first = received.filter((m) => m.topic === 'fleet/FD001-test-001/cycle').map(jsonOf);
      expect(first).toHaveLength(31);
      expect(first[0]).toMatchObject({ setting1: 0.0023, s1: 518.67, s2: 643.02, s21: 23.3735 });
      expect(first[1]!['t']! - first[0]!['t']!).toBe(60_000);
    },
  );

  it.skipIf(DATA_DIR === null)(
    'publishes bearing waveforms as binary blocks of float32 samples',
    async () => {
      const file = join(DATA_DIR!, 'femto', 'Bearing1_2.npy.gz');
      await runCli(['replay', file, '--url', broker.url, '--limit', '4']);
      await expect.poll(() => received.length).toBe(4);
      expect(received.map((m) => m.topic)).toEqual([
        'rig/Bearing1_2/horizontal',
        'rig/Bearing1_2/vertical',
        'rig/Bearing1_2/horizontal',
        'rig/Bearing1_2/vertical',
      ]);
      const block = received[2]!.payload;
      expect(block.toString('latin1', 0, 4)).toBe('MWB1');
      expect(block.readUInt32LE(28)).toBe(2560);
      expect(block.readFloatLE(16)).toBe(25_600);
      expect(block.readUInt32LE(24)).toBe(2);
      expect(block.readDoubleLE(8) - received[0]!.payload.readDoubleLE(8)).toBe(10_000);
      // Source values are thousandths of g.
      const sample = block.readFloatLE(block.length - 4);
      expect(Math.abs(sample * 1000 - Math.round(sample * 1000))).toBeLessThan(1e-3);
    },
  );
});

describe('millwright replay', () => {
  it('names the broker that is not there', async () => {
    const { code, stderr } = await runCli(['replay', table('n.csv', 3, 1), '--url', 'mqtt://127.0.0.1:1']);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^error: no MQTT broker at mqtt:\/\/127\.0\.0\.1:1: .*\nTry: is the gateway running there\?/,
    );
  });

  it('refuses a topic without a place for the machine before it connects', async () => {
    const { code, stderr } = await runCli(['replay', table('n.csv', 3, 1), '--topic', 'a/b']);
    expect(code).toBe(64);
    expect(stderr).toContain('needs {machine}');
  });
});
