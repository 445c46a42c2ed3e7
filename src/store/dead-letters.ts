/** Messages and points nobody could use in, the same ones out for people who want to know why, oldest gone first. */

import type { DeadLetter, DeadLetterReason } from '../domain/dead-letter.ts';
import { type Connection, nextInOrder } from './database.ts';
import { sealBytes, sealJson, unsealBytes, unsealJson } from './seal.ts';

export interface StoredDeadLetter extends DeadLetter {
  readonly id: number;
}

export interface DeadLetterFilter {
  /** Only letters with a larger id: pass the last one seen to page on. */
  readonly afterId?: number;
  /** At most this many, default 100. */
  readonly limit?: number;
  readonly reason?: DeadLetterReason;
  /** MQTT topic or `sink:<name>`, exactly. */
  readonly source?: string;
}

/** Bytes of a row beside payload and texts. */
const ROW_OVERHEAD = 64;

interface Row {
  readonly id: number;
  readonly head: Buffer;
  readonly body: Buffer;
}

/** What one letter takes on disk, about. */
export function deadLetterBytes(letter: DeadLetter): number {
  return ROW_OVERHEAD + letter.payload.length + letter.detail.length + letter.source.length;
}

/** Reads a row, or null where it is not what was written. */
export function decodeDeadLetterRow({ id, head, body }: Row): StoredDeadLetter | null {
  const about = unsealJson(`dead_letter/${id}`, head) as Omit<DeadLetter, 'payload'> | null;
  const payload = unsealBytes(`dead_letter_payload/${id}`, body);
  if (about === null || payload === null) return null;
  return { id, ...about, payload: new Uint8Array(payload) };
}

/** Letters in id order that pass the filter; damaged rows go to `onBad` instead. One short read per page of rows. */
export function listDeadLetters(
  db: Connection,
  filter: DeadLetterFilter,
  onBad: (id: number) => void,
): StoredDeadLetter[] {
  const page = db.prepare('SELECT id, head, body FROM dead_letter WHERE id > ? ORDER BY id LIMIT 64');
  const limit = filter.limit ?? 100;
  const found: StoredDeadLetter[] = [];
  let after = filter.afterId ?? 0;
  for (;;) {
    const rows = page.all(after) as Row[];
    for (const row of rows) {
      const letter = decodeDeadLetterRow(row);
      if (letter === null) {
        onBad(row.id);
        continue;
      }
      if (filter.reason !== undefined && letter.reason !== filter.reason) continue;
      if (filter.source !== undefined && letter.source !== filter.source) continue;
      if (found.length >= limit) return found;
      found.push(letter);
    }
    if (rows.length < 64 || found.length >= limit) return found;
    const last = rows.at(-1)!.id;
    after = nextInOrder(last, last > after);
  }
}

/** The `dead_letter` table. Writes run inside the caller's transaction. */
export class DeadLetterTable {
  readonly #insert;
  readonly #oldest;
  readonly #remove;
  readonly #one;
  readonly #db: Connection;
  /** Bytes held, about; counted at open. */
  bytes = 0;
  count = 0;

  constructor(db: Connection) {
    this.#db = db;
    this.#insert = db.prepare('INSERT OR IGNORE INTO dead_letter (id, head, body) VALUES (?, ?, ?)');
    this.#oldest = db.prepare(
      'SELECT id, length(head) + length(body) AS bytes FROM dead_letter ORDER BY id LIMIT 64',
    );
    this.#remove = db.prepare('DELETE FROM dead_letter WHERE id = ?');
    this.#one = db.prepare('SELECT id, head, body FROM dead_letter WHERE id = ?');
    this.recount();
  }

  recount(): void {
    const row = this.#db
      .prepare(
        'SELECT count(*) AS count, coalesce(sum(length(head) + length(body)), 0) AS bytes FROM dead_letter',
      )
      .get() as { count: number; bytes: number };
    this.count = row.count;
    this.bytes = row.bytes;
  }

  /** @returns false where the id is in use */
  insert(id: number, letter: DeadLetter): boolean {
    const { payload, reason, detail, source, receivedMs, originalBytes } = letter;
    const about = { reason, detail, source, receivedMs, originalBytes };
    const head = sealJson(`dead_letter/${id}`, about);
    const body = sealBytes(`dead_letter_payload/${id}`, payload);
    if (this.#insert.run(id, head, body).changes === 0) return false;
    this.count += 1;
    this.bytes += head.length + body.length;
    return true;
  }

  read(id: number): StoredDeadLetter | null {
    const row = this.#one.get(id) as Row | undefined;
    return row === undefined ? null : decodeDeadLetterRow(row);
  }

  remove(id: number): boolean {
    return this.takeOut(id) !== undefined;
  }

  /** Removes a row, whatever it holds, and returns it. */
  takeOut(id: number): { readonly head: unknown; readonly body: unknown } | undefined {
    const row = this.#one.get(id) as Row | undefined;
    if (row === undefined) return undefined;
    this.#remove.run(id);
    this.count -= 1;
    // A damaged row need not hold blobs any more.
    this.bytes -= (row.head?.length ?? 0) + (row.body?.length ?? 0);
    return row;
  }

  /** Drops the oldest until at most `maxBytes` are held; returns how many went. */
  trimTo(maxBytes: number): number {
    let dropped = 0;
    while (this.bytes > maxBytes) {
      const rows = this.#oldest.all() as { id: number; bytes: number }[];
      if (rows.length === 0) return dropped;
      for (const row of rows) {
        if (this.bytes <= maxBytes) break;
        this.#remove.run(row.id);
        this.count -= 1;
        this.bytes -= row.bytes;
        dropped += 1;
      }
    }
    return dropped;
  }
}
