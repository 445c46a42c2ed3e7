/** Sizes, bounds, damage and changes of configuration of the history, over a real store. */

import { closeSync, copyFileSync, existsSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEmpty } from '../../../../src/store/database.ts';
import { blockAt, levelsFor, placeOf } from '../../../../src/store/history/geometry.ts';
import type { HistoryView } from '../../../../src/store/history/history-view.ts';
import { openStoreReadOnly, type Store } from '../../../../src/store/store.ts';
import {
  everything,
  historyConfig,
  MIDNIGHT_MS,
  plain,
  reading,
  rowsIn,
  SMALL_ARCHIVES,
  settle,
  windowResult,
} from '../../../support/history.ts';
import { NOON_MS, point, result, type StoreFolder, storeFolder, unit } from '../../../support/store.ts';

const SMALL = historyConfig({ archives: SMALL_ARCHIVES });

/** Id of the block that holds the first row at 10 s of the first series. */
const [FINEST] = levelsFor(SMALL_ARCHIVES, 10_000);
const FIRST_BLOCK = 1 + placeOf(FINEST!, blockAt(FINEST!, MIDNIGHT_MS));

let folder: StoreFolder;
let store: Store | null = null;
beforeEach(() => {
  folder = storeFolder();
});
afterEach(() => {
  store?.close();
  store = null;
  folder.remove();
});

function open(history = SMALL, maxBytes?: number): Store {
  store?.close();
  store = folder.open(maxBytes === undefined ? {} : { maxBytes }, { history });
  return store;
}

/** Windows of 10 s whose values follow from their number. */
function feed(into: Store, first: number, count: number, series: readonly string[] = ['temperature']): void {
  for (let at = first; at < first + count; at += 60) {
    const windows = Array.from({ length: Math.min(60, first + count - at) }, (_, i) => at + i);
    into.commit(
      unit({
        results: windows.map((n) =>
          windowResult(
            MIDNIGHT_MS + n * 10_000,
            series.map((name, i) => plain(name, Math.sin(n) + i)),
          ),
        ),
      }),
    );
  }
}

function metric(of: Store, name: string, label?: string): number {
  const found = of
    .metrics()
    .filter(
      (sample) => sample.name === name && (!label || Object.values(sample.labels ?? {}).includes(label)),
    );
  return found.reduce((sum, { value }) => sum + Number(value), 0);
}

