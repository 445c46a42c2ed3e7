import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { POINT_CLASSES, type PointClass } from '../../../src/domain/point.ts';
import { GatewayError } from '../../../src/errors.ts';
import type { Store } from '../../../src/store/store.ts';
import { point, result, type StoreFolder, samples, storeFolder, unit } from '../../support/store.ts';

const MAX_BYTES = 2 * 1024 * 1024;
const POINTS = 800;
let folder: StoreFolder;
beforeEach(() => {
  folder = storeFolder();
});
afterEach(() => folder.remove());

/** A batch of about 12 KiB deflated: numbers that are hard to shrink. */
function bulk(n: number, pointClass: PointClass) {
  const noise = (i: number) => Math.sin(n * 7919 + i * 104_729) * 1e6;
  return Array.from({ length: POINTS }, (_, i) => ({
    ...point(n, pointClass),
    fields: { v: noise(i) },
    timeMs: n * 1000 + i,
  }));
}

function commitPoints(store: Store, n: number, pointClass: PointClass): void {
  store.commit(unit({ results: [result(bulk(n, pointClass))] }));
}

function heldByClass(store: Store): Record<PointClass, number[]> {
  const held: Record<PointClass, number[]> = { raw: [], aggregate: [], assessment: [], alarm: [] };
  for (const { id, points } of store.readOutbox('influx', Infinity, 'backlog'))
    held[points[0]!.pointClass].push(id);
  return held;
}

describe('at the byte bound', () => {
  it('the oldest of the least important class goes first, alarms last, and every point stays accounted for', () => {
    const store = folder.open({ maxBytes: MAX_BYTES });
    for (let n = 0; n < 10; n += 1) commitPoints(store, n, 'alarm');
    for (let n = 10; n < 80; n += 1) commitPoints(store, n, POINT_CLASSES[n % 3]!);
    const before = heldByClass(store);
    const rawPoints = before.raw.length * POINTS;
    for (let n = 0; store.ledger().points[0]!.evicted < rawPoints; n += 1)
      commitPoints(store, 1000 + n, 'assessment');
    const after = heldByClass(store);
    expect(before.raw.length).toBeGreaterThan(10);
    expect(after.raw).toStrictEqual([]);
    expect(after.alarm).toStrictEqual(before.alarm);
    expect(after.assessment.slice(0, before.assessment.length)).toStrictEqual(before.assessment);
    const [account] = store.ledger().points;
    expect(account!.evicted).toBeGreaterThan(0);
    expect(store.checkLedger(0).balanced).toBe(true);
    store.close();
  });

  it('the file never outgrows the bound, however long it goes on', { timeout: 60_000 }, () => {
    const store = folder.open({ maxBytes: MAX_BYTES });
    for (let n = 0; n < 300; n += 1) commitPoints(store, n, 'aggregate');
    expect(store.bytes).toBeLessThanOrEqual(MAX_BYTES);
    const newest = store.readOutbox('influx', 1, 'live')[0]!;
    expect(newest.points).toStrictEqual(bulk(299, 'aggregate'));
    store.close();
    expect(statSync(join(folder.path, 'millwright.db')).size).toBeLessThanOrEqual(MAX_BYTES);
    const again = folder.open({ maxBytes: MAX_BYTES });
    expect(again.ledger().points[0]).toMatchObject({ produced: 300 * POINTS });
    expect(again.checkLedger(0).balanced).toBe(true);
    again.close();
  });

  it('alarms give way to newer ones once nothing else is left', () => {
    const store = folder.open({ maxBytes: MAX_BYTES });
    for (let n = 0; n < 300; n += 1) commitPoints(store, n, 'alarm');
    expect(store.ledger().points[0]!.evicted).toBeGreaterThan(0);
    expect(store.readOutbox('influx', 1, 'live')[0]!.points).toStrictEqual(bulk(299, 'alarm'));
    store.close();
  });

  it('a batch evicted while a sink was sending it is settled without effect', () => {
    const store = folder.open({ maxBytes: MAX_BYTES });
    commitPoints(store, 0, 'raw');
    const [inFlight] = store.readOutbox('influx', 1, 'backlog');
    for (let n = 1; n < 200; n += 1) commitPoints(store, n, 'raw');
    const before = store.ledger().points[0]!;
    store.settleOutbox('influx', inFlight!.id, { delivered: POINTS, deadLettered: [] });
    expect(store.ledger().points[0]).toStrictEqual(before);
    expect(store.checkLedger(0).balanced).toBe(true);
    store.close();
  });

  it('the journal is refused beyond its half, keeps what it has, and goes on once windows close', () => {
    const store = folder.open({ maxBytes: MAX_BYTES });
    let taken = 0;
    const fill = () => {
      for (;;) {
        store.commit(samples(200, taken * 200));
        taken += 1;
      }
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'MW_STORE_WRITE', retryable: true }));
    expect(store.status).toBe('full');
    expect(taken * 200 * 32).toBeGreaterThan(MAX_BYTES * 0.4);
    expect([...store.journalBatches()]).toHaveLength(taken);
    expect(store.ledger().samples.accepted).toBe(taken * 200);
    // Results make room: they pass, and with them what the windows held.
    const settled = { windowed: taken * 200, late: 0, duplicate: 0 };
    store.commit(unit({ results: [result([point(1)])], settled, trimBelowBatch: taken + 1 }));
    expect(store.status).toBe('ok');
    store.commit(samples(200));
    expect(store.checkLedger(200).balanced).toBe(true);
    store.close();
  });
});

describe('below the free-space bound', () => {
  it('nothing new is taken, but settling and results go on', () => {
    const filled = folder.open();
    commitPoints(filled, 1, 'aggregate');
    filled.close();
    const store = folder.open({ minFreeBytes: Number.MAX_SAFE_INTEGER });
    expect(() => store.commit(samples(1))).toThrow(GatewayError);
    expect(store.status).toBe('full');
    store.settleOutbox('influx', 1, { delivered: POINTS, deadLettered: [] });
    store.commit(unit({ results: [result([point(2)])] }));
    expect(store.ledger().points[0]).toMatchObject({ delivered: POINTS, pending: 1 });
    expect(store.ledger().samples.accepted).toBe(0);
    store.close();
    const again = folder.open();
    again.commit(samples(1));
    expect(again.status).toBe('ok');
    again.close();
  });
});

describe('the ballast', () => {
  it('is held where there is room for it', () => {
    const store = folder.open();
    expect(existsSync(join(folder.path, 'ballast'))).toBe(true);
    store.close();
  });
});
