/**
 * Encoded points in, batches for each sink out, oldest or newest first, until every sink has taken them or their turn
 * to make room has come.
 *
 * Accounts are kept in the `LedgerState` that is passed in: a draft inside a commit, the truth when settling.
 */

import { POINT_CLASSES } from '../domain/point.ts';
import type { Connection } from './database.ts';
import { isTaken, raiseFloor, take } from './id-ranges.ts';
import type { LedgerState, SinkState } from './ledger-book.ts';
import {
  decodeHead,
  type EncodedRow,
  encodeHead,
  OUTBOX_ROW_OVERHEAD,
  type OutboxHead,
} from './outbox-codec.ts';
import { forget, type OutboxRow, OutboxView, remember } from './outbox-view.ts';

/** Up to this many rows are counted again in passing. */
export const outboxRowsPerRecount = 10_000;

/** The `outbox` table. Every write runs inside the caller's transaction. */
export class Outbox extends OutboxView {
  readonly #insert;
  readonly #delete;
  readonly #row;
  readonly #firstAfter;
  readonly #size;
  /** Taken by every sink, still on disk until the next transaction. */
  #settled: number[] = [];
  /** No row of this class has a smaller id; index as in POINT_CLASSES. */
  #oldest = POINT_CLASSES.map(() => Number.MIN_SAFE_INTEGER);

  constructor(db: Connection) {
    super(db);
    this.#insert = db.prepare('INSERT OR IGNORE INTO outbox (id, head, body) VALUES (?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM outbox WHERE id = ?');
    this.#row = db.prepare('SELECT id, head, body FROM outbox WHERE id = ?');
    this.#firstAfter = db.prepare('SELECT id FROM outbox WHERE id > ? ORDER BY id LIMIT 1').pluck();
    this.#size = db.prepare('SELECT coalesce(sum(length(body)), 0) FROM outbox').pluck();
  }

  /** Adds one row per class and puts its points to every sink's account. */
  append(state: LedgerState, rows: readonly EncodedRow[], nowMs: number): void {
    for (const row of rows) {
      const id = state.nextOutboxId;
      state.nextOutboxId += 1;
      const head = encodeHead(id, row, nowMs);
      this.#insert.run(id, head, row.body);
      for (const sink of state.sinks) {
        sink.produced += row.points;
        remember(sink, decodeHead(id, head)!);
      }
    }
  }

  /** Puts a row back under the id it had. @returns false where the id is in use */
  restore(row: OutboxRow): boolean {
    this.#oldest = this.#oldest.map((id) => Math.min(id, row.id));
    return this.#insert.run(row.id, row.head, row.body).changes === 1;
  }

  /**
   * Moves the sink's cursor over one batch and books its points.
   *
   * @returns false where there was nothing to settle: evicted meanwhile, or settled before
   */
  settle(state: LedgerState, sink: SinkState, id: number, deadLettered: number): boolean {
    if (isTaken(sink.cursor, id)) return false;
    const row = this.#row.get(id) as OutboxRow | undefined;
    const head = row === undefined ? null : decodeHead(id, row.head);
    if (head === null) return false;
    sink.cursor = take(sink.cursor, id);
    const refused = Math.min(deadLettered, head.points);
    sink.delivered += head.points - refused;
    sink.deadLettered += refused;
    forget(sink, head);
    if (state.sinks.every((other) => isTaken(other.cursor, id))) this.#settled.push(id);
    return true;
  }

  /** Deletes what every sink has taken and, unless old ids may still appear, closes gaps that no row will ever fill. */
  deleteSettled(state: LedgerState, idsMayAppear: boolean): void {
    for (const id of this.#settled) this.#delete.run(id);
    if (idsMayAppear) return;
    for (const sink of state.sinks) this.#closeGaps(sink, state.nextOutboxId);
  }

  #closeGaps(sink: SinkState, nextId: number): void {
    for (;;) {
      const next = this.#firstAfter.get(sink.cursor.floor) as number | undefined;
      const raised = raiseFloor(sink.cursor, (next ?? nextId) - 1);
      const isStuck = raised.floor === sink.cursor.floor;
      sink.cursor = raised;
      if (isStuck || next === undefined) return;
    }
  }

