/**
 * Commits of every class into a store that is too small for them, against a model that keeps every point ever produced.
 *
 * After each commit and each restart: what is held is true to the bit, every point of every class is accounted for, and
 * what went was the turn of its class.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { POINT_CLASSES, type Point, type PointClass } from '../../../src/domain/point.ts';
import { openStoreReadOnly, type Store } from '../../../src/store/store.ts';
import { NOON_MS, result, type StoreFolder, samples, storeFolder, unit } from '../../support/store.ts';

const SINKS = ['influx', 'archive'] as const;
type Sink = (typeof SINKS)[number];
const RESERVE_SHARE = 0.1;

/** Points of `machines` in one window, hard to shrink. */
function windowPoints(n: number, pointClass: PointClass, machines: number): Point[] {
  return Array.from({ length: machines }, (_, m) => ({
    pointClass,
    measurement: pointClass,
    tags: { machine: `m${m}` },
    fields: Object.fromEntries(
      Array.from({ length: 60 }, (_, i) => [`f${i}`, Math.sin(n * 7919 + m * 31 + i) * 1e6]),
    ),
    timeMs: NOON_MS + n * 1000,
  }));
}

const identityOf = (p: Point) => `${p.measurement} ${p.tags['machine']} ${p.timeMs}`;

/** Every batch in the outbox, as another process sees it: nothing is handed out. */
function heldBatches(folder: StoreFolder): HeldBatches {
  const beside = openStoreReadOnly(folder.path);
  try {
    return beside.outboxBatches(0, Number.POSITIVE_INFINITY);
  } finally {
    beside.close();
  }
}

type HeldBatches = readonly { readonly id: number; readonly points: readonly Point[] }[];
type Identities = Readonly<Record<PointClass, ReadonlySet<string>>>;

function identities(batches: HeldBatches): Identities {
  const found: Record<PointClass, Set<string>> = {
    raw: new Set(),
    aggregate: new Set(),
    assessment: new Set(),
    alarm: new Set(),
  };
  for (const { points } of batches) for (const p of points) found[p.pointClass].add(identityOf(p));
  return found;
}

