import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeadLetter } from '../../../src/domain/dead-letter.ts';
import { GatewayError } from '../../../src/errors.ts';
import { letterCheck } from '../../../src/store/dead-letter-orders.ts';
import { openStore, openStoreReadOnly } from '../../../src/store/store.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';
import {
  NOON_MS,
  point,
  result,
  type StoreFolder,
  samples,
  scalars,
  storeConfig,
  storeFolder,
  unit,
} from '../../support/store.ts';

let folder: StoreFolder;
beforeEach(() => {
  folder = storeFolder();
});
afterEach(() => folder.remove());

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error.code;
    throw error;
  }
  return 'none';
}

const letter = (n: number, bytes = 4): DeadLetter => ({
  reason: 'malformed_json',
  detail: `position ${n}`,
  source: 'plant/pump/x',
  payload: new Uint8Array(bytes).fill(n),
  receivedMs: NOON_MS + n,
});

describe('what was committed', () => {
  it('is all there after a restart', () => {
    const first = folder.open();
    const channel = { index: 0, machineClass: 'pump', machine: 'pump-1', channel: 'vibration' };
    expect(first.nextBatchId()).toBe(1);
    first.commit(samples(3, 0, { channels: [channel], deadLetters: [letter(1)] }));
    first.commit(samples(2, 3));
    const stateWrites = [{ machine: 'pump-1', key: 'window', value: Uint8Array.of(1, 2, 3) }];
    first.commit(unit({ results: [{ ...result([point(1), point(2)], NOON_MS + 5), stateWrites }] }));
    first.close();

    const second = folder.open();
    expect(second.channels()).toStrictEqual([channel]);
    expect(second.closedUntil()).toStrictEqual(new Map([['pump-1', NOON_MS + 5]]));
    expect([...second.machineStates()]).toStrictEqual(stateWrites);
    expect([...second.journalBatches()]).toStrictEqual([
      { id: 1, records: scalars(3) },
      { id: 2, records: scalars(2, 3) },
    ]);
    expect(second.nextBatchId()).toBe(3);
    expect(second.readOutbox('influx', 10, 'backlog')).toStrictEqual([
      { id: 1, points: [point(1), point(2)] },
    ]);
    expect(second.deadLetters()).toStrictEqual([{ id: 1, ...letter(1) }]);
    expect(second.checkLedger(5)).toStrictEqual({
      balanced: true,
      difference: { samples: 0, points: { influx: 0 } },
    });
    expect(second.recovery).toMatchObject({
      quarantined: null,
      repairedRows: 0,
      lostRows: 0,
      pendingDifference: {},
    });
    second.close();
  });

  it('leaves the journal once no window needs it, and batch ids go on', () => {
    const store = folder.open();
    for (let n = 0; n < 4; n += 1) store.commit(samples(1, n));
    store.commit(
      unit({
        results: [result([point(1)])],
        settled: { windowed: 3, late: 0, duplicate: 0 },
        trimBelowBatch: 4,
      }),
    );
    expect([...store.journalBatches()].map(({ id }) => id)).toStrictEqual([4]);
    store.commit(
      unit({ results: [result([])], settled: { windowed: 1, late: 0, duplicate: 0 }, trimBelowBatch: 5 }),
    );
    store.close();
    const again = folder.open();
    expect(again.nextBatchId()).toBe(5);
    expect([...again.journalBatches()]).toStrictEqual([]);
    expect(again.checkLedger(0).balanced).toBe(true);
    again.close();
  });

  it('is not trimmed for a bound that is not finite: nothing may be needed now and something a moment later', () => {
    const store = folder.open();
    store.commit(samples(1));
    store.commit(unit({ results: [result([point(1)])], trimBelowBatch: Infinity }));
    expect([...store.journalBatches()].map(({ id }) => id)).toStrictEqual([1]);
    store.close();
  });

  it('reports an account that does not match the windows', () => {
    const store = folder.open();
    store.commit(samples(5));
    expect(store.checkLedger(4)).toMatchObject({ balanced: false, difference: { samples: 1 } });
    store.close();
  });
});

