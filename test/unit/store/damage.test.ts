import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../../src/store/schema.ts';
import type { Store } from '../../../src/store/store.ts';
import {
  NOON_MS,
  point,
  result,
  type StoreFolder,
  samples,
  scalars,
  storeFolder,
  unit,
} from '../../support/store.ts';

const ROWS = 200;
let folder: StoreFolder;
let file: string;
beforeEach(() => {
  folder = storeFolder();
  file = join(folder.path, 'millwright.db');
  const store = folder.open();
  store.commit(unit({ channels: [{ index: 0, machineClass: 'pump', machine: 'pump-1', channel: 'x' }] }));
  for (let n = 0; n < 10; n += 1) store.commit(samples(10, n * 10));
  for (let n = 1; n <= ROWS; n += 1) store.commit(unit({ results: [result(batch(n))] }));
  store.close();
});
afterEach(() => folder.remove());

const batch = (n: number) => Array.from({ length: 20 }, (_, i) => point(n * 100 + i));

function poke(at: number, bytes: Uint8Array): void {
  const content = readFileSync(file);
  content.set(bytes, at);
  writeFileSync(file, content);
}

/** Brings back what can be, checks it against what went in, and returns how many outbox rows there are. */
function salvage(store: Store): number {
  while (store.salvageStep());
  const batches = store.readOutbox('influx', Infinity, 'backlog');
  for (const { id, points } of batches) expect(points).toStrictEqual(batch(id));
  expect(store.checkLedger(store.ledger().samples.open).balanced).toBe(true);
  return batches.length;
}

function metric(store: Store, name: string): number | undefined {
  return store.metrics().find((sample) => sample.name === name)?.value;
}

function quarantineFolders(): string[] {
  const root = join(folder.path, 'quarantine');
  return existsSync(root) ? readdirSync(root) : [];
}

