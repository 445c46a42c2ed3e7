/**
 * Encoded points in, batches for each sink out, oldest or newest first, until every sink has taken them or their turn
 * to make room has come.
 *
 * Accounts are kept in the `LedgerState` that is passed in: a draft inside a commit, the truth when settling.
 */

import type { Point, PointClass } from '../domain/point.ts';
import type { Connection } from './database.ts';
import { isTaken, raiseFloor, take } from './id-ranges.ts';
import { bookGivenUp, bookHeld, type LedgerState, type SinkState } from './ledger-book.ts';
import {
  decodeBody,
  decodeHead,
  type EncodedRow,
  encodeHead,
  encodeRow,
  type OutboxHead,
  rowBytes,
} from './outbox-codec.ts';
import { forget, type OutboxRow, OutboxView, remember } from './outbox-view.ts';

/** Up to this many rows are counted again in passing. */
export const outboxRowsPerRecount = 10_000;

/** A batch and what its head says. */
export interface HeldBatch {
  readonly id: number;
  readonly head: OutboxHead;
}

/** ms a row has waited; NaN where nobody knows. */
export type AgeOf = (id: number, createdMs: number) => number;

/** The `outbox` table. Every write runs inside the caller's transaction. */
export class Outbox extends OutboxView {
  readonly #insert;
  readonly #delete;
  readonly #row;
  readonly #firstAfter;
  readonly #replace;
  /** Taken by every sink, still on disk until the next transaction. */
  #settled: { readonly id: number; readonly pointClass: PointClass }[] = [];

  /** Batches read and not settled: as many as the forwarders have on their way. */
  readonly #inHand = new Set<number>();

  constructor(db: Connection) {
    super(db);
    this.#insert = db.prepare('INSERT OR IGNORE INTO outbox (id, head, body) VALUES (?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM outbox WHERE id = ? RETURNING length(body) AS bodyBytes');
    this.#row = db.prepare('SELECT id, head, body FROM outbox WHERE id = ?');
    this.#firstAfter = db.prepare('SELECT id FROM outbox WHERE id > ? ORDER BY id LIMIT 1').pluck();
    this.#replace = db.prepare('UPDATE outbox SET head = ?, body = ? WHERE id = ?');
  }

  /** Adds one row per class and puts its points to every sink's account. */
  append(state: LedgerState, rows: readonly EncodedRow[], nowMs: number): void {
    for (const row of rows) {
      const id = state.nextOutboxId;
      state.nextOutboxId += 1;
      const head = encodeHead(id, row, nowMs);
      this.#insert.run(id, head, row.body);
      const about = decodeHead(id, head)!;
      bookHeld(state, row.pointClass, rowBytes(about));
      for (const sink of state.sinks) {
        sink.produced += row.points;
        remember(sink, about);
      }
    }
  }