describe('a unit with nothing to store', () => {
  it('writes nothing, and its counts travel with the next one', () => {
    const store = folder.open();
    store.commit(samples(1));
    const files = () =>
      readdirSync(folder.path).map((name) => [name, statSync(join(folder.path, name)).mtimeMs]);
    const before = files();
    for (let n = 0; n < 100; n += 1) {
      store.commit(unit({ acceptedSamples: 2 }));
      store.idleStep();
    }
    expect(files()).toStrictEqual(before);
    store.commit(samples(1, 1));
    store.close();
    const again = folder.open();
    expect(again.ledger().samples.accepted).toBe(202);
    again.close();
  });

  it('is saved after a while where nothing else comes', () => {
    let now = NOON_MS;
    const store = folder.open({}, { now: () => now });
    store.commit(unit({ acceptedSamples: 7 }));
    now += 5_000;
    store.commit(unit());
    const reader = openStoreReadOnly(folder.path);
    expect(reader.ledger().samples.accepted).toBe(7);
    reader.close();
    store.close();
  });
});

describe('the outbox', () => {
  it('gives the oldest first on the backlog lane and the newest first on the live lane', () => {
    const store = folder.open();
    for (let n = 0; n < 5; n += 1) store.commit(unit({ results: [result([point(n)])] }));
    expect(store.readOutbox('influx', 2, 'backlog').map(({ id }) => id)).toStrictEqual([1, 2]);
    expect(store.readOutbox('influx', 2, 'live').map(({ id }) => id)).toStrictEqual([5, 4]);
    store.close();
  });

  it('gives at least one batch, however small the request', () => {
    const store = folder.open();
    store.commit(unit({ results: [result([point(1), point(2), point(3)])] }));
    expect(store.readOutbox('influx', 1, 'backlog')).toHaveLength(1);
    store.close();
  });

  it('makes one row per class of a commit', () => {
    const store = folder.open();
    store.commit(unit({ results: [result([point(1), point(2, 'alarm')]), result([point(3)])] }));
    expect(store.readOutbox('influx', 10, 'backlog')).toStrictEqual([
      { id: 1, points: [point(1), point(3)] },
      { id: 2, points: [point(2, 'alarm')] },
    ]);
    store.close();
  });

  it('keeps a batch until every sink has taken it, each at its own pace', () => {
    const sinks = ['influx', 'archive'];
    const store = folder.open({}, { sinks });
    for (let n = 0; n < 3; n += 1) store.commit(unit({ results: [result([point(n)])] }));
    store.settleOutbox('influx', 3, { delivered: 1, deadLettered: [] });
    store.settleOutbox('influx', 1, { delivered: 1, deadLettered: [] });
    store.settleOutbox('archive', 1, { delivered: 1, deadLettered: [] });
    expect(store.readOutbox('influx', 10, 'live').map(({ id }) => id)).toStrictEqual([2]);
    expect(store.backlog('archive').points).toBe(2);
    store.close();
    const again = folder.open({}, { sinks });
    expect(again.readOutbox('influx', 10, 'backlog').map(({ id }) => id)).toStrictEqual([2]);
    expect(again.readOutbox('archive', 10, 'backlog').map(({ id }) => id)).toStrictEqual([2, 3]);
    expect(again.checkLedger(0).balanced).toBe(true);
    again.close();
  });

  it('counts a batch once however often it is settled', () => {
    const store = folder.open();
    store.commit(unit({ results: [result([point(1)])] }));
    for (let n = 0; n < 3; n += 1) store.settleOutbox('influx', 1, { delivered: 1, deadLettered: [] });
    expect(store.ledger().points[0]).toMatchObject({ produced: 1, delivered: 1, pending: 0 });
    expect(store.backlog('influx')).toStrictEqual({ points: 0, bytes: 0, oldestMs: null });
    store.close();
  });

  it('keeps points a sink refused as dead letters, and takes them back on request', () => {
    const store = folder.open();
    store.commit(unit({ results: [result([point(1), point(2)])] }));
    store.settleOutbox('influx', 1, {
      delivered: 1,
      deadLettered: [{ point: point(2), reason: 'field type conflict' }],
    });
    store.close();
    const again = folder.open();
    const [refused] = again.deadLetters({ source: 'sink:influx' });
    expect(refused).toMatchObject({ reason: 'rejected_by_sink', detail: 'field type conflict' });
    expect(again.ledger().points[0]).toMatchObject({
      produced: 2,
      delivered: 1,
      deadLettered: 1,
      pending: 0,
    });
    const requeue = [{ letter: { id: refused!.id, check: letterCheck(refused!) }, points: null }];
    expect(again.settleDeadLetters({ remove: [], requeue })).toEqual({ removed: 0, requeued: 1, left: 0 });
    expect(again.settleDeadLetters({ remove: [], requeue })).toEqual({ removed: 0, requeued: 0, left: 1 });
    expect(again.readOutbox('influx', 10, 'backlog')[0]!.points).toStrictEqual([point(2)]);
    expect(again.deadLetters()).toStrictEqual([]);
    expect(again.checkLedger(0).balanced).toBe(true);
    again.close();
  });

  it('starts a new sink after what is there and gives up the backlog of one that left', () => {
    const store = folder.open();
    store.commit(unit({ results: [result([point(1)])] }));
    store.close();
    const again = folder.open({}, { sinks: ['other'] });
    expect(again.readOutbox('other', 10, 'backlog')).toStrictEqual([]);
    again.commit(unit({ results: [result([point(2)])] }));
    expect(again.readOutbox('other', 10, 'backlog')[0]!.points).toStrictEqual([point(2)]);
    expect(again.checkLedger(0).balanced).toBe(true);
    again.close();
  });

  it('stores no points where there is no sink', () => {
    const store = folder.open({}, { sinks: [] });
    store.commit(unit({ results: [result([point(1)])] }));
    expect(store.closedUntil().size).toBe(0);
    store.close();
    const again = folder.open({}, { sinks: ['influx'] });
    expect(again.closedUntil().get('pump-1')).toBe(NOON_MS);
    expect(again.backlog('influx').points).toBe(0);
    again.close();
  });

  it('evicts by age, but not rows stamped before the clock was set', () => {
    let now = 1000;
    const store = folder.open({ maxAgeDays: 1 }, { now: () => now });
    store.commit(unit({ results: [result([point(1)])] }));
    now = NOON_MS;
    store.commit(unit({ results: [result([point(2)])] }));
    now += 86_400_000 + 1;
    store.commit(unit({ results: [result([point(3)])] }));
    while (store.idleStep());
    expect(store.readOutbox('influx', 10, 'backlog').map(({ id }) => id)).toStrictEqual([1, 3]);
    expect(store.ledger().points[0]).toMatchObject({ produced: 3, evicted: 1, pending: 2 });
    expect(store.checkLedger(0).balanced).toBe(true);
    store.close();
  });

  it('evicts nothing because the clock was stepped or set, and remembers that over a restart', () => {
    const DAY_MS = 86_400_000;
    let now = NOON_MS;
    let isSet = true;
    const options = { now: () => now, isClockSet: () => isSet };
    const store = folder.open({ maxAgeDays: 1 }, options);
    store.commit(unit({ results: [result([point(1)])] }));
    now += 3650 * DAY_MS;
    store.clockMoved(3650 * DAY_MS);
    while (store.idleStep());
    expect(store.backlog('influx').points).toBe(1);
    store.close();
    isSet = false;
    now += 2 * DAY_MS;
    const unknown = folder.open({ maxAgeDays: 1 }, options);
    expect(unknown.lastKnownMs).toBe(NOON_MS + 3650 * DAY_MS);
    while (unknown.idleStep());
    expect(unknown.backlog('influx').points).toBe(1);
    isSet = true;
    now += 1;
    while (unknown.idleStep());
    expect(unknown.ledger().points[0]).toMatchObject({ evicted: 1, pending: 0 });
    unknown.close();
  });

  it('takes rows committed before the clock was set for ageless, also in later runs', () => {
    const DAY_MS = 86_400_000;
    let now = NOON_MS;
    let isSet = true;
    const options = { now: () => now, isClockSet: () => isSet };
    const run = () => folder.open({ maxAgeDays: 1 }, options);
    const before = run();
    before.commit(unit({ results: [result([point(1)])] }));
    before.close();
    isSet = false;
    const unset = run();
    unset.commit(unit({ results: [result([point(2)])] }));
    unset.close();
    const store = run();
    store.commit(unit({ results: [result([point(3)])] }));
    now += 40 * DAY_MS;
    isSet = true;
    store.clockMoved(40 * DAY_MS);
    while (store.idleStep());
    expect(store.readOutbox('influx', 10, 'backlog').map(({ id }) => id)).toStrictEqual([2, 3]);
    expect(store.backlog('influx').oldestMs).toBeNull();
    store.close();
  });
});

