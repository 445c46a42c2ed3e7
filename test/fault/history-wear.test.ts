/** What the history adds to the bytes written to flash: the same windows with and without it. */

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { historyConfig, plain, settle, windowResult } from '../support/history.ts';
import { NOON_MS, storeFolder, unit } from '../support/store.ts';

const IO = '/proc/self/io';
const MACHINES = 25;
const CHANNELS = ['a', 'b', 'c', 'd'];
const HOURS = 2;

/** Bytes this process has caused to be written to a block device. */
function writtenBytes(): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(IO, 'utf8'))![1]);
}

/** Bytes a day that the results of windows of 10 s cause. */
function bytesPerDay(enabled: boolean): number {
  const folder = storeFolder();
  const store = folder.open({}, { sinks: [], history: historyConfig({ enabled }) });
  const commit = (window: number) => {
    const results = Array.from({ length: MACHINES }, (_, m) => {
      const samples = CHANNELS.map((name, c) => plain(name, Math.sin(window * m + c)));
      const result = windowResult(NOON_MS + window * 10_000, samples, { machine: `m-${m}` });
      const state = { machine: `m-${m}`, key: 'window', value: new Uint8Array(120).fill(window & 255) };
      return { ...result, stateWrites: [state] };
    });
    // Machines are not in step: their windows come in two commits.
    for (const half of [results.slice(0, 12), results.slice(12)]) store.commit(unit({ results: half }));
  };
  commit(0);
  settle(store);
  const before = writtenBytes();
  for (let window = 1; window <= HOURS * 360; window += 1) {
    commit(window);
    if (window % 30 === 0) settle(store);
  }
  const written = writtenBytes() - before;
  store.close();
  folder.remove();
  return (written * 24) / HOURS;
}

/** A temporary directory in memory writes nothing to any device. */
const withoutHistory = existsSync(IO) ? bytesPerDay(false) : 0;
if (withoutHistory === 0)
  console.log('skipped: no write counter for the temporary directory, wear is not measured');

describe.skipIf(withoutHistory === 0)('bytes written to flash', () => {
  it('grow by little with the history of 100 channels', () => {
    const added = bytesPerDay(true) - withoutHistory;
    const megabytes = [added, withoutHistory].map((bytes) => (bytes / 1e6).toFixed(1));
    console.log(`history of 100 channels: ${megabytes[0]} MB a day beside ${megabytes[1]} MB of results`);
    expect(added).toBeGreaterThan(3e6);
    expect(added).toBeLessThan(150e6);
  });
});