describe('a damaged database', () => {
  it.each([
    ['an overwritten header', () => poke(0, new Uint8Array(100))],
    ['a wrong page size', () => poke(16, Uint8Array.of(2, 0))],
    ['an overwritten list of tables', () => poke(100, new Uint8Array(PAGE_BYTES - 100))],
  ])('with %s is moved aside whole and comes back with every row', (_, damage) => {
    damage();
    const store = folder.open();
    expect(store.recovery.quarantined).not.toBeNull();
    expect(store.channels()).toHaveLength(1);
    expect(store.closedUntil().get('pump-1')).toBe(NOON_MS);
    expect([...store.journalBatches()].map(({ id, records }) => [id, records])).toStrictEqual(
      Array.from({ length: 10 }, (_, n) => [n + 1, scalars(10, n * 10)]),
    );
    expect(salvage(store)).toBe(ROWS);
    expect(store.nextBatchId()).toBe(11);
    expect(store.ledger()).toMatchObject({
      samples: { accepted: 100 },
      points: [{ produced: ROWS * 20, pending: ROWS * 20, quarantined: 0 }],
    });
    store.close();
    // Once worked off it is left alone.
    const again = folder.open();
    expect(again.salvageStep()).toBe(false);
    expect(again.recovery.quarantined).toBeNull();
    again.close();
    expect(quarantineFolders()).toHaveLength(1);
  });

  it('with pages of noise in the middle comes back with the others, and counts what is lost', () => {
    const pages = Math.floor(statSync(file).size / PAGE_BYTES);
    for (let page = Math.floor(pages / 2); page < pages / 2 + 10; page += 1) {
      poke(
        page * PAGE_BYTES,
        Uint8Array.from({ length: PAGE_BYTES }, (_, i) => (i * 31 + page * 17) & 255),
      );
    }
    const store = folder.open();
    expect(store.recovery.quarantined).not.toBeNull();
    const rows = salvage(store);
    expect(rows).toBeGreaterThan(ROWS / 2);
    expect(rows).toBeLessThan(ROWS);
    expect(store.ledger().points[0]).toMatchObject({ produced: ROWS * 20, quarantined: (ROWS - rows) * 20 });
    store.close();
  });

  it('without the inner pages of its trees comes back with every row', () => {
    const content = readFileSync(file);
    const innerPages: number[] = [];
    for (let at = PAGE_BYTES; at < content.length; at += PAGE_BYTES)
      if (content[at] === 5) innerPages.push(at);
    expect(innerPages.length).toBeGreaterThanOrEqual(2);
    for (const at of innerPages) content.fill(0xa5, at, at + PAGE_BYTES);
    writeFileSync(file, content);
    const store = folder.open();
    expect(store.recovery.quarantined).not.toBeNull();
    expect([...store.journalBatches()]).toHaveLength(10);
    expect(salvage(store)).toBe(ROWS);
    store.close();
  });

  it.each(['closed_until', 'state'])(
    'without the pages of %s still knows which windows are closed',
    (table) => {
      const db = new Database(file);
      const pages = db.prepare('SELECT pageno FROM dbstat WHERE name = ?').pluck().all(table) as number[];
      db.close();
      for (const page of pages) poke((page - 1) * PAGE_BYTES, new Uint8Array(PAGE_BYTES).fill(0xa5));
      const store = folder.open();
      expect(store.recovery.quarantined).not.toBeNull();
      expect(store.closedUntil()).toStrictEqual(new Map([['pump-1', NOON_MS]]));
      expect(salvage(store)).toBe(ROWS);
      store.close();
    },
  );

  it('whose newest part stands in the log alone comes back from there', () => {
    const live = storeFolder();
    const store = live.open();
    store.commit(unit({ channels: [{ index: 0, machineClass: 'pump', machine: 'pump-1', channel: 'x' }] }));
    for (let n = 0; n < 5; n += 1) store.commit(samples(10, n * 10));
    for (let n = 1; n <= 20; n += 1) store.commit(unit({ results: [result(batch(n))] }));
    // As after a power cut, with the database's own file damaged.
    const wal = readFileSync(join(live.path, 'millwright.db-wal'));
    store.close();
    live.remove();
    expect(wal.length).toBeGreaterThan(20 * PAGE_BYTES);
    writeFileSync(`${file}-wal`, wal);
    writeFileSync(file, Buffer.alloc(PAGE_BYTES, 0x5a));
    const again = folder.open();
    expect(again.recovery.quarantined).not.toBeNull();
    expect(again.channels()).toHaveLength(1);
    expect(salvage(again)).toBe(20);
    again.close();
  });

  it('cut in half comes back with what is in the first half', () => {
    truncateSync(file, Math.floor(statSync(file).size / 2 / PAGE_BYTES) * PAGE_BYTES);
    const store = folder.open();
    expect(store.recovery.quarantined).not.toBeNull();
    expect(salvage(store)).toBeGreaterThan(ROWS / 4);
    store.close();
  });

  it.each([0, 1, 511, 4096])('of %i bytes is moved aside and replaced', (bytes) => {
    truncateSync(file, bytes);
    const store = folder.open();
    expect(store.recovery.quarantined).not.toBeNull();
    while (store.salvageStep());
    store.commit(samples(1));
    expect(store.checkLedger(store.ledger().samples.open).balanced).toBe(true);
    store.close();
  });

  it('that is another program’s is moved aside, not written to', () => {
    writeFileSync(file, '');
    const foreign = new Database(file);
    foreign.exec('CREATE TABLE notes (text)');
    foreign.close();
    const before = readFileSync(file);
    const store = folder.open();
    const { folder: kept } = store.recovery.quarantined!;
    expect(readFileSync(join(kept, 'millwright.db'))).toStrictEqual(before);
    store.close();
  });

  it('goes on being brought back after a crash in between, with nothing twice and nothing missing', () => {
    poke(0, new Uint8Array(100));
    const first = folder.open();
    first.salvageStep();
    const [early] = first.readOutbox('influx', 1, 'backlog');
    first.settleOutbox('influx', early!.id, { delivered: 20, deadLettered: [] });
    first.commit(unit({ results: [result([point(1)])] }));
    // As after a kill: the next start finds the folder not yet worked off.
    first.close();
    const second = folder.open();
    expect(second.recovery.quarantined).toBeNull();
    while (second.salvageStep());
    const ids = second.readOutbox('influx', Infinity, 'backlog').map(({ id }) => id);
    expect(ids).toStrictEqual(Array.from({ length: ROWS }, (_, n) => n + 2));
    expect(second.ledger().points[0]).toMatchObject({
      produced: ROWS * 20 + 1,
      delivered: 20,
      quarantined: 0,
    });
    expect(second.checkLedger(100).balanced).toBe(true);
    second.close();
  });

  it('time after time keeps the last few files and never stops the gateway from starting', () => {
    for (let round = 0; round < 7; round += 1) {
      poke(0, new Uint8Array(100));
      const store = folder.open({}, { now: () => NOON_MS + round * 1000 });
      expect(salvage(store)).toBe(ROWS);
      store.close();
    }
    expect(quarantineFolders()).toHaveLength(4);
  });

  it('in quarantine stays within its bytes, the newest in any case, and what went is counted', () => {
    for (let round = 0; round < 3; round += 1) {
      poke(0, new Uint8Array(100));
      const store = folder.open({ maxQuarantineBytes: 1000 }, { now: () => NOON_MS + round * 1000 });
      expect(salvage(store)).toBe(ROWS);
      const dropped = metric(store, 'millwright_store_quarantine_dropped_total');
      expect(dropped).toBe(round === 0 ? 0 : 1);
      expect(metric(store, 'millwright_store_quarantine_bytes')).toBeGreaterThan(1000);
      store.close();
    }
    expect(quarantineFolders()).toHaveLength(1);
  });

  it('followed by damage before all of it was brought back loses nothing of either', () => {
    poke(0, new Uint8Array(100));
    const first = folder.open();
    first.salvageStep();
    first.commit(unit({ results: [result(batch(ROWS + 1))] }));
    first.close();
    poke(0, new Uint8Array(100));
    const second = folder.open({}, { now: () => NOON_MS + 60_000 });
    expect(second.recovery.quarantined).not.toBeNull();
    expect(salvage(second)).toBe(ROWS + 1);
    expect(second.ledger().points[0]).toMatchObject({ quarantined: 0, pending: (ROWS + 1) * 20 });
    second.close();
    const third = folder.open({}, { now: () => NOON_MS + 120_000 });
    expect(third.salvageStep()).toBe(false);
    expect(third.ledger().points[0]).toMatchObject({ quarantined: 0, pending: (ROWS + 1) * 20 });
    third.close();
  });

  it('is there to be seen until its folder is taken away, or for a week', () => {
    poke(0, new Uint8Array(100));
    folder.open().close();
    let now = NOON_MS + 6 * 86_400_000;
    const store = folder.open({}, { now: () => now });
    expect(store.damage).toMatchObject({ atMs: NOON_MS, reason: 'not a database header' });
    expect(metric(store, 'millwright_store_damaged')).toBe(1);
    now += 86_400_001;
    store.idleStep();
    expect(store.damage).toBeNull();
    now = NOON_MS;
    store.idleStep();
    expect(store.damage).not.toBeNull();
    rmSync(join(folder.path, 'quarantine'), { recursive: true });
    now += 60_000;
    store.idleStep();
    expect([store.damage, metric(store, 'millwright_store_damaged')]).toEqual([null, 0]);
    store.close();
  });
});

