/**
 * Random sequences of commit, read, settle, restart and crash against a model that is a few maps in memory.
 *
 * A crash is a copy of the files as they are on the disk at that moment, opened as a store of its own. What was
 * committed must be there; what was settled may come back, if nothing was saved since.
 */

import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { Point } from '../../../src/domain/point.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';
import { NOON_MS, point, samples, scalars, storeConfig } from '../../support/store.ts';

const SINKS = ['influx', 'archive'] as const;
type Sink = (typeof SINKS)[number];
const root = mkdtempSync(join(tmpdir(), 'millwright-model-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Taken {
  delivered: number;
  deadLettered: number;
}

/** What a correct store holds. */
class Model {
  journal = new Map<number, string>();
  rows = new Map<number, Point[]>();
  taken: Record<Sink, Map<number, Taken>> = { influx: new Map(), archive: new Map() };
  /** Settles that a crash may undo. */
  unsaved: [Sink, number][] = [];
  accepted = 0;
  windowed = 0;
  closedUntil = 0;
  state = '';
  nextBatch = 1;
  nextRow = 1;
  letters = 0;

  pending(sink: Sink): number[] {
    return [...this.rows.keys()].filter((id) => !this.taken[sink].has(id)).sort((a, b) => a - b);
  }

  sum(sink: Sink, field: keyof Taken): number {
    return [...this.taken[sink].values()].reduce((total, taken) => total + taken[field], 0);
  }
}

class Real {
  readonly dataDir: string;
  nowMs = NOON_MS;
  store: Store;

  constructor() {
    this.dataDir = mkdtempSync(join(root, 'run-'));
    this.store = this.open(this.dataDir);
  }

  open(dataDir: string): Store {
    return openStore({
      dataDir,
      config: storeConfig(),
      sinks: SINKS,
      now: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      logger: SILENT,
    });
  }

  /** The files of this moment in a directory of their own, as a power cut would leave them. */
  crashed(): Store {
    const copy = mkdtempSync(join(root, 'crash-'));
    for (const name of ['millwright.db', 'millwright.db-wal']) {
      if (existsSync(join(this.dataDir, name))) copyFileSync(join(this.dataDir, name), join(copy, name));
    }
    return this.open(copy);
  }
}

type Command = fc.Command<Model, Real>;

function expectEqual(model: Model, store: Store): void {
  expect(
    new Map([...store.journalBatches()].map(({ id, records }) => [id, Buffer.from(records).toString('hex')])),
  ).toStrictEqual(model.journal);
  expect(store.nextBatchId()).toBe(model.nextBatch);
  const ledger = store.ledger();
  expect([ledger.samples.accepted, ledger.samples.windowed]).toStrictEqual([model.accepted, model.windowed]);
  for (const sink of SINKS) {
    const pending = model.pending(sink);
    const batches = store.readOutbox(sink, Infinity, 'backlog');
    expect(batches.map(({ id }) => id)).toStrictEqual(pending);
    for (const { id, points } of batches) expect(points).toStrictEqual(model.rows.get(id));
    const account = ledger.points.find((candidate) => candidate.sink === sink)!;
    expect([account.delivered, account.deadLettered]).toStrictEqual([
      model.sum(sink, 'delivered'),
      model.sum(sink, 'deadLettered'),
    ]);
    expect(store.backlog(sink).points).toBe(batches.reduce((sum, { points }) => sum + points.length, 0));
  }
  expect(store.checkLedger(model.accepted - model.windowed)).toMatchObject({ balanced: true });
}

class Commit implements Command {
  readonly #samples: number;
  readonly #points: number;
  readonly #trim: number;

  constructor(samplesGiven: number, points: number, trim: number) {
    this.#samples = samplesGiven;
    this.#points = points;
    this.#trim = trim;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, { store }: Real): void {
    const first = model.nextBatch * 100;
    const points = Array.from({ length: this.#points }, (_, n) => point(model.nextRow * 100 + n));
    const machine = 'pump-1';
    const closedUntilMs = NOON_MS + model.nextRow;
    const stateWrites = [{ machine, key: 'window', value: Uint8Array.of(model.nextRow & 255) }];
    const results = points.length > 0 ? [{ machine, closedUntilMs, points, stateWrites }] : [];
    const windowed = results.length > 0 ? Math.min(3, model.accepted - model.windowed) : 0;
    const trimBelowBatch = results.length > 0 ? Math.max(0, model.nextBatch - this.#trim) : 0;
    const settled = { windowed, late: 0, duplicate: 0 };
    const journal = this.#samples > 0 ? scalars(this.#samples, first) : null;
    store.commit(samples(this.#samples, first, { journal, results, settled, trimBelowBatch }));
    if (journal) model.journal.set(model.nextBatch, Buffer.from(journal).toString('hex'));
    if (journal) model.nextBatch += 1;
    for (const id of [...model.journal.keys()]) if (id < trimBelowBatch) model.journal.delete(id);
    model.accepted += this.#samples;
    model.windowed += windowed;
    if (results.length === 0) return;
    model.rows.set(model.nextRow, points);
    model.nextRow += 1;
    model.closedUntil = closedUntilMs;
    model.unsaved = [];
  }

  toString(): string {
    return `commit(${this.#samples} samples, ${this.#points} points, trim ${this.#trim})`;
  }
}

class Settle implements Command {
  readonly #sink: Sink;
  readonly #which: number;
  readonly #refused: number;

  constructor(sink: Sink, which: number, refused: number) {
    this.#sink = sink;
    this.#which = which;
    this.#refused = refused;
  }

  check(model: Model): boolean {
    return model.pending(this.#sink).length > 0;
  }

  run(model: Model, { store }: Real): void {
    const pending = model.pending(this.#sink);
    const id = pending[this.#which % pending.length]!;
    const points = model.rows.get(id)!;
    const refused = points.slice(0, Math.min(this.#refused, points.length));
    const delivered = points.length - refused.length;
    const deadLettered = refused.map((p) => ({ point: p, reason: 'refused' }));
    store.settleOutbox(this.#sink, id, { delivered, deadLettered });
    model.taken[this.#sink].set(id, { delivered, deadLettered: refused.length });
    model.unsaved.push([this.#sink, id]);
    model.letters += refused.length;
  }

  toString(): string {
    return `settle(${this.#sink}, ${this.#which}, ${this.#refused} refused)`;
  }
}

class ReadLive implements Command {
  readonly #sink: Sink;
  readonly #points: number;

  constructor(sink: Sink, points: number) {
    this.#sink = sink;
    this.#points = points;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, { store }: Real): void {
    const newestFirst = model.pending(this.#sink).reverse();
    const expected: number[] = [];
    let sum = 0;
    for (const id of newestFirst) {
      const count = model.rows.get(id)!.length;
      if (expected.length > 0 && sum + count > this.#points) break;
      expected.push(id);
      sum += count;
      if (sum >= this.#points) break;
    }
    expect(store.readOutbox(this.#sink, this.#points, 'live').map(({ id }) => id)).toStrictEqual(expected);
  }

  toString(): string {
    return `readLive(${this.#sink}, ${this.#points})`;
  }
}

class Wait implements Command {
  check(): boolean {
    return true;
  }

  run(model: Model, real: Real): void {
    real.nowMs += 5_000;
    real.store.idleStep();
    model.unsaved = [];
  }

  toString(): string {
    return 'wait';
  }
}

class Reopen implements Command {
  check(): boolean {
    return true;
  }

  run(model: Model, real: Real): void {
    real.store.close();
    real.store = real.open(real.dataDir);
    model.unsaved = [];
    expectEqual(model, real.store);
    expect(real.store.deadLetters({ limit: 10_000 })).toHaveLength(model.letters);
    if (model.closedUntil > 0) expect(real.store.closedUntil().get('pump-1')).toBe(model.closedUntil);
  }

  toString(): string {
    return 'reopen';
  }
}

class Crash implements Command {
  check(): boolean {
    return true;
  }

  run(model: Model, real: Real): void {
    const store = real.crashed();
    // What the crash undid is pending again.
    const undone = model.unsaved.map(([sink, id]) => [sink, id, model.taken[sink].get(id)!] as const);
    for (const [sink, id] of undone) model.taken[sink].delete(id);
    try {
      expectEqual(model, store);
      expect(store.recovery).toMatchObject({
        quarantined: null,
        lostRows: 0,
        lostBatches: 0,
        pendingDifference: {},
      });
    } finally {
      for (const [sink, id, taken] of undone) model.taken[sink].set(id, taken);
      store.close();
    }
  }

  toString(): string {
    return 'crash';
  }
}

const sink = fc.constantFrom(...SINKS);
const commands = [
  fc.tuple(fc.nat(4), fc.nat(3), fc.nat(4)).map(([a, b, c]) => new Commit(a, b, c)),
  fc.tuple(sink, fc.nat(20), fc.nat(1)).map(([a, b, c]) => new Settle(a, b, c)),
  fc.tuple(sink, fc.integer({ min: 1, max: 8 })).map(([a, b]) => new ReadLive(a, b)),
  fc.constant(new Wait()),
  fc.constant(new Reopen()),
  fc.constant(new Crash()),
];

describe('any sequence of commits, reads, settles, restarts and crashes', () => {
  it('leaves the store with what the model holds', { timeout: 120_000 }, () => {
    mkdirSync(root, { recursive: true });
    fc.assert(
      fc.property(fc.commands(commands, { size: 'large', maxCommands: 40 }), (sequence) => {
        const real = new Real();
        try {
          const model = new Model();
          fc.modelRun(() => ({ model, real }), sequence);
          expectEqual(model, real.store);
        } finally {
          real.store.close();
        }
      }),
      { numRuns: 60 },
    );
  });
});
