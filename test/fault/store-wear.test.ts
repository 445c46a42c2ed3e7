import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NOON_MS, point, samples, storeFolder } from '../support/store.ts';

const IO = '/proc/self/io';

/** Bytes this process has caused to be written to a block device. */
function writtenBytes(): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(IO, 'utf8'))![1]);
}

interface Load {
  readonly messagesPerSecond: number;
  readonly commitWindowMs: number;
}

/** Bytes written per message: 25 machines with four channels, windows of 10 s, one sink that keeps up. */
function bytesPerMessage({ messagesPerSecond, commitWindowMs }: Load, messages: number): number {
  const folder = storeFolder();
  let now = NOON_MS;
  const store = folder.open({}, { now: () => now });
  const perCommit = (messagesPerSecond * commitWindowMs) / 1000;
  const before = writtenBytes();
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
  const written = writtenBytes() - before;
  store.close();
  folder.remove();
  return written / messages;
}

/** A temporary directory in memory writes nothing to any device: then there is nothing to measure. */
const canMeasure = existsSync(IO) && bytesPerMessage({ messagesPerSecond: 100, commitWindowMs: 50 }, 500) > 0;
if (!canMeasure) console.log('skipped: no write counter for the temporary directory, wear is not measured');

describe.skipIf(!canMeasure)('bytes written to flash per message', () => {
  it.each([
    // 0.3 and 0.2 GB per million messages; commits of 500 ms are what an SD card wants.
    [{ messagesPerSecond: 100, commitWindowMs: 500 }, 300],
    [{ messagesPerSecond: 1000, commitWindowMs: 200 }, 200],
  ])('stay below the bound at %o', (load, bound) => {
    const bytes = bytesPerMessage(load, 40_000);
    expect(bytes).toBeGreaterThan(32);
    expect(bytes).toBeLessThan(bound);
  });

  it('are far more where every message is flushed alone: the meter can tell', () => {
    expect(bytesPerMessage({ messagesPerSecond: 20, commitWindowMs: 50 }, 1000)).toBeGreaterThan(2000);
  });
});