  /** Puts a row back under the id it had. @returns false where the id is in use */
  restore(state: LedgerState, row: OutboxRow): boolean {
    if (this.#insert.run(row.id, row.head, row.body).changes === 0) return false;
    const head = decodeHead(row.id, row.head);
    if (head !== null) bookHeld(state, head.pointClass, rowBytes(head));
    return true;
  }

  /**
   * Moves the sink's cursor over one batch and books its points.
   *
   * @returns false where there was nothing to settle: evicted meanwhile, or settled before
   */
  settle(state: LedgerState, sink: SinkState, id: number, deadLettered: number): boolean {
    this.#inHand.delete(id);
    if (isTaken(sink.cursor, id)) return false;
    const row = this.#row.get(id) as OutboxRow | undefined;
    const head = row === undefined ? null : decodeHead(id, row.head);
    if (head === null) return false;
    sink.cursor = take(sink.cursor, id);
    const refused = Math.min(deadLettered, head.points);
    sink.delivered += head.points - refused;
    sink.deadLettered += refused;
    forget(sink, head);
    if (state.sinks.every((other) => isTaken(other.cursor, id)))
      this.#settled.push({ id, pointClass: head.pointClass });
    return true;
  }

  /** Deletes what every sink has taken and, unless old ids may still appear, closes gaps that no row will ever fill. */
  deleteSettled(state: LedgerState, idsMayAppear: boolean): void {
    for (const { id, pointClass } of this.#settled) {
      // Not there: given up meanwhile.
      const row = this.#delete.get(id) as { bodyBytes: number } | undefined;
      if (row !== undefined) bookHeld(state, pointClass, -rowBytes(row));
    }
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

  /** True if a row is older than `maxAgeMs`. */
  hasOlder(maxAgeMs: number, ageOf: AgeOf): boolean {
    for (const _row of this.#aged(maxAgeMs, ageOf)) return true;
    return false;
  }

  /** Gives up older rows, oldest first, at most `maxRows`. */
  evictOlder(state: LedgerState, maxAgeMs: number, ageOf: AgeOf, maxRows: number): void {
    let rows = 0;
    for (const { id, head } of this.#aged(maxAgeMs, ageOf)) {
      this.evict(state, id, head);
      rows += 1;
      if (rows >= maxRows) return;
    }
  }

  *#aged(maxAgeMs: number, ageOf: AgeOf): Generator<{ id: number; head: OutboxHead }> {
    // Rows stand in the order of their commit, so the first younger one ends the search.
    for (const row of this.heads(Number.MIN_SAFE_INTEGER)) {
      const head = decodeHead(row.id, row.head);
      if (head === null) continue;
      const ageMs = ageOf(row.id, head.createdMs);
      if (Number.isNaN(ageMs)) continue;
      if (ageMs <= maxAgeMs) return;
      yield { id: row.id, head };
    }
  }

  /** Gives up a whole batch. */
  evict(state: LedgerState, id: number, head: OutboxHead): void {
    this.#delete.run(id);
    bookHeld(state, head.pointClass, -rowBytes(head));
    for (const sink of state.sinks) {
      if (isTaken(sink.cursor, id)) continue;
      bookGivenUp(sink, 'evicted', head);
      forget(sink, head);
    }
  }

  /** Points of a batch; null where it is gone or damaged. */
  points(id: number, head: OutboxHead): Point[] | null {
    const row = this.#row.get(id) as OutboxRow | undefined;
    return row === undefined ? null : decodeBody(id, head, row.body);
  }

  /**
   * Leaves only some points of some batches, each as it was, in one batch under the first one's id. Several batches
   * only where no sink holds one of them in hand and all sinks have taken all of them or none (`mayJoin`).
   *
   * @returns bytes freed, about
   */
  thin(state: LedgerState, batches: readonly HeldBatch[], kept: readonly Point[]): number {
    const [{ id, head }] = batches as [HeldBatch];
    const before = batches.reduce((sum, batch) => sum + rowBytes(batch.head), 0);
    for (const batch of batches.slice(kept.length === 0 ? 0 : 1)) this.#delete.run(batch.id);
    const after = kept.length === 0 ? null : this.#rewrite(id, head, kept);
    const freed = before - (after === null ? 0 : rowBytes(after));
    bookHeld(state, head.pointClass, -freed);
    const dropped = {
      pointClass: head.pointClass,
      points: batches.reduce((sum, batch) => sum + batch.head.points, -kept.length),
      minTimeMs: Math.min(...batches.map((batch) => batch.head.minTimeMs)),
      maxTimeMs: Math.max(...batches.map((batch) => batch.head.maxTimeMs)),
    };
    for (const sink of state.sinks) {
      if (isTaken(sink.cursor, id)) continue;
      bookGivenUp(sink, 'degraded', dropped);
      for (const batch of batches) forget(sink, batch.head);
      if (after !== null) remember(sink, after);
    }
    return freed;
  }

  #rewrite(id: number, head: OutboxHead, kept: readonly Point[]): OutboxHead {
    const row = encodeRow(head.pointClass, kept);
    const bytes = encodeHead(id, row, head.createdMs, head.halvings + 1);
    this.#replace.run(bytes, row.body, id);
    return decodeHead(id, bytes)!;
  }

  /** A sink got the batch and has not settled it: what it will settle is the batch as it is now. */
  handedOut(id: number): void {
    this.#inHand.add(id);
  }

  /** True if nobody would notice that two batches became one. */
  mayJoin(state: LedgerState, id: number, other: number): boolean {
    if (this.#inHand.has(id) || this.#inHand.has(other)) return false;
    return state.sinks.every(({ cursor }) => isTaken(cursor, id) === isTaken(cursor, other));
  }

  /** Takes a damaged row out and books its points, where the head still tells how many. */
  quarantine(state: LedgerState, id: number): OutboxRow | undefined {
    const row = this.#row.get(id) as OutboxRow | undefined;
    if (row === undefined) return undefined;
    const head = decodeHead(id, row.head);
    this.#delete.run(id);
    if (head !== null) bookHeld(state, head.pointClass, -rowBytes(head));
    for (const sink of state.sinks) {
      const before = sink.pendingPoints;
      // Without a head nobody knows how many points it held: what is left tells.
      if (head === null) this.count([sink]);
      else if (!isTaken(sink.cursor, id)) forget(sink, head);
      sink.quarantined += before - sink.pendingPoints;
    }
    return row;
  }
}
