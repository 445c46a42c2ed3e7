/**
 * A data directory in, a database that can be trusted out: locked, checked, of the current version. What can't be
 * trusted is moved aside and replaced by an empty one, so that no damage ever keeps the gateway from starting.
 */

import { existsSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describeError, GatewayError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import {
  type Connection,
  CorruptDatabase,
  checkPages,
  checkTables,
  createEmpty,
  ForeignDatabase,
  faultOf,
  lockDirectory,
  migrate,
  openWriter,
  refuseForeign,
  repairHeader,
  schemaVersion,
  sqliteCode,
} from './database.ts';
import { Ballast } from './disk-space.ts';
import { type LogRepair, repairLog } from './log-repair.ts';
import { makeDirectory } from './make-directory.ts';
import { copyBeforeMigration, removeOldCopies } from './migration.ts';
import {
  DATABASE_FILE,
  hasOurHeader,
  markSalvaged,
  pruneQuarantine,
  quarantineFiles,
  readSuspectNote,
  removeSuspectNote,
  syncDirectory,
  unreadableReason,
} from './quarantine.ts';
import { CURRENT_SCHEMA, type Schema } from './schema.ts';

/** A file up to this size is read and checked page by page at every start; about a second on an SD card. */
const CHECK_ALWAYS_BELOW_BYTES = 64 * 1024 * 1024;

export interface OpenedDatabase {
  readonly db: Connection;
  /** Holds the data directory; close it last. */
  readonly lock: Connection;
  /** Where the files went that were there before, and why; null where they were sound or absent. */
  readonly quarantined: { readonly folder: string; readonly reason: string } | null;
  readonly migratedFrom: number | null;
  /** What was found in the write-ahead log. */
  readonly log: LogRepair;
}

/** @throws GatewayError MW_STORE_IN_USE, MW_STORE_OPEN, MW_STORE_SCHEMA_NEWER */
export function openDatabase(
  dataDir: string,
  nowMs: number,
  logger: Logger,
  schema: Schema = CURRENT_SCHEMA,
): OpenedDatabase {
  try {
    makeDirectory(dataDir, 0o700);
  } catch (error) {
    throw new GatewayError('MW_STORE_OPEN', `cannot make the data directory: ${describeError(error)}`, {
      cause: error,
    });
  }
  const lock = lockDirectory(join(dataDir, 'lock.db'));
  try {
    return { lock, ...openOrReplace(dataDir, nowMs, { logger, schema }) };
  } catch (error) {
    lock.close();
    throw openingFailed(error, dataDir);
  }
}

/** What kept a store from opening, as a GatewayError. */
export function openingFailed(error: unknown, dataDir: string): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError('MW_STORE_OPEN', `cannot open the store: ${describeError(error)}`, {
    cause: error,
    details: { dataDir, code: sqliteCode(error) },
  });
}

function openOrReplace(
  dataDir: string,
  nowMs: number,
  { logger, schema }: { readonly logger: Logger; readonly schema: Schema },
): Omit<OpenedDatabase, 'lock'> {
  const log = repairLog(join(dataDir, `${DATABASE_FILE}-wal`));
  if (log.repairedBits + log.lostCommits > 0) logger.error({ ...log }, 'the write-ahead log was damaged');
  let reason = unreadableReason(dataDir);
  let isForeign = false;
  if (reason === null) {
    try {
      return { ...openChecked(dataDir, schema), quarantined: null, log };
    } catch (error) {
      if (!isDamage(error)) throw error;
      reason = describeError(error);
      isForeign = error instanceof ForeignDatabase;
    }
  }
  const folder = quarantineFiles(dataDir, nowMs, reason);
  if (isForeign) markSalvaged(folder, { foreign: true });
  removeSuspectNote(dataDir);
  logger.error({ folder, reason }, 'the database is damaged and was moved aside; starting with an empty one');
  return { ...openFresh(dataDir, schema), quarantined: { folder, reason }, log };
}

/** On a full disk, older damaged files and the ballast make room for an empty database. */
function openFresh(dataDir: string, schema: Schema): ReturnType<typeof openChecked> {
  try {
    return openChecked(dataDir, schema);
  } catch (error) {
    if (faultOf(error) !== 'full') throw error;
    pruneQuarantine(dataDir, 0);
    new Ballast(dataDir).drop();
    return openChecked(dataDir, schema);
  }
}

/** Damage of the file, as opposed to a disk or permission that may be put right. */
function isDamage(error: unknown): boolean {
  if (error instanceof CorruptDatabase) return true;
  if (sqliteCode(error) === '') return false;
  const fault = faultOf(error);
  // SQLITE_ERROR at this point means that a statement of ours does not fit the tables.
  return fault === 'corrupt' || fault === 'other';
}

function openChecked(dataDir: string, schema: Schema): { db: Connection; migratedFrom: number | null } {
  const path = join(dataDir, DATABASE_FILE);
  const note = readSuspectNote(dataDir);
  if (!existsSync(path)) createWhole(path);
  const isSmall = statSync(path).size <= CHECK_ALWAYS_BELOW_BYTES;
  if (!hasOurHeader(path)) refuseForeign(path);
  let db = openWriter(path);
  try {
    const version = schemaVersion(db);
    if (version > schema.version) {
      throw new GatewayError(
        'MW_STORE_SCHEMA_NEWER',
        `the store has schema ${version}, this gateway knows ${schema.version}`,
      );
    }
    const migratedFrom = version > 0 && version < schema.version ? version : null;
    if (migratedFrom !== null) {
      const [folded] = db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
      if (folded?.busy !== 0)
        throw new GatewayError(
          'MW_STORE_OPEN',
          'another program reads the store while it has to be migrated',
        );
      db.close();
      copyBeforeMigration(path, version);
      db = openWriter(path);
    }
    if (version < schema.version) migrate(db, version, schema);
    checkTables(db, schema);
    if (isSmall || note !== null) checkPages(db);
    // Twice in a row the check found nothing and the run ended in damage all the same.
    if (note !== null && note.times >= 3) throw new CorruptDatabase(note.reason);
    repairHeader(db, schema);
    removeOldCopies(path);
    return { db, migratedFrom };
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Makes the first database: under its name it is absent or whole, never half made. Its tables come to be in a rollback
 * journal, which a power cut would leave behind for whoever opens the file next.
 */
function createWhole(path: string): void {
  const partial = `${path}.partial`;
  createEmpty(partial);
  renameSync(partial, path);
  syncDirectory(dirname(path));
}
