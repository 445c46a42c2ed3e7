/**
 * Small values that nothing else can rebuild in, the same values out even after one of their two copies was damaged.
 *
 * Both copies stand in the same row, so keeping them twice costs no further page. Each carries its own key: a row
 * whose key column was damaged is recognised and put back under its name.
 */

import type { Connection } from './database.ts';
import { sealJson, unsealJson } from './seal.ts';

/** Tables of this shape and the name of their key column. */
const KEY_COLUMNS = {
  meta: 'name',
  ledger: 'name',
  channel: 'id',
  closed_until: 'machine',
  history_machine: 'id',
} as const;

export type TwinTableName = keyof typeof KEY_COLUMNS;
export type TwinKey = string | number;

export interface TwinRead {
  readonly values: Map<TwinKey, unknown>;
  /** Key columns as they stand in the file of rows that need rewriting; their value, where known, is in `values`. */
  readonly damaged: readonly TwinKey[];
  /** How many of those are damaged in both copies: their value is lost. */
  readonly lost: number;
}

interface Row {
  readonly key: TwinKey;
  readonly seal: unknown;
  readonly twin: unknown;
}

/** One table of twin rows. Writes run inside the caller's transaction. */
export class TwinTable {
  readonly #name: TwinTableName;
  readonly #upsert;
  readonly #delete;
  readonly #db: Connection;

  constructor(db: Connection, name: TwinTableName) {
    this.#db = db;
    this.#name = name;
    const key = KEY_COLUMNS[name];
    this.#upsert = db.prepare(`INSERT OR REPLACE INTO ${name} (${key}, seal, twin) VALUES (?, ?, ?)`);
    this.#delete = db.prepare(`DELETE FROM ${name} WHERE ${key} IS ?`);
  }

  write(key: TwinKey, value: unknown): void {
    const seal = sealJson(this.#name, [key, value]);
    this.#upsert.run(key, seal, seal);
  }

  remove(key: TwinKey): void {
    this.#delete.run(key);
  }

  /** Everything that can be believed, with damaged rows made whole or removed. */
  loadAndRepair(): TwinRead {
    const read = readTwins(this.#db, this.#name);
    if (read.damaged.length > 0) {
      this.#db.transaction(() => {
        for (const key of read.damaged) this.remove(key);
        for (const [key, value] of read.values) this.write(key, value);
      })();
    }
    return read;
  }
}

/** Reads a table of twin rows of any connection, also of a damaged file. @throws SqliteError where pages are damaged */
export function readTwins(db: Connection, name: TwinTableName): TwinRead {
  const rows = db.prepare(`SELECT ${KEY_COLUMNS[name]} AS key, seal, twin FROM ${name}`).all() as Row[];
  return sortTwins(name, rows);
}

function sortTwins(name: TwinTableName, rows: readonly Row[]): TwinRead {
  const values = new Map<TwinKey, unknown>();
  const damaged: TwinKey[] = [];
  let lost = 0;
  for (const { key, seal, twin } of rows) {
    const copies = [unsealJson(name, seal), unsealJson(name, twin)] as ([TwinKey, unknown] | null)[];
    const sound = copies[0] ?? copies[1];
    if (copies.includes(null) || sound?.[0] !== key) damaged.push(key);
    if (sound) values.set(sound[0], sound[1]);
    else lost += 1;
  }
  return { values, damaged, lost };
}