/** What the archives of every series take, as the store says. */
function announcedBytes(view: HistoryView): number {
  const archives = view.list().flatMap((each) => each.archives);
  return archives.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Changes the file under a closed store. */
function tamper(sql: string): number {
  store?.close();
  store = null;
  const db = new Database(join(folder.path, 'millwright.db'));
  const { changes } = db.prepare(sql).run();
  db.close();
  return changes;
}

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

describe('the size of the history', () => {
  it('is on the disk before the first block is filled, as announced', () => {
    open(historyConfig()).commit(
      unit({
        results: [
          windowResult(MIDNIGHT_MS, [plain('a', 1), plain('b', 2)]),
          windowResult(MIDNIGHT_MS, [plain('c', 3)], { machine: 'fan-1', sizeMs: 300_000 }),
        ],
      }),
    );
    settle(store!);
    const announced = reading(folder.path, announcedBytes);
    const { blocks, blockBytes, treeBytes } = reading(folder.path, (view) => view.measured());
    expect(announced).toBeGreaterThan(2 * 776_192);
    expect([blockBytes, blocks * 1024]).toEqual([announced, announced]);
    expect(treeBytes).toBeLessThan(announced * 0.012 + 1024);
  });

  it('stays as it is for ten years', () => {
    const [windowMs, dayMs] = [21_600_000, 86_400_000];
    const archives = [
      { stepMs: windowMs, rows: 480 },
      { stepMs: dayMs, rows: 730 },
    ];
    open(historyConfig({ archives }));
    const sizes: unknown[] = [];
    for (let year = 0; year < 10; year += 1) {
      const results = Array.from({ length: 4 * 365 }, (_, i) => {
        const startMs = MIDNIGHT_MS + (year * 4 * 365 + i) * windowMs;
        return windowResult(startMs, [plain('a', year), plain('b', i)], { sizeMs: windowMs });
      });
      store!.commit(unit({ results }));
      settle(store!);
      const { logBytes: _log, ...size } = reading(folder.path, (view) => view.measured());
      sizes.push({ ...size, bytes: store!.bytes });
    }
    for (const size of sizes.slice(1)) expect(size).toEqual(sizes[1]);
    const days = reading(folder.path, (view) => rowsIn(view, 'pump-1', 'a', dayMs));
    expect(days.size).toBeGreaterThanOrEqual(730);
    expect(days.size).toBeLessThan(730 + 96);
    expect([...days.values()].at(-800 % 365)).toEqual([9, 9, 9, 9, 4]);
    expect([...days.values()].at(-500)).toEqual([8, 8, 8, 8, 4]);
  });

  it('is counted in the quota: what is promised and not yet reserved makes the backlog go', () => {
    open(historyConfig(), 4_194_304);
    for (let n = 0; n < 120; n += 1) {
      const points = Array.from({ length: 200 }, (_, i) => point(n * 200 + i));
      store!.commit(unit({ results: [result(points)] }));
    }
    store!.commit(unit({ results: [windowResult(MIDNIGHT_MS, [plain('a', 1), plain('b', 2)])] }));
    store!.commit(unit({ results: [result([point(1)])] }));
    settle(store!);
    expect(reading(folder.path, (view) => view.measured()).blockBytes).toBe(2 * 776_192);
    expect(statSync(join(folder.path, 'millwright.db')).size).toBeLessThanOrEqual(4_194_304);
  });

  it('has a bound on series, by number and by bytes, and counts what is refused once each', () => {
    open({ ...SMALL, maxSeries: 2 });
    feed(store!, 0, 120, ['a', 'b', 'c', 'd']);
    expect(metric(store!, 'millwright_history_series')).toBe(2);
    expect(metric(store!, 'millwright_history_refused_total', 'max_series')).toBe(2);
    expect(reading(folder.path, (view) => view.list().map(({ series }) => series))).toEqual(['a', 'b']);
    // 40 % of the quota are two series of the default archives.
    open(historyConfig(), 4_194_304);
    store!.commit(
      unit({
        results: [windowResult(NOON_MS, [plain('a', 1), plain('b', 1), plain('c', 1)], { machine: 'm' })],
      }),
    );
    expect(metric(store!, 'millwright_history_refused_total', 'max_bytes')).toBeGreaterThan(0);
  });
});

describe('damage', () => {
  it('of a block is a gap that is counted, never another value', () => {
    feed(open(), 0, 96);
    settle(store!);
    const before = reading(folder.path, (view) => rowsIn(view, 'pump-1', 'temperature', 10_000));
    expect(before.size).toBe(96);
    const bit = `UPDATE history_block SET body = substr(body, 1, 100) || x'ff' || substr(body, 102) WHERE id = ${FIRST_BLOCK}`;
    expect(tamper(bit)).toBe(1);
    open();
    reading(folder.path, (view) => {
      const query = { machine: 'pump-1', series: 'temperature', stepMs: 10_000, fromMs: 0, toMs: 8e15 };
      expect(view.rows({ ...query, maxRows: 1e6 })).toMatchObject({ damagedBlocks: 1 });
      const after = rowsIn(view, 'pump-1', 'temperature', 10_000);
      expect(after.size).toBeLessThan(96);
      for (const [row, values] of after) expect(values).toEqual(before.get(row));
    });
  });

  it('of a block that stands in the place of another is noticed', () => {
    feed(open(), 0, 48 * 3);
    settle(store!);
    tamper(
      `UPDATE history_block SET body = (SELECT body FROM history_block WHERE id = 2) WHERE id = ${FIRST_BLOCK}`,
    );
    open();
    reading(folder.path, (view) =>
      expect(rowsIn(view, 'pump-1', 'temperature', 10_000).has(MIDNIGHT_MS)).toBe(false),
    );
  });

  it('of a row of the log loses its windows alone', () => {
    open();
    for (let n = 0; n < 4; n += 1) feed(store!, n, 1);
    tamper('UPDATE history_log SET body = zeroblob(40) WHERE id = 2');
    open();
    expect(metric(store!, 'millwright_history_damaged_total', 'log')).toBe(1);
    const rows = reading(folder.path, (view) => rowsIn(view, 'pump-1', 'temperature', 10_000));
    expect([...rows.keys()].map((row) => (row - MIDNIGHT_MS) / 10_000)).toEqual([0, 2, 3]);
  });

  it('of the whole file leaves every block that can be read', () => {
    feed(open(), 0, 1000, ['a', 'b']);
    settle(store!);
    const before = reading(folder.path, everything);
    store!.close();
    store = null;
    const path = join(folder.path, 'millwright.db');
    const db = new Database(path);
    const page = db.prepare("SELECT pageno FROM dbstat WHERE name = 'outbox'").pluck().get() as number;
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    overwrite(path, (page - 1) * 1024, Buffer.alloc(1024, 7));
    open();
    expect(store!.recovery.quarantined).not.toBeNull();
    settle(store!);
    expect(reading(folder.path, everything)).toEqual(before);
    feed(store!, 1000, 500, ['a', 'b']);
    settle(store!);
    expect(reading(folder.path, (view) => view.measured()).blockBytes % 1024).toBe(0);
  });
});

describe('a change of configuration', () => {
  it('keeps the rows of resolutions that stay, as far back as they reach', () => {
    feed(open(), 0, 3000, ['a', 'b']);
    settle(store!);
    const before = reading(folder.path, (view) => rowsIn(view, 'pump-1', 'b', 60_000));
    const archives = [
      { stepMs: 10_000, rows: 400 },
      { stepMs: 60_000, rows: 500 },
      { stepMs: 3_600_000, rows: 100 },
    ];
    open({ ...SMALL, archives });
    settle(store!);
    const after = reading(folder.path, (view) => rowsIn(view, 'pump-1', 'b', 60_000));
    for (const [row, values] of before) expect(after.get(row)).toEqual(values);
    feed(store!, 3000, 3000, ['a', 'b']);
    settle(store!);
    const hours = reading(folder.path, (view) => rowsIn(view, 'pump-1', 'b', 3_600_000));
    expect([...hours.values()].map(([, , , , count]) => count).slice(-4, -1)).toEqual([360, 360, 360]);
    const { blockBytes } = reading(folder.path, (view) => view.measured());
    expect(blockBytes).toBe(reading(folder.path, announcedBytes));
  });

  it('to no history leaves what there is', () => {
    feed(open(), 0, 200);
    settle(store!);
    const before = reading(folder.path, everything);
    open({ ...SMALL, enabled: false });
    store!.commit(unit({ results: [windowResult(MIDNIGHT_MS, [plain('temperature', 9)])] }));
    settle(store!);
    expect(reading(folder.path, everything)).toEqual(before);
  });
});

describe('a store of version 1', () => {
  it('is brought up to date after a copy was taken, and keeps what it held', () => {
    const path = join(folder.path, 'millwright.db');
    createEmpty(path, 1);
    expect(() => openStoreReadOnly(folder.path).history(0.5)).toThrow(/without history/);
    open();
    expect(store!.recovery.migratedFrom).toBe(1);
    expect(existsSync(`${path}.v1`)).toBe(true);
    feed(store!, 0, 200);
    settle(store!);
    expect(reading(folder.path, (view) => view.list())).toHaveLength(1);
    copyFileSync(`${path}.v1`, join(folder.path, 'copy.db'));
    const db = new Database(join(folder.path, 'copy.db'), { readonly: true });
    expect(db.pragma('user_version', { simple: true })).toBe(1);
    db.close();
  });

  it('whose list of tables is damaged after that gives its history back, found page by page', () => {
    const path = join(folder.path, 'millwright.db');
    createEmpty(path, 1);
    feed(open(), 0, 500);
    settle(store!);
    const before = reading(folder.path, everything);
    store!.close();
    store = null;
    const db = new Database(path);
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    overwrite(path, 100, Buffer.alloc(924, 3));
    open();
    expect(store!.recovery.quarantined).not.toBeNull();
    settle(store!);
    expect(reading(folder.path, everything)).toEqual(before);
  });
});
