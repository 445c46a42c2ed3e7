/** A damaged database in quarantine in, every row of it that can be believed out, a few at a time. */

import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ChannelRef } from '../domain/machine.ts';
import { type Connection, checkTables, createEmpty, openReader, removeDatabase } from './database.ts';
import { decodeDeadLetterRow, type StoredDeadLetter } from './dead-letters.ts';
import { decodeBlock } from './history/block-table.ts';
import { decodeLogRow } from './history/log-table.ts';
import { decodeBatch } from './journal.ts';
import { type LedgerRead, ledgerFrom } from './ledger-book.ts';
import { type MachineState, mirroredEnds, unsealState } from './machine-tables.ts';
import { decodeBody, decodeHead } from './outbox-codec.ts';
import type { OutboxRow } from './outbox-view.ts';
import { type ScannedRow, scanPages } from './page-scan.ts';
import { DATABASE_FILE } from './quarantine.ts';
import { PAGE_BYTES, SCHEMA_VERSION, schemaOf } from './schema.ts';
import { unsealJson } from './seal.ts';
import { readTwins, type TwinKey, type TwinTableName } from './twin-table.ts';

/** A damaged file: with SQL as far as that goes, page by page beyond. */
export interface Quarantined {
  readonly path: string;
  /** Null where not even the list of tables can be made to fit. */
  readonly db: Connection | null;
}

/** Opens a quarantined file for reading. */
export function openQuarantined(folder: string): Quarantined {
  const path = join(folder, DATABASE_FILE);
  return { path, db: tryOpen(path) ?? (restoreSchemaPages(folder, path) ? tryOpen(path) : null) };
}

function tryOpen(path: string): Connection | null {
  let db: Connection | null = null;
  try {
    db = openReader(path);
    checkTablesOfAny(db);
    return db;
  } catch {
    db?.close();
    return null;
  }
}

/** The file may have been moved aside by an older gateway. */
function checkTablesOfAny(db: Connection): void {
  for (let version = SCHEMA_VERSION; version > 1; version -= 1) {
    try {
      checkTables(db, schemaOf(version));
      return;
    } catch {
      // Perhaps one of the versions before.
    }
  }
  checkTables(db, schemaOf(1));
}

/**
 * Replaces the pages that hold the list of tables by those of an empty file: all files made by one schema version
 * place their tables alike. Tables a migration added stand anywhere: those are left to the search page by page. The
 * original pages are kept beside it.
 */
function restoreSchemaPages(folder: string, path: string): boolean {
  try {
    const pages = fittingSchemaPages(folder, path);
    const pageCount = Math.floor(statSync(path).size / PAGE_BYTES);
    if (pageCount < Math.max(...pages.keys())) return false;
    const first = pages.get(1)!;
    // Header: size of the file in pages, no free pages known.
    first.writeUInt32BE(pageCount, 28);
    first.writeUInt32BE(0, 32);
    first.writeUInt32BE(0, 36);
    for (const [pageNumber, page] of pages) replacePage(folder, path, pageNumber, page);
    return true;
  } catch {
    return false;
  }
}

/** The list of tables of the newest version whose pages hold a list of tables in this file, too. */
function fittingSchemaPages(folder: string, path: string): Map<number, Buffer> {
  const template = join(folder, 'template.db');
  const oldest = emptySchemaPages(template, 1);
  for (let version = SCHEMA_VERSION; version > 1; version -= 1) {
    const pages = emptySchemaPages(template, version);
    const added = [...pages.keys()].filter((n) => !oldest.has(n));
    if (added.every((n) => pageOf(path, n).includes('CREATE TABLE'))) return pages;
  }
  return oldest;
}

function pageOf(path: string, pageNumber: number): Buffer {
  const page = Buffer.alloc(PAGE_BYTES);
  const file = openSync(path, 'r');
  try {
    readSync(file, page, 0, PAGE_BYTES, (pageNumber - 1) * PAGE_BYTES);
    return page;
  } finally {
    closeSync(file);
  }
}

