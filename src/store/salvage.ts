/** A damaged database in quarantine in, every row of it that can be believed out, a few at a time. */

import { closeSync, existsSync, fsyncSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ChannelRef } from '../domain/machine.ts';
import { type Connection, checkTables, createEmpty, openReader } from './database.ts';
import { decodeDeadLetterRow, type StoredDeadLetter } from './dead-letters.ts';
import { decodeBatch } from './journal.ts';
import { type LedgerRead, ledgerFrom } from './ledger-book.ts';
import { type MachineState, unsealState } from './machine-tables.ts';
import { decodeBody, decodeHead } from './outbox-codec.ts';
import type { OutboxRow } from './outbox-view.ts';
import { DATABASE_FILE } from './quarantine.ts';
import { readTwins, type TwinKey, type TwinTableName } from './twin-table.ts';

const PAGE_BYTES = 4096;

/** Opens a quarantined file for reading, or answers null where not even its first page can be made to fit. */
export function openQuarantined(folder: string): Connection | null {
  const path = join(folder, DATABASE_FILE);
  return tryOpen(path) ?? (restoreFirstPage(folder, path) ? tryOpen(path) : null);
}

function tryOpen(path: string): Connection | null {
  let db: Connection | null = null;
  try {
    db = openReader(path);
    checkTables(db);
    return db;
  } catch {
    db?.close();
    return null;
  }
}

/**
 * Replaces the first page, which holds the list of tables, by that of an empty file: all files of one schema version
 * place their tables alike. The original page is kept beside it.
 */
function restoreFirstPage(folder: string, path: string): boolean {
  try {
    const pages = Math.floor(statSync(path).size / PAGE_BYTES);
    if (pages < 2) return false;
    const page = emptyFirstPage(join(folder, 'template.db'));
    page.writeUInt32BE(pages, 28);
    page.writeUInt32BE(0, 32);
    page.writeUInt32BE(0, 36);
    const file = openSync(path, 'r+');
    try {
      const original = Buffer.alloc(PAGE_BYTES);
      readSync(file, original, 0, PAGE_BYTES, 0);
      writeFileOnce(join(folder, 'first-page.original'), original);
      writeSync(file, page, 0, PAGE_BYTES, 0);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    return true;
  } catch {
    return false;
  }
}

function emptyFirstPage(path: string): Buffer {
  createEmpty(path);
  const page = Buffer.alloc(PAGE_BYTES);
  const file = openSync(path, 'r');
  readSync(file, page, 0, PAGE_BYTES, 0);
  closeSync(file);
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  return page;
}

function writeFileOnce(path: string, bytes: Buffer): void {
  if (existsSync(path)) return;
  const file = openSync(path, 'w', 0o600);
  writeSync(file, bytes);
  closeSync(file);
}

/** What the next start needs at once; the rest may come later. */
export interface Essentials {
  readonly ledger: LedgerRead;
  readonly channels: readonly ChannelRef[];
  readonly closedUntil: ReadonlyMap<string, number>;
  readonly states: readonly MachineState[];
}

/** Reads the small tables as far as they can be read. Never throws. */
export function readEssentials(db: Connection): Essentials {
  return {
    ledger: ledgerFrom(twinsOrNone(db, 'ledger')),
    channels: [...twinsOrNone(db, 'channel').values()] as ChannelRef[],
    closedUntil: twinsOrNone(db, 'closed_until') as Map<string, number>,
    states: readableStates(db),
  };
}

function twinsOrNone(db: Connection, name: TwinTableName): Map<TwinKey, unknown> {
  try {
    return readTwins(db, name).values;
  } catch {
    return new Map();
  }
}

function readableStates(db: Connection): MachineState[] {
  const found = new Map<string, MachineState>();
  for (const direction of ['ASC', 'DESC']) {
    try {
      const sql = `SELECT machine, key, seal FROM state ORDER BY machine ${direction}, key ${direction}`;
      for (const row of db.prepare(sql).iterate() as IterableIterator<Parameters<typeof unsealState>[0]>) {
        const state = unsealState(row);
        if (state !== null) found.set(`${state.machine}\0${state.key}`, state);
      }
      break;
    } catch {
      // Up to the damaged page from one side, then from the other.
    }
  }
  return [...found.values()];
}

/** Sound journal rows, ascending as far as the damage lets. */
export function* readableJournal(db: Connection): Generator<{ id: number; body: Buffer }> {
  for (const row of readableRows<{ id: number; body: Buffer }>(db, 'journal', 'body')) {
    if (decodeBatch(row.id, row.body) !== null) yield row;
  }
}

/** Sound outbox rows; null stands for a row that was not. */
export function* readableOutbox(db: Connection): Generator<OutboxRow | null> {
  for (const row of readableRows<OutboxRow>(db, 'outbox', 'head, body')) {
    const head = decodeHead(row.id, row.head);
    yield head !== null && decodeBody(row.id, head, row.body) !== null ? row : null;
  }
}

/** Sound dead letters; null stands for a row that was not. */
export function* readableDeadLetters(db: Connection): Generator<StoredDeadLetter | null> {
  for (const row of readableRows<{ id: number; head: Buffer; body: Buffer }>(
    db,
    'dead_letter',
    'head, body',
  )) {
    yield decodeDeadLetterRow(row);
  }
}

/** Largest id of a table that can be read, 0 where none can. */
export function largestId(db: Connection, table: 'journal' | 'outbox' | 'dead_letter'): number | null {
  try {
    return (db.prepare(`SELECT max(id) FROM ${table}`).pluck().get() as number | null) ?? 0;
  } catch {
    return null;
  }
}

/**
 * Walks a table by id; at a page that can't be read it looks for the next id that can, in growing steps, and fills
 * in from there downwards.
 */
function* readableRows<Row extends { readonly id: number }>(
  db: Connection,
  table: string,
  columns: string,
): Generator<Row> {
  const up = db.prepare(`SELECT id, ${columns} FROM ${table} WHERE id >= ? ORDER BY id LIMIT 1`);
  const down = db.prepare(
    `SELECT id, ${columns} FROM ${table} WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT 1`,
  );
  const tryRow = (read: () => unknown): Row | null | undefined => {
    try {
      return (read() as Row | undefined) ?? null;
    } catch {
      return undefined;
    }
  };
  let at = Number.MIN_SAFE_INTEGER;
  for (;;) {
    const row = tryRow(() => up.get(at));
    if (row === null) return;
    if (row !== undefined) {
      yield row;
      at = row.id + 1;
      continue;
    }
    // A damaged page: ids are positive in any file of ours.
    const gapFrom = Math.max(at, 0);
    let beyond: Row | null | undefined;
    for (let step = 1; step <= 2 ** 42 && beyond === undefined; step *= 2)
      beyond = tryRow(() => up.get(gapFrom + step));
    let below: Row | null | undefined = beyond ?? undefined;
    let before = beyond?.id ?? Number.MAX_SAFE_INTEGER;
    do {
      below = tryRow(() => down.get(before, gapFrom));
      if (below) {
        yield below;
        before = below.id;
      }
    } while (below);
    if (!beyond) return;
    at = beyond.id;
  }
}