describe('dead letters', () => {
  it('stay within their bytes, the oldest first to go, counted', () => {
    const store = folder.open({ maxDeadLetterBytes: 65_536 });
    for (let n = 1; n <= 30; n += 1) store.commit(unit({ deadLetters: [letter(n, 5000)] }));
    const kept = store.deadLetters();
    expect(kept.length).toBeLessThanOrEqual(13);
    expect(kept.length).toBeGreaterThan(10);
    expect(kept.at(-1)).toStrictEqual({ id: 30, ...letter(30, 5000) });
    expect(store.ledger().deadLetteredMessages).toBe(30);
    const dropped = store.metrics().find(({ name }) => name === 'millwright_dead_letters_dropped_total');
    expect(dropped!.value).toBe(30 - kept.length);
    store.close();
  });

  it('can be paged through, filtered and deleted', () => {
    const store = folder.open();
    store.commit(unit({ deadLetters: Array.from({ length: 200 }, (_, n) => letter(n)) }));
    store.commit(unit({ deadLetters: [{ ...letter(1), reason: 'oversize' }] }));
    expect(store.deadLetters({ afterId: 150, limit: 3 }).map(({ id }) => id)).toStrictEqual([151, 152, 153]);
    expect(store.deadLetters({ reason: 'oversize' }).map(({ id }) => id)).toStrictEqual([201]);
    const [one, two] = store.deadLetters({ limit: 2 }).map((l) => ({ id: l.id, check: letterCheck(l) }));
    const another = { id: 3, check: one!.check };
    const receipt = store.settleDeadLetters({ remove: [one!, two!, another], requeue: [] });
    expect(receipt).toEqual({ removed: 2, requeued: 0, left: 1 });
    expect(store.deadLetters({ limit: 1 })[0]!.id).toBe(3);
    store.close();
  });
});