/** Pages of an empty file's list of tables, by page number (from 1). */
function emptySchemaPages(path: string, version: number): Map<number, Buffer> {
  createEmpty(path, version);
  const template = openReader(path);
  const numbers = template
    .prepare("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'")
    .pluck()
    .all() as number[];
  template.close();
  const content = readFileSync(path);
  removeDatabase(path);
  return new Map(
    numbers.map((n) => [n, Buffer.from(content.subarray((n - 1) * PAGE_BYTES, n * PAGE_BYTES))]),
  );
}

function replacePage(folder: string, path: string, pageNumber: number, page: Buffer): void {
  const at = (pageNumber - 1) * PAGE_BYTES;
  const file = openSync(path, 'r+');
  try {
    const original = Buffer.alloc(PAGE_BYTES);
    readSync(file, original, 0, PAGE_BYTES, at);
    const keptAs = join(folder, `page-${pageNumber}.original`);
    // On the disk before the page goes; a shorter one was cut off on its way.
    const isKept = existsSync(keptAs) && statSync(keptAs).size === PAGE_BYTES;
    if (!isKept) writeFileSync(keptAs, original, { mode: 0o600, flush: true });
    writeSync(file, page, 0, PAGE_BYTES, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** What the next start needs at once; the rest may come later. */
export interface Essentials {
  readonly ledger: LedgerRead;
  readonly channels: readonly ChannelRef[];
  readonly states: readonly MachineState[];
  /** Null where neither the table nor its mirror can be read: then the journal must not be replayed. */
  readonly closedUntil: ReadonlyMap<string, number> | null;
  /** Which series had a history: id of the machine -> its sealed row; and what of it no block holds. */
  readonly historyMachines: ReadonlyMap<TwinKey, unknown>;
  readonly historyLog: readonly { readonly id: number; readonly body: Buffer }[];
}

/** Reads the small tables as far as they can be read. Never throws. */
export function readEssentials(source: Quarantined): Essentials {
  const states = readableStates(source);
  const table = twinsOrNull(source, 'closed_until') as Map<string, number> | null;
  const ends = new Map([...(table ?? []), ...mirroredEnds(states ?? [])]);
  for (const [machine, endMs] of table ?? []) ends.set(machine, Math.max(endMs, ends.get(machine)!));
  return {
    ledger: ledgerFrom(twinsOrNull(source, 'ledger') ?? new Map()),
    channels: readableChannels(source),
    states: states ?? [],
    closedUntil: table === null && states === null ? null : ends,
    historyMachines: twinsOrNull(source, 'history_machine') ?? scannedTwins(source, 'history_machine'),
    historyLog: [...readableHistoryLog(source)],
  };
}

function twinsOrNull({ db }: Quarantined, name: TwinTableName): Map<TwinKey, unknown> | null {
  try {
    return db === null ? null : readTwins(db, name).values;
  } catch {
    return null;
  }
}

function readableChannels(source: Quarantined): ChannelRef[] {
  const byIndex = new Map<number, ChannelRef>();
  for (const ref of (twinsOrNull(source, 'channel') ?? scannedTwins(source, 'channel')).values()) {
    byIndex.set((ref as ChannelRef).index, ref as ChannelRef);
  }
  return [...byIndex.values()];
}

function scannedTwins({ path }: Quarantined, table: TwinTableName): Map<TwinKey, unknown> {
  const found = new Map<TwinKey, unknown>();
  for (const { blobs } of scanPages(path)) {
    const [seal, twin] = blobs;
    const sound = (unsealJson(table, seal) ?? unsealJson(table, twin)) as [TwinKey, unknown] | null;
    if (sound !== null) found.set(sound[0], sound[1]);
  }
  return found;
}

/** Null where not even a part can be read. */
function readableStates({ db }: Quarantined): MachineState[] | null {
  const found = new Map<string, MachineState>();
  for (const direction of ['ASC', 'DESC']) {
    try {
      const sql = `SELECT machine, key, seal FROM state ORDER BY machine ${direction}, key ${direction}`;
      const rows = db?.prepare(sql).iterate() ?? [];
      for (const row of rows as Iterable<Parameters<typeof unsealState>[0]>) {
        const state = unsealState(row);
        if (state !== null) found.set(`${state.machine}\0${state.key}`, state);
      }
      if (db !== null) return [...found.values()];
    } catch {
      // Up to the damaged page from one side, then from the other.
    }
  }
  return found.size === 0 ? null : [...found.values()];
}

/** Sound journal rows. */
export function* readableJournal(source: Quarantined): Generator<{ id: number; body: Buffer }> {
  for (const { id, blobs } of rowsOf(source, 'journal', ['body'])) {
    const [body] = blobs;
    if (body !== undefined && decodeBatch(id, body) !== null) yield { id, body };
  }
}

/** Sound outbox rows. */
export function* readableOutbox(source: Quarantined): Generator<OutboxRow> {
  for (const { id, blobs } of rowsOf(source, 'outbox', ['head', 'body'])) {
    const about = decodeHead(id, blobs[0]);
    if (about !== null && decodeBody(id, about, blobs[1]) !== null)
      yield { id, head: blobs[0]!, body: blobs[1]! };
  }
}

/** Sound dead letters. */
export function* readableDeadLetters(source: Quarantined): Generator<StoredDeadLetter> {
  for (const { id, blobs } of rowsOf(source, 'dead_letter', ['head', 'body'])) {
    const letter = blobs.length === 2 ? decodeDeadLetterRow({ id, head: blobs[0]!, body: blobs[1]! }) : null;
    if (letter !== null) yield letter;
  }
}

/** Sound rows of the history's log. */
function* readableHistoryLog(source: Quarantined): Generator<{ id: number; body: Buffer }> {
  for (const { id, blobs } of rowsOf(source, 'history_log', ['body'])) {
    const [body] = blobs;
    if (body !== undefined && decodeLogRow(id, body) !== null) yield { id, body };
  }
}

/** Sound blocks of the history. */
export function* readableHistoryBlocks(source: Quarantined): Generator<{ id: number; body: Buffer }> {
  for (const { id, blobs } of rowsOf(source, 'history_block', ['body'])) {
    const [body] = blobs;
    if (body !== undefined && decodeBlock(id, body).state === 'rows') yield { id, body };
  }
}

/** Largest id of a table, null where it can't be read. */
export function largestId(db: Connection | null, table: 'journal' | 'outbox' | 'dead_letter'): number | null {
  try {
    return db === null
      ? null
      : ((db.prepare(`SELECT max(id) FROM ${table}`).pluck().get() as number | null) ?? 0);
  } catch {
    return null;
  }
}

/**
 * Rows of a table in the order of their ids; from the first page that can't be read on, whatever any page of the file
 * holds: also rows of other tables, rows seen before and rows deleted long ago. The caller tells them by checksum.
 */
function* rowsOf(
  { db, path }: Quarantined,
  table: string,
  columns: readonly string[],
): Generator<ScannedRow> {
  const next = readNext(db, table, columns);
  let after = Number.MIN_SAFE_INTEGER;
  for (;;) {
    const row = next(after);
    if (row === null) return;
    // In a damaged tree the row after an id may have a smaller one: it would come again for ever.
    if (row === 'unreadable' || row.id <= after) break;
    yield row;
    after = row.id;
  }
  yield* scanPages(path);
}

/** Undefined where the file has no such table, or none that can be found. */
function prepared(db: Connection | null, sql: string) {
  try {
    return db?.prepare(sql).raw();
  } catch {
    return undefined;
  }
}

type Next = ScannedRow | null | 'unreadable';

function readNext(db: Connection | null, table: string, columns: readonly string[]): (after: number) => Next {
  const sql = `SELECT id, ${columns.join(', ')} FROM ${table} WHERE id > ? ORDER BY id LIMIT 1`;
  const statement = prepared(db, sql);
  return (after) => {
    try {
      if (statement === undefined) return 'unreadable';
      const row = statement.get(after) as [number, ...Buffer[]] | undefined;
      return row === undefined ? null : { id: row[0], blobs: row.slice(1) as Buffer[] };
    } catch {
      return 'unreadable';
    }
  };
}
