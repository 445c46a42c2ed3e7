import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { openStore, openStoreReadOnly, type Store } from '../../src/store/store.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import { NOON_MS, point, result, samples, storeConfig, unit } from '../support/store.ts';

const mountPoint = mkdtempSync(join(tmpdir(), 'millwright-full-'));
const canMount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', mountPoint]).status === 0;
if (!canMount) console.log('skipped: no right to mount a small tmpfs, the full disk is not tried');

afterAll(() => {
  if (canMount) spawnSync('umount', [mountPoint]);
  rmSync(mountPoint, { recursive: true, force: true });
});

const dataDir = join(mountPoint, 'data');
const hog = join(mountPoint, 'hog');

function open(minFreeBytes = 0): Store {
  const config = storeConfig({ minFreeBytes });
  return openStore({ dataDir, config, sinks: ['influx'], now: () => NOON_MS, logger: SILENT });
}

/** Takes every byte that is left, as another program would. */
function fillDisk(): void {
  const file = openSync(hog, 'a');
  try {
    for (const bytes of [65_536, 4096, 1]) {
      try {
        while (writeSync(file, Buffer.alloc(bytes)) === bytes);
      } catch {
        // Full at this size; try the next smaller one.
      }
    }
  } finally {
    closeSync(file);
  }
}

/** Commits until the store refuses; returns the code of the refusal and how many passed. */
function commitUntilRefused(store: Store, first: number, limit = 20_000): { code: string; commits: number } {
  for (let n = 0; n < limit; n += 1) {
    try {
      const points = Array.from({ length: 40 }, (_, i) => point((first + n) * 100 + i));
      store.commit(samples(20, (first + n) * 20, n % 4 === 0 ? { results: [result(points)] } : {}));
    } catch (error) {
      if (error instanceof GatewayError) return { code: error.code, commits: n };
      throw error;
    }
  }
  return { code: 'none', commits: limit };
}

describe.skipIf(!canMount)('a disk that is truly full', () => {
  beforeAll(() => mkdirSync(dataDir, { recursive: true }));

  it('refuses new data, still lets sinks take and delete, and recovers without a restart', () => {
    const store = open();
    expect(commitUntilRefused(store, 0, 50).code).toBe('none');
    fillDisk();
    const refused = commitUntilRefused(store, 1000);
    expect(refused.code).toBe('MW_STORE_WRITE');
    expect(store.status).toBe('full');
    // What lets old data go is not spent on new data.
    expect(existsSync(join(dataDir, 'ballast'))).toBe(true);

    const accepted = store.ledger().samples.accepted;
    let taken = 0;
    for (let round = 0; round < 1000; round += 1) {
      const batches = store.readOutbox('influx', 400, 'backlog');
      if (batches.length === 0) break;
      for (const { id, points } of batches) {
        store.settleOutbox('influx', id, { delivered: points.length, deadLettered: [] });
        taken += points.length;
      }
    }
    expect(store.backlog('influx').points).toBe(0);
    expect(store.ledger().points[0]!.delivered).toBe(taken);
    expect(store.ledger().samples.accepted).toBe(accepted);
    // Still full: the deletions reach the disk all the same.
    store.commit(unit({ results: [result([])] }));
    const beside = openStoreReadOnly(dataDir);
    expect(beside.outboxBatches(0, 10)).toStrictEqual([]);
    beside.close();

    rmSync(hog);
    expect(commitUntilRefused(store, 2000, 20)).toStrictEqual({ code: 'none', commits: 20 });
    expect(store.status).toBe('ok');
    store.idleStep();
    expect(existsSync(join(dataDir, 'ballast'))).toBe(true);
    expect(store.checkLedger(store.ledger().samples.open).balanced).toBe(true);
    store.close();
    const again = open();
    expect(again.recovery).toMatchObject({ quarantined: null, lostRows: 0, pendingDifference: {} });
    expect(again.ledger().samples.accepted).toBe(accepted + 400);
    again.close();
  });

  it('lets a store that was closed on it open again', () => {
    const store = open();
    store.commit(unit({ results: [result([point(1)])] }));
    fillDisk();
    store.settleOutbox('influx', store.readOutbox('influx', 1, 'live')[0]!.id, {
      delivered: 1,
      deadLettered: [],
    });
    store.close();
    const again = open();
    expect(again.recovery.quarantined).toBeNull();
    again.close();
    rmSync(hog);
    open().close();
  });

  it('stops taking data at the free-space bound, before the disk is full', () => {
    const store = open(5 * 1024 * 1024);
    expect(commitUntilRefused(store, 5000)).toMatchObject({ code: 'MW_STORE_WRITE' });
    expect(store.status).toBe('full');
    const probe = openSync(hog, 'w');
    expect(writeSync(probe, Buffer.alloc(1024 * 1024))).toBe(1024 * 1024);
    closeSync(probe);
    rmSync(hog);
    store.close();
  });
});