describe('a damaged journal batch', () => {
  it('is set aside and booked, the others replay', () => {
    const db = new Database(file);
    db.prepare('UPDATE journal SET body = zeroblob(length(body)) WHERE id = 4').run();
    db.close();
    const store = folder.open();
    expect([...store.journalBatches()].map(({ id }) => id)).toStrictEqual([1, 2, 3, 5, 6, 7, 8, 9, 10]);
    expect(store.recovery.lostBatches).toBe(1);
    expect(store.bookRecovered(90)).toBe(0);
    expect(store.ledger().samples).toMatchObject({ accepted: 100, quarantined: 10, open: 90 });
    expect(store.checkLedger(90).balanced).toBe(true);
    store.close();
  });

  it('that vanished is noticed by the gap it leaves', () => {
    const db = new Database(file);
    db.prepare('DELETE FROM journal WHERE id IN (4, 5)').run();
    db.close();
    const store = folder.open();
    expect([...store.journalBatches()]).toHaveLength(8);
    expect(store.recovery.lostBatches).toBe(2);
    store.close();
  });
});

describe('after a start', () => {
  it('samples that were only in memory are booked as evicted', () => {
    const store = folder.open();
    store.commit(samples(10, 100, { acceptedSamples: 25 }));
    store.close();
    const again = folder.open();
    expect([...again.journalBatches()]).toHaveLength(11);
    expect(again.bookRecovered(110)).toBe(0);
    expect(again.ledger().samples).toMatchObject({ accepted: 125, evicted: 15, open: 110 });
    again.close();
  });

  it('samples of windows that went ahead of a refused batch are booked as accepted, as many as are known to', () => {
    const store = folder.open();
    const settled = { windowed: 40, late: 0, duplicate: 0 };
    store.commit(unit({ results: [result([point(1)])], settled, aheadSamples: 30, trimBelowBatch: 3 }));
    store.close();
    const again = folder.open();
    // 100 were journaled, 20 of them are trimmed: 20 of the 40 were of the refused batch.
    expect(again.bookRecovered(80)).toBe(0);
    expect(again.ledger().samples).toMatchObject({ accepted: 120, windowed: 40, open: 80 });
    again.close();
  });

  it('more samples than were ever accepted stay a difference', () => {
    const store = folder.open();
    expect(store.bookRecovered(104)).toBe(-4);
    expect(store.checkLedger(104)).toMatchObject({ balanced: false, difference: { samples: -4 } });
    store.close();
  });

  it('more samples missing than were in memory stay a difference', () => {
    const store = folder.open();
    store.commit(samples(10, 100, { acceptedSamples: 25 }));
    store.close();
    const again = folder.open();
    expect(again.bookRecovered(107)).toBe(3);
    expect(again.ledger().samples).toMatchObject({ evicted: 15, open: 110 });
    again.close();
  });

  it('samples that nothing explains stay a difference', () => {
    const store = folder.open();
    expect(store.bookRecovered(95)).toBe(5);
    expect(store.checkLedger(95)).toMatchObject({ balanced: false, difference: { samples: 5 } });
    store.close();
  });

  it('outbox rows that vanished are noticed and booked', () => {
    const db = new Database(file);
    db.prepare('DELETE FROM outbox WHERE id = 17').run();
    db.close();
    const store = folder.open();
    expect(store.recovery.pendingDifference).toStrictEqual({ influx: 20 });
    expect(store.ledger().points[0]).toMatchObject({ quarantined: 20, pending: (ROWS - 1) * 20 });
    expect(store.checkLedger(100).balanced).toBe(true);
    store.close();
  });
});
