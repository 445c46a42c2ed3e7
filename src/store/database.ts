/**
 * A path in, an SQLite connection out whose commits survive a power cut, and every SQLite error under a name of ours.
 * With `salvage.ts` the only files that know better-sqlite3's constructor.
 */

import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { describeError, GatewayError } from '../errors.ts';
import { APPLICATION_ID, CURRENT_SCHEMA, PAGE_BYTES, type Schema, schemaOf, TABLES } from './schema.ts';
import { readTwins, TwinTable } from './twin-table.ts';

export type Connection = Database.Database;
export type Statement = Database.Statement<unknown[], unknown>;

/** What a failed SQLite call means for the store. */
export type Fault =
  /** No room: on the disk or within `maxBytes`. */
  | 'full'
  /** The medium refuses writes. */
  | 'read_only'
  /** A flush failed: what is on the disk is unknown, and asking again would lie. */
  | 'fsync'
  /** Pages do not fit together: not a database any more. */
  | 'corrupt'
  /** Another process holds the file. */
  | 'busy'
  /** Any other I/O error; the transaction was rolled back. */
  | 'io'
  /** Not SQLite's fault. */
  | 'other';

/** SQLite's result code of an error, '' where it is none. */
export function sqliteCode(error: unknown): string {
  return error instanceof Database.SqliteError ? error.code : '';
}

/** Sorts a thrown value by what the store has to do about it. */
export function faultOf(error: unknown): Fault {
  const code = sqliteCode(error);
  if (code === 'SQLITE_IOERR_FSYNC' || code === 'SQLITE_IOERR_DIR_FSYNC') return 'fsync';
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB' || code === 'SQLITE_FORMAT')
    return 'corrupt';
  // A page beyond the end of the file: the file was cut.
  if (code === 'SQLITE_IOERR_SHORT_READ') return 'corrupt';
  if (code === 'SQLITE_FULL') return 'full';
  if (code.startsWith('SQLITE_READONLY')) return 'read_only';
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) return 'busy';
  if (code.startsWith('SQLITE_IOERR') || code === 'SQLITE_CANTOPEN' || code === 'SQLITE_PERM') return 'io';
  return 'other';
}

/**
 * The id a walk goes on from. In a damaged tree the row "after" an id may have a smaller one, and the walk would never end.
 *
 * @throws SqliteError SQLITE_CORRUPT
 */
export function nextInOrder(id: number, isBeyond: boolean): number {
  if (isBeyond) return id;
  throw new Database.SqliteError(`rows are out of order at ${id}`, 'SQLITE_CORRUPT');
}

/** Thrown inside the store where the file is not one of ours any more; never leaves `openStore`. */
export class CorruptDatabase extends Error {}

/** A database, but of another program. */
export class ForeignDatabase extends CorruptDatabase {}

/**
 * Looks at the tables without changing a byte.
 *
 * @throws ForeignDatabase where there are some and none is ours, or where a transaction of a journal mode that is not
 * ours would have to be rolled back first
 */
export function refuseForeign(path: string): void {
  const db = openReader(path);
  try {
    const names = db.prepare('SELECT name FROM sqlite_schema').pluck().all() as string[];
    if (names.length > 0 && !names.some((name) => name in TABLES)) {
      throw new ForeignDatabase('the database belongs to another program');
    }
  } catch (error) {
    if (sqliteCode(error) !== 'SQLITE_READONLY_ROLLBACK') throw error;
    throw new ForeignDatabase('the database was left inside a transaction of another journal mode');
  } finally {
    db.close();
  }
}

