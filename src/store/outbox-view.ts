/** An outbox table in, batches and counts out: the half that never writes, also for a look from another process. */

import type { OutboxBatch } from '../domain/outbox.ts';
import { type Connection, nextInOrder } from './database.ts';
import { type Cursor, isTaken } from './id-ranges.ts';
import type { SinkState } from './ledger-book.ts';
import { decodeBody, decodeHead, type OutboxHead, rowBytes, UNKNOWN_TIME_MS } from './outbox-codec.ts';

/** Beyond this many gaps in a cursor the live lane waits for the backlog lane, so that a cursor stays small. */
const MAX_TAKEN_RANGES = 256;
const HEADS_PER_READ = 256;

export interface OutboxRow {
  readonly id: number;
  readonly head: Buffer;
  readonly body: Buffer;
}

export interface OutboxRead {
  readonly batches: OutboxBatch[];
  /** Rows met on the way that are not what was written. */
  readonly bad: number[];
}

export interface HeadRow {
  readonly id: number;
  readonly head: Buffer;
  readonly bodyBytes: number;
}

interface Reader {
  readonly cursor: Cursor;
}

/** Reading the `outbox` table. */
export class OutboxView {
  readonly #next;
  readonly #previous;
  readonly #heads;
  readonly #first;
  readonly #last;

  constructor(db: Connection) {
    // All of these walk the rowid; none stays open across calls.
    this.#next = db.prepare('SELECT id, head, body FROM outbox WHERE id > ? ORDER BY id LIMIT 1');
    this.#previous = db.prepare(
      'SELECT id, head, body FROM outbox WHERE id < ? AND id > ? ORDER BY id DESC LIMIT 1',
    );
    // length() of a blob comes from the row's head: the body's pages are not read.
    this.#heads = db.prepare(
      `SELECT id, head, length(body) AS bodyBytes FROM outbox WHERE id >= ? ORDER BY id LIMIT ${HEADS_PER_READ}`,
    );
    // Two looks at the ends of the tree; both in one statement would walk all of it.
    this.#first = db.prepare('SELECT coalesce(min(id), 1) FROM outbox').pluck();
    this.#last = db.prepare('SELECT coalesce(max(id), 0) FROM outbox').pluck();
  }

  /**
   * Batches the reader has not taken, up to `maxPoints` but at least one, none with an id up to `afterId`. Damaged rows
   * are reported, not returned.
   */
  read(reader: Reader, maxPoints: number, lane: 'live' | 'backlog', afterId = 0): OutboxRead {
    const batches: OutboxBatch[] = [];
    const bad: number[] = [];
    if (lane === 'live' && reader.cursor.taken.length >= MAX_TAKEN_RANGES) return { batches, bad };
    let points = 0;
    for (const row of this.#walk(reader, lane, afterId)) {
      const head = decodeHead(row.id, row.head);
      if (head !== null && batches.length > 0 && points + head.points > maxPoints) break;
      const decoded = head === null ? null : decodeBody(row.id, head, row.body);
      if (decoded === null) {
        bad.push(row.id);
        continue;
      }
      batches.push({ id: row.id, points: decoded });
      points += decoded.length;
      if (points >= maxPoints) break;
    }
    return { batches, bad };
  }

  *#walk({ cursor }: Reader, lane: 'live' | 'backlog', afterId: number): Generator<OutboxRow> {
    const { taken } = cursor;
    const floor = Math.max(cursor.floor, afterId);
    let at = lane === 'backlog' ? floor : Number.MAX_SAFE_INTEGER;
    for (;;) {
      const row = (lane === 'backlog' ? this.#next.get(at) : this.#previous.get(at, floor)) as
        | OutboxRow
        | undefined;
      if (row === undefined) return;
      const range = taken.find(([from, to]) => row.id >= from && row.id <= to);
      if (range === undefined) {
        at = nextInOrder(row.id, lane === 'backlog' ? row.id > at : row.id < at);
        yield row;
      } else {
        at = lane === 'backlog' ? range[1] : range[0];
      }
    }
  }

  /** Heads from `fromId` on, ascending; fewer than a full page only at the end. */
  heads(fromId: number): HeadRow[] {
    return this.#heads.all(fromId) as HeadRow[];
  }

  /** Every head with an id of at least `fromId`, ascending, read page by page. */
  *allHeads(fromId: number): Generator<HeadRow> {
    let from = fromId;
    for (;;) {
      const rows = this.heads(from);
      yield* rows;
      if (rows.length < HEADS_PER_READ) return;
      const last = rows.at(-1)!.id;
      from = nextInOrder(last, last >= from) + 1;
    }
  }

  /**
   * Counts what each sink has not taken, from the rows.
   *
   * @param onRow sees every row whose head is sound
   * @returns ids whose head is damaged
   */
  count(sinks: readonly SinkState[], onRow: (head: OutboxHead) => void = () => {}): number[] {
    for (const sink of sinks) [sink.pendingPoints, sink.pendingBytes] = [0, 0];
    const badHeads: number[] = [];
    for (const row of this.allHeads(Number.MIN_SAFE_INTEGER)) {
      const head = decodeHead(row.id, row.head);
      if (head === null) {
        badHeads.push(row.id);
        continue;
      }
      onRow(head);
      for (const sink of sinks) if (!isTaken(sink.cursor, row.id)) remember(sink, head);
    }
    return badHeads;
  }

  /** Commit time of the oldest batch the reader has not taken, ms; null where there is none or it is not known. */
  oldestMs(reader: Reader): number | null {
    for (const row of this.#walk(reader, 'backlog', 0)) {
      const head = decodeHead(row.id, row.head);
      if (head !== null) return head.createdMs === UNKNOWN_TIME_MS ? null : head.createdMs;
    }
    return null;
  }

  /** How far apart the first and the last id are: no fewer than the rows. */
  idSpan(): number {
    const { first, last } = this.idRange();
    return last - first + 1;
  }

  /** The first and the last id; `last < first` where there is none. */
  idRange(): { readonly first: number; readonly last: number } {
    return { first: this.#first.get() as number, last: this.#last.get() as number };
  }
}

/** Adds a row to what the sink has before it. */
export function remember(sink: SinkState, head: OutboxHead): void {
  sink.pendingPoints += head.points;
  sink.pendingBytes += rowBytes(head);
}

/** Takes a row out of what the sink has before it. */
export function forget(sink: SinkState, head: OutboxHead): void {
  sink.pendingPoints -= head.points;
  sink.pendingBytes -= rowBytes(head);
}
