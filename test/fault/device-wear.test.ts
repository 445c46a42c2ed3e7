/**
 * What a flash card has to take: bytes written to the block device per message, the journal of its file system included,
 * for the same commits, settles, trims and checkpoints as under load, on ext4 on a disk of its own.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/store.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import { DiskBench, type LoopDisk, noLoopDisks } from '../support/loop-disk.ts';
import { scaledCount } from '../support/scale.ts';
import { NOON_MS, point, samples, storeConfig } from '../support/store.ts';

const absent = noLoopDisks();
if (absent !== null) console.log(`skipped: ${absent}, wear is not measured`);

let bench: DiskBench;
let disk: LoopDisk;
let folders = 0;
const MESSAGES = scaledCount('MILLWRIGHT_WEAR_MESSAGES', 40_000, 1_000_000);

interface Load {
  readonly messagesPerSecond: number;
  readonly commitWindowMs: number;
}

/** Bytes written per message: 25 machines with four channels, windows of 10 s, one sink that keeps up. */
function bytesPerMessage({ messagesPerSecond, commitWindowMs }: Load, messages: number): number {
  let now = NOON_MS;
  folders += 1;
  const dataDir = join(disk.path, `data-${folders}`);
  const config = storeConfig({ maxBytes: 16 * 1024 * 1024 });
  const store = openStore({ dataDir, config, sinks: ['influx'], now: () => now, logger: SILENT });
  const perCommit = (messagesPerSecond * commitWindowMs) / 1000;
  const before = disk.counts().writtenBytes;
  let [windowStartBatch, inWindow] = [1, 0];
  for (let sent = 0; sent < messages; sent += perCommit) {
    const isWindowEnd = Math.floor((now + commitWindowMs) / 10_000) > Math.floor(now / 10_000);
    now += commitWindowMs;
    inWindow += perCommit;
    if (!isWindowEnd) {
      store.commit(samples(perCommit, sent));
      continue;
    }
    const results = Array.from({ length: 25 }, (_, m) => ({
      machine: `m-${m}`,
      closedUntilMs: now,
      points: Array.from({ length: 4 }, (_, c) => point(sent + m * 4 + c)),
      stateWrites: [{ machine: `m-${m}`, key: 'window', value: new Uint8Array(120).fill(sent & 255) }],
    }));
    const settled = { windowed: inWindow, late: 0, duplicate: 0 };
    store.commit(samples(perCommit, sent, { results, settled, trimBelowBatch: windowStartBatch }));
    [windowStartBatch, inWindow] = [store.nextBatchId(), 0];
    for (const { id, points } of store.readOutbox('influx', 5000, 'backlog')) {
      store.settleOutbox('influx', id, { delivered: points.length, deadLettered: [] });
    }
    store.idleStep();
  }
  const written = disk.counts().writtenBytes - before;
  store.close();
  rmSync(dataDir, { recursive: true });
  return written / messages;
}

describe.skipIf(absent !== null)('bytes written to the device per message', () => {
  beforeAll(async () => {
    bench = new DiskBench(64);
    disk = bench.disk('card');
    await disk.mount();
  });
  afterAll(() => bench?.remove());

  // Measured, plus a tenth. One GB per million messages is 1,000 bytes each. Each flush costs a commit of the journal of
  // ext4 (12 KiB) whatever it holds, so the window between two flushes is what decides.
  it.each([
    [{ messagesPerSecond: 100, commitWindowMs: 50 }, 2800],
    [{ messagesPerSecond: 100, commitWindowMs: 500 }, 640],
    [{ messagesPerSecond: 100, commitWindowMs: 1000 }, 370],
    [{ messagesPerSecond: 1000, commitWindowMs: 50 }, 590],
    [{ messagesPerSecond: 1000, commitWindowMs: 200 }, 200],
    [{ messagesPerSecond: 1000, commitWindowMs: 1000 }, 85],
  ])('stay below the bound at %o', (load, bound) => {
    const bytes = bytesPerMessage(load, MESSAGES);
    console.log(`wear: ${JSON.stringify(load)}: ${bytes.toFixed(0)} bytes per message`);
    expect(bytes).toBeGreaterThan(32);
    expect(bytes).toBeLessThan(bound);
  });

  it('are far more where every message is flushed alone: the meter can tell', () => {
    expect(bytesPerMessage({ messagesPerSecond: 20, commitWindowMs: 50 }, 1000)).toBeGreaterThan(8000);
  });
});