/** The file as the one writer. @throws SqliteError */
export function openWriter(path: string): Connection {
  const db = new Database(path, { timeout: 2000 });
  try {
    db.pragma(`page_size = ${PAGE_BYTES}`);
    db.pragma('journal_mode = WAL');
    // After WAL, and explicitly: better-sqlite3 is compiled to fall back to NORMAL at the first write in WAL mode.
    db.pragma('synchronous = FULL');
    db.pragma('cell_size_check = ON');
    db.pragma('trusted_schema = OFF');
    db.pragma('temp_store = MEMORY');
    db.pragma('cache_size = -4096');
    // Checkpoints are ours: the automatic one throws its errors away, failed flushes included.
    db.pragma('wal_autocheckpoint = 0');
    db.pragma('journal_size_limit = 16777216');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** The file for reading beside a running gateway. @throws SqliteError */
export function openReader(path: string): Connection {
  const db = new Database(path, { readonly: true, fileMustExist: true, timeout: 2000 });
  db.pragma('query_only = ON');
  db.pragma('trusted_schema = OFF');
  return db;
}

/**
 * Takes the data directory for this process until the connection is closed or the process ends, however it ends:
 * the lock is the kernel's. It is a file of its own because readers of the database must stay possible.
 *
 * @throws GatewayError MW_STORE_OPEN where another gateway holds it
 */
export function lockDirectory(path: string): Connection {
  let db: Connection | null = null;
  try {
    db = new Database(path, { timeout: 0 });
    db.exec('BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db?.close();
    const inUse = faultOf(error) === 'busy';
    const message = inUse
      ? 'another gateway is using the data directory'
      : `cannot lock the data directory: ${describeError(error)}`;
    const code = inUse ? 'MW_STORE_IN_USE' : 'MW_STORE_OPEN';
    throw new GatewayError(code, message, { cause: error, details: { path } });
  }
}

/**
 * Version of the tables: 0 in an empty file.
 *
 * The sealed copy in `meta` wins over the header's number, where a flipped bit would look like a newer gateway's file.
 */
export function schemaVersion(db: Connection): number {
  const header = db.pragma('user_version', { simple: true }) as number;
  const tables = db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() as number;
  if (tables === 0) return 0;
  const sealed = readTwins(db, 'meta').values.get('schema');
  return typeof sealed === 'number' ? sealed : header;
}

/** Runs the steps from `from` to the schema's version in one transaction. */
export function migrate(db: Connection, from: number, schema: Schema = CURRENT_SCHEMA): void {
  db.transaction(() => {
    for (let version = from + 1; version <= schema.version; version += 1) {
      for (const sql of schema.migrations[version] ?? []) db.exec(sql);
    }
    new TwinTable(db, 'meta').write('schema', schema.version);
    db.pragma(`user_version = ${schema.version}`);
    db.pragma(`application_id = ${APPLICATION_ID}`);
  })();
}

/** Puts header numbers back that a flipped bit changed; the sealed version has been checked. */
export function repairHeader(db: Connection, { version }: Schema = CURRENT_SCHEMA): void {
  new TwinTable(db, 'meta').loadAndRepair();
  if (db.pragma('user_version', { simple: true }) !== version) db.pragma(`user_version = ${version}`);
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID)
    db.pragma(`application_id = ${APPLICATION_ID}`);
}

/** @throws CorruptDatabase unless the tables are exactly ours */
export function checkTables(db: Connection, { tables }: Schema = CURRENT_SCHEMA): void {
  const rows = db.prepare('SELECT name, sql FROM sqlite_schema').all() as { name: string; sql: string }[];
  const found = new Map(rows.map((row) => [row.name, row.sql]));
  for (const [name, sql] of Object.entries(tables)) {
    if (found.get(name) !== sql) throw new CorruptDatabase(`table ${name} is not as it was made`);
  }
  if (found.size !== Object.keys(tables).length)
    throw new CorruptDatabase('the database holds foreign tables');
}

/** Reads every page and how they hang together. Cost: the whole file. @throws CorruptDatabase */
export function checkPages(db: Connection): void {
  const verdict = db.pragma('quick_check(1)', { simple: true });
  if (verdict !== 'ok') throw new CorruptDatabase(String(verdict));
}

/**
 * Makes an empty database at `path`, by default of the current version, whole in that one file. What an interrupted
 * attempt left there goes first.
 *
 * @throws SqliteError
 */
export function createEmpty(path: string, version = CURRENT_SCHEMA.version): void {
  removeDatabase(path);
  const db = openWriter(path);
  try {
    migrate(db, 0, schemaOf(version));
    // Closing would do it, too, but keep its errors to itself.
    db.pragma('wal_checkpoint(TRUNCATE)');
  } finally {
    db.close();
  }
}

/** Removes a database with everything SQLite puts beside it. */
export function removeDatabase(path: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(path + suffix, { force: true });
}
