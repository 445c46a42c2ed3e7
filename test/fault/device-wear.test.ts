/**
 * What a flash card has to take: bytes written to the block device per message, the journal of its file system included,
 * for the same commits, settles, trims and checkpoints as under load, on ext4 on a disk of its own.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore, type Store } from '../../src/store/store.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import { DiskBench, type LoopDisk, noLoopDisks } from '../support/loop-disk.ts';
import { scaledCount } from '../support/scale.ts';
import { NOON_MS, point, samples, storeConfig } from '../support/store.ts';

const absent = noLoopDisks();
if (absent !== null) console.log(`skipped: ${absent}, wear is not measured`);

let bench: DiskBench;
let disk: LoopDisk;
let folders = 0;
const MESSAGES = scaledCount('MILLWRIGHT_WEAR_MESSAGES', 100_000, 1_000_000);

/** `store.profile: sd-saver`. */
const SD_SAVER = { commitWindowMs: 500, compressJournal: true } as const;

interface Load {
  readonly messagesPerSecond: number;
  readonly commitWindowMs: number;
  readonly compressJournal?: boolean;
}

/**
 * Bytes written per message: 25 machines with four channels, windows of 10 s, one sink that keeps up. Counted from the
 * second time the log was folded back: a log that still grows costs the file system more, once in a card's life.
 */
function bytesPerMessage(load: Load, messages: number): number {
  const { messagesPerSecond, commitWindowMs, compressJournal = false } = load;
  let now = NOON_MS;
  folders += 1;
  const dataDir = join(disk.path, `data-${folders}`);
  const config = storeConfig({ maxBytes: 16 * 1024 * 1024, compressJournal });
  const store = openStore({ dataDir, config, sinks: ['influx'], now: () => now, logger: SILENT });
  const perCommit = (messagesPerSecond * commitWindowMs) / 1000;
  let before: { readonly writtenBytes: number; readonly sent: number } | null = null;
  let [windowStartBatch, inWindow, sent] = [1, 0, 0];
  while (before === null || sent - before.sent < messages) {
    if (before === null && foldsOf(store) >= 2) before = { ...disk.counts(), sent };
    const isWindowEnd = Math.floor((now + commitWindowMs) / 10_000) > Math.floor(now / 10_000);
    now += commitWindowMs;
    inWindow += perCommit;
    sent += perCommit;
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
  const written = disk.counts().writtenBytes - before.writtenBytes;
  store.close();
  rmSync(dataDir, { recursive: true });
  return written / (sent - before.sent);
}

/** Times the write-ahead log was folded back. */
function foldsOf(store: Store): number {
  return store.metrics().find(({ name }) => name === 'millwright_store_checkpoints_total')!.value;
}

describe.skipIf(absent !== null)('bytes written to the device per message', () => {
  beforeAll(async () => {
    bench = new DiskBench(64);
    disk = bench.disk('card');
    await disk.mount();
  });
  afterAll(() => bench?.remove());

  // Measured, plus a quarter, but where the goal is set: 300 bytes a message at 100 and 200 at 1,000 a second, with the
  // profile for memory cards. Each flush costs a commit of the journal of ext4 whatever it holds, so the window between
  // two flushes decides.
  it.each([
    [{ messagesPerSecond: 100, commitWindowMs: 50 }, 2000],
    [{ messagesPerSecond: 100, commitWindowMs: 500 }, 300],
    [{ messagesPerSecond: 100, commitWindowMs: 1000 }, 220],
    [{ messagesPerSecond: 100, ...SD_SAVER }, 300],
    [{ messagesPerSecond: 1000, commitWindowMs: 50 }, 310],
    [{ messagesPerSecond: 1000, commitWindowMs: 200 }, 120],
    [{ messagesPerSecond: 1000, ...SD_SAVER }, 80],
  ])('stay below the bound at %o', (load, bound) => {
    const bytes = bytesPerMessage(load, MESSAGES);
    console.log(`wear: ${JSON.stringify(load)}: ${bytes.toFixed(0)} bytes per message`);
    expect(bytes).toBeGreaterThan(16);
    expect(bytes).toBeLessThan(bound);
  });

  it('are far more where every message is flushed alone: the meter can tell', () => {
    expect(bytesPerMessage({ messagesPerSecond: 20, commitWindowMs: 50 }, 1000)).toBeGreaterThan(5000);
  });
});
