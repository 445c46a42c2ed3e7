/** Rows that are not what was written in, a bounded table of them for a person out. */

import type { Connection } from './database.ts';

const MAX_ROWS = 1000;
const MAX_BODY_BYTES = 65_536;

/** The `quarantine` table. Writes run inside the caller's transaction. */
export class DamagedRows {
  readonly #insert;
  readonly #trim;
  readonly #now: () => number;

  constructor(db: Connection, now: () => number) {
    this.#now = now;
    this.#insert = db.prepare('INSERT INTO quarantine (origin, origin_key, at_ms, body) VALUES (?, ?, ?, ?)');
    this.#trim = db.prepare('DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?');
  }

  /**
   * @param origin table the row stood in
   * @param columns what stood in it; a flipped bit may have made a number or text of a blob
   */
  keep(origin: string, key: string | number, ...columns: readonly unknown[]): void {
    const bytes = columns.map((column) =>
      column instanceof Uint8Array ? column : Buffer.from(String(column)),
    );
    this.#insert.run(origin, String(key), this.#now(), Buffer.concat(bytes).subarray(0, MAX_BODY_BYTES));
    this.#trim.run(MAX_ROWS);
  }
}