describe('the data directory', () => {
  it('belongs to one gateway at a time, and is free again after close', () => {
    const store = folder.open();
    expect(codeOf(() => folder.open())).toBe('MW_STORE_IN_USE');
    store.close();
    folder.open().close();
  });

  it('can be looked into beside the gateway that owns it, and afterwards', () => {
    const store = folder.open();
    store.commit(samples(4, 0, { results: [result([point(1)])], deadLetters: [letter(1)] }));
    const look = () => {
      const reader = openStoreReadOnly(folder.path);
      const seen = [
        reader.ledger(),
        reader.backlog('influx')?.points,
        reader.deadLetters().length,
        reader.sinks(),
      ];
      reader.close();
      return seen;
    };
    const beside = look();
    expect(beside).toMatchObject([{ samples: { accepted: 4, open: 4 } }, 1, 1, ['influx']]);
    store.commit(samples(1, 4));
    expect(look()).toMatchObject([{ samples: { accepted: 5 } }, 1, 1, ['influx']]);
    store.close();
    expect(look()).toMatchObject([{ samples: { accepted: 5 } }, 1, 1, ['influx']]);
    expect(codeOf(() => openStoreReadOnly(join(folder.path, 'absent')))).toBe('MW_STORE_OPEN');
  });

  it('of a newer gateway is refused and left as it is', () => {
    folder.open().close();
    const db = new Database(join(folder.path, 'millwright.db'));
    db.exec('DELETE FROM meta');
    db.pragma('user_version = 99');
    db.close();
    expect(codeOf(() => folder.open())).toBe('MW_STORE_SCHEMA_NEWER');
    expect(existsSync(join(folder.path, 'quarantine'))).toBe(false);
  });

  it('that can not be made says so', () => {
    writeFileSync(join(folder.path, 'file'), '');
    const dataDir = join(folder.path, 'file', 'data');
    const options = { dataDir, config: storeConfig(), sinks: [], now: () => NOON_MS, logger: SILENT };
    expect(codeOf(() => openStore(options))).toBe('MW_STORE_OPEN');
  });
});