class Run {
  readonly folder = storeFolder();
  readonly maxBytes: number;
  store: Store;
  readonly produced = new Map<string, string>();
  readonly producedByClass: Record<PointClass, number> = { raw: 0, aggregate: 0, assessment: 0, alarm: 0 };
  readonly takenByClass: Record<Sink, Record<PointClass, number>>;
  n = 0;
  #batches: HeldBatches = [];

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
    this.store = this.open();
    const none = () => ({ raw: 0, aggregate: 0, assessment: 0, alarm: 0 });
    this.takenByClass = { influx: none(), archive: none() };
  }

  open(): Store {
    return this.folder.open({ maxBytes: this.maxBytes }, { sinks: SINKS });
  }

  commit(pointClass: PointClass, machines: number): void {
    const points = windowPoints(this.n, pointClass, machines);
    this.n += 1;
    const before = this.counts();
    const heldBefore = identities(this.#batches);
    this.store.commit(unit({ results: [result(points)] }));
    for (const p of points) this.produced.set(identityOf(p), JSON.stringify(p));
    this.producedByClass[pointClass] += points.length;
    this.#batches = heldBatches(this.folder);
    this.expectOrder(before, heldBefore, new Set(points.map(identityOf)));
    this.expectBalance();
    if (this.n % 6 === 0) this.expectContent(['influx']);
  }

  settle(sink: Sink): void {
    const [batch] = this.store.readOutbox(sink, 1, 'backlog');
    if (batch === undefined) return;
    this.store.settleOutbox(sink, batch.id, { delivered: batch.points.length, deadLettered: [] });
    this.takenByClass[sink][batch.points[0]!.pointClass] += batch.points.length;
  }

  restart(): void {
    this.store.close();
    this.store = this.open();
    expect(this.store.recovery).toMatchObject({ quarantined: null, lostRows: 0, pendingDifference: {} });
    this.#batches = heldBatches(this.folder);
    this.expectBalance();
    this.expectContent(SINKS);
  }

  counts(): Record<PointClass, number> {
    const overflow = this.store.ledger().points.map((account) => account.overflow);
    const given = (name: PointClass) =>
      overflow.reduce((sum, of) => sum + of[name].degraded + of[name].evicted, 0);
    return Object.fromEntries(POINT_CLASSES.map((name) => [name, given(name)])) as Record<PointClass, number>;
  }

  /** A class gives way only once nothing is left of the lesser ones but what just came or what is too new. */
  expectOrder(before: Record<PointClass, number>, held: Identities, fresh: ReadonlySet<string>): void {
    const after = this.counts();
    const left = identities(this.#batches);
    for (const [rank, name] of POINT_CLASSES.entries()) {
      if (after[name] === before[name]) continue;
      for (const lesser of POINT_CLASSES.slice(0, rank))
        expect([...left[lesser]].filter((identity) => !fresh.has(identity))).toStrictEqual([]);
    }
    for (const name of POINT_CLASSES) expectOldestWent(held[name], left[name]);
  }

  expectContent(sinks: readonly Sink[]): void {
    for (const p of this.#batches.flatMap(({ points }) => points))
      expect(JSON.stringify(p)).toBe(this.produced.get(identityOf(p)));
    for (const sink of sinks) {
      const { overflow } = this.store.ledger().points.find((account) => account.sink === sink)!;
      const pending = this.pendingByClass(sink);
      for (const name of POINT_CLASSES) {
        const { degraded, evicted } = overflow[name];
        expect(pending[name] + this.takenByClass[sink][name] + degraded + evicted).toBe(
          this.producedByClass[name],
        );
      }
    }
  }

  expectBalance(): void {
    expect(this.store.checkLedger(0)).toMatchObject({ balanced: true });
    for (const { overflow, degraded, evicted } of this.store.ledger().points) {
      const classes = Object.values(overflow);
      expect(classes.reduce((sum, counts) => sum + counts.degraded, 0)).toBe(degraded);
      expect(classes.reduce((sum, counts) => sum + counts.evicted, 0)).toBe(evicted);
      expect(overflow.raw.degraded + overflow.alarm.degraded).toBe(0);
    }
    expect(this.store.bytes).toBeLessThanOrEqual(this.maxBytes);
  }

  pendingByClass(sink: Sink): Record<PointClass, number> {
    const pending = { raw: 0, aggregate: 0, assessment: 0, alarm: 0 };
    for (const { points } of this.store.readOutbox(sink, Number.POSITIVE_INFINITY, 'backlog'))
      for (const p of points) pending[p.pointClass] += 1;
    return pending;
  }

  end(): void {
    this.store.close();
    this.folder.remove();
  }
}

/** Within a series and class, the newest of what was there is still there if anything is. */
function expectOldestWent(before: ReadonlySet<string>, after: ReadonlySet<string>): void {
  const newest = (set: Iterable<string>) => Math.max(...[...set].map((id) => Number(id.split(' ')[2])));
  const survivors = [...before].filter((identity) => after.has(identity));
  if (survivors.length === 0) return;
  expect(newest(survivors)).toBe(newest(before));
}

const action = fc.oneof(
  { weight: 12, arbitrary: fc.tuple(fc.constantFrom(...POINT_CLASSES), fc.constantFrom(1, 4, 30, 80)) },
  { weight: 2, arbitrary: fc.constantFrom(...SINKS) },
  { weight: 1, arbitrary: fc.constant('restart' as const) },
);

describe('a store too small for what is produced', () => {
  it.each([1_048_576, 1_572_864])(
    'keeps the order of classes and its accounts within %i bytes',
    (maxBytes) => {
      fc.assert(
        fc.property(fc.array(action, { minLength: 25, maxLength: 25 }), (actions) => {
          const run = new Run(maxBytes);
          try {
            const givenUp = () => Object.values(run.counts()).reduce((sum, count) => sum + count, 0);
            for (let n = 0; givenUp() === 0; n += 1) run.commit(POINT_CLASSES[n % 4]!, 160);
            for (const step of actions) {
              if (step === 'restart') run.restart();
              else if (typeof step === 'string') run.settle(step);
              else run.commit(...step);
            }
            run.restart();
          } finally {
            run.end();
          }
        }),
        { numRuns: 1 },
      );
    },
    120_000,
  );
});

describe('a backlog that is thinned', () => {
  it('reaches back further than one that is cut, at a resolution that falls with age', () => {
    const run = new Run(1_048_576);
    const fits = fillUntilFull(run);
    for (let n = 0; n < fits; n += 1)
      run.store.commit(unit({ results: [result(windowPoints(fits + n, 'aggregate', 8))] }));
    const times = heldBatches(run.folder)
      .flatMap(({ points }) => points)
      .filter(({ tags }) => tags['machine'] === 'm7')
      .map(({ timeMs }) => (timeMs - NOON_MS) / 1000);
    const gaps = times.slice(1).map((time, i) => time - times[i]!);
    expect(times[0]).toBeLessThan(16);
    expect(times.at(-1)).toBe(2 * fits - 1);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(16);
    // The newest eighth is whole.
    expect(gaps.slice(-Math.floor(fits / 8)).every((gap) => gap === 1)).toBe(true);
    expect(run.store.ledger().points[0]!.evicted).toBe(0);
    run.end();
  });

  it('settles a batch that was thinned in the hand of its sink without losing the account', () => {
    const run = new Run(1_048_576);
    const fits = fillUntilFull(run);
    const [inHand] = run.store.readOutbox('influx', 1, 'backlog');
    for (let n = 0; n < fits / 2; n += 1)
      run.store.commit(unit({ results: [result(windowPoints(fits + n, 'aggregate', 8))] }));
    const before = run.store.ledger().points[0]!;
    expect(before.degraded).toBeGreaterThan(0);
    run.store.settleOutbox('influx', inHand!.id, { delivered: inHand!.points.length, deadLettered: [] });
    const after = run.store.ledger().points[0]!;
    expect(after.delivered - before.delivered).toBeLessThanOrEqual(inHand!.points.length);
    expect(run.store.checkLedger(0).balanced).toBe(true);
    run.end();
  });
});

function fillUntilFull(run: Run): number {
  let n = 0;
  for (; run.store.ledger().points[0]!.degraded === 0; n += 1)
    run.store.commit(unit({ results: [result(windowPoints(n, 'aggregate', 8))] }));
  return n;
}

describe('the reserve', () => {
  it('keeps assessments and alarms while records, aggregates and raw values fill everything else', () => {
    const run = new Run(1_048_576);
    const reserved = ['assessment', 'alarm'] as const;
    let bytes = 0;
    for (let n = 0; bytes < run.maxBytes * RESERVE_SHARE * 0.8; n += 1) {
      const before = run.store.backlog('influx').bytes;
      run.store.commit(unit({ results: [result(windowPoints(n, reserved[n % 2]!, 4))] }));
      bytes += run.store.backlog('influx').bytes - before;
    }
    const kept = heldBatches(run.folder);
    for (let n = 0; n < 200; n += 1) {
      const journal = n < 80 ? samples(100, n * 100) : unit();
      run.store.commit({
        ...journal,
        results: [result(windowPoints(1000 + n, n % 2 ? 'raw' : 'aggregate', 25))],
      });
    }
    expect(run.store.ledger().points[0]!.evicted).toBeGreaterThan(0);
    const left = new Map(heldBatches(run.folder).map(({ id, points }) => [id, points]));
    for (const { id, points } of kept) expect(left.get(id)).toStrictEqual(points);
    expect(run.store.checkLedger(8000).balanced).toBe(true);
    run.end();
  });
});