  /** The transaction with the deletions is flushed. */
  committed(): void {
    this.#settled = [];
  }

  /** The transaction was rolled back: what was learned inside it is void. */
  rolledBack(): void {
    this.#oldest = this.#oldest.map(() => Number.MIN_SAFE_INTEGER);
  }

  /**
   * Gives up the oldest rows, class by class in the order of POINT_CLASSES, until about `bytes` are free.
   * Alarms stay while they take less than `alarmReserveBytes`.
   *
   * @returns bytes freed, about
   */
  evictBytes(state: LedgerState, bytes: number, alarmReserveBytes: number): number {
    let freed = 0;
    for (const [rank, pointClass] of POINT_CLASSES.entries()) {
      if (freed >= bytes) break;
      // Reached only when nothing but alarms is left.
      let spare = pointClass === 'alarm' ? this.bodyBytes() - alarmReserveBytes : Infinity;
      for (const row of this.allHeads(this.#oldest[rank]!)) {
        const head = decodeHead(row.id, row.head);
        if (head?.pointClass !== pointClass) continue;
        if (freed >= bytes || spare <= 0) break;
        this.#oldest[rank] = row.id;
        this.#evict(state, row.id, head);
        freed += row.bodyBytes + OUTBOX_ROW_OVERHEAD;
        spare -= row.bodyBytes;
      }
    }
    return freed;
  }

  /** True if a row was created before `cutoffMs`. */
  hasOlderThan(cutoffMs: number, implausibleBeforeMs: number): boolean {
    for (const _row of this.#aged(cutoffMs, implausibleBeforeMs)) return true;
    return false;
  }

  /** Gives up rows created before `cutoffMs`, oldest first, at most `maxRows`. */
  evictOlderThan(state: LedgerState, cutoffMs: number, implausibleBeforeMs: number, maxRows: number): void {
    let rows = 0;
    for (const { id, head } of this.#aged(cutoffMs, implausibleBeforeMs)) {
      this.#evict(state, id, head);
      rows += 1;
      if (rows >= maxRows) return;
    }
  }

  *#aged(cutoffMs: number, implausibleBeforeMs: number): Generator<{ id: number; head: OutboxHead }> {
    // Rows stand in the order of their commit, so the first younger one ends the search.
    for (const row of this.heads(Number.MIN_SAFE_INTEGER)) {
      const head = decodeHead(row.id, row.head);
      // A row stamped before the clock was set has no known age.
      if (head === null || head.createdMs < implausibleBeforeMs) continue;
      if (head.createdMs >= cutoffMs) return;
      yield { id: row.id, head };
    }
  }

  #evict(state: LedgerState, id: number, head: OutboxHead): void {
    this.#delete.run(id);
    for (const sink of state.sinks) {
      if (isTaken(sink.cursor, id)) continue;
      sink.evicted += head.points;
      forget(sink, head);
    }
  }

  /** Takes a damaged row out and books its points, where the head still tells how many. */
  quarantine(state: LedgerState, id: number): OutboxRow | undefined {
    const row = this.#row.get(id) as OutboxRow | undefined;
    if (row === undefined) return undefined;
    const head = decodeHead(id, row.head);
    this.#delete.run(id);
    for (const sink of state.sinks) {
      const before = sink.pendingPoints;
      // Without a head nobody knows how many points it held: what is left tells.
      if (head === null) this.count([sink]);
      else if (!isTaken(sink.cursor, id)) forget(sink, head);
      sink.quarantined += before - sink.pendingPoints;
    }
    return row;
  }

  /** Bytes of all bodies. Cost: one pass over the leaves. */
  bodyBytes(): number {
    return this.#size.get() as number;
  }
}
