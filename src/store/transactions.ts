/**
 * Work in, one flushed transaction out, or nothing changed and an error that says what the caller may do next. Also
 * decides when the write-ahead log is folded back.
 */

import { describeError, GatewayError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type Connection, type Fault, faultOf, sqliteCode } from './database.ts';
import { BALLAST_BYTES, type Ballast } from './disk-space.ts';
import { PAGE_BYTES } from './schema.ts';

export type StoreStatus =
  | 'ok'
  /** The medium refuses writes; reading goes on. */
  | 'read_only'
  /** No room: nothing new is taken until some is made. */
  | 'full'
  /** Another program holds the database. */
  | 'locked'
  /** Writes fail with an I/O error; each one is rolled back. */
  | 'failing'
  /** A flush failed or pages do not fit: only a new start can tell what is on the disk. */
  | 'suspect';

/** Frames in the log (a page each) before it is folded back in a quiet moment: 4 MiB. */
const CHECKPOINT_FRAMES = 4_194_304 / PAGE_BYTES;
/** Frames before it is folded back at once. */
const FORCED_CHECKPOINT_FRAMES = 4 * CHECKPOINT_FRAMES;
/**
 * Pages the file may have grown by in the log alone. Folding back must always fit into the room of the ballast file,
 * or a full disk could not be got out of.
 */
const UNFOLDED_GROWTH_PAGES = BALLAST_BYTES / 2 / PAGE_BYTES;
/** Commits between two looks at the length of the log. */
const LOOK_EVERY_COMMITS = 64;

interface CheckpointRow {
  readonly busy: number;
  /** Frames in the log, -1 if there is none. */
  readonly log: number;
  readonly checkpointed: number;
}

/** The one way to write to the database. */
export class Transactions {
  status: StoreStatus = 'ok';
  /** Transactions flushed, given up, and checkpoints done since the start. */
  commits = 0;
  failures = 0;
  checkpoints = 0;
  /** Frames in the log when last looked at. */
  walFrames = 0;
  readonly #db: Connection;
  readonly #ballast: Ballast;
  readonly #logger: Logger;
  readonly #onSuspect: (error: unknown) => void;
  readonly #begin;
  readonly #commit;
  readonly #pages;
  #sinceLook = 0;
  /** Pages of the file when the log was last folded back whole. */
  #foldedPages = 0;
  /** A reader kept the log from being folded back whole. */
  #isHeld = false;

  constructor(db: Connection, ballast: Ballast, logger: Logger, onSuspect: (error: unknown) => void) {
    this.#db = db;
    this.#ballast = ballast;
    this.#logger = logger;
    this.#onSuspect = onSuspect;
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    this.#pages = db.prepare('PRAGMA page_count').pluck();
  }

  /**
   * Runs `work` in a transaction; returned means flushed. Where the disk is full, `work` runs again once the log has
   * been folded back, and `freeing` work a third time with the room of the ballast file.
   *
   * @throws GatewayError MW_STORE_WRITE: nothing changed, try later; MW_STORE_FSYNC: this handle is done for
   */
  run<T>(kind: 'freeing' | 'adding', work: () => T, rolledBack: () => void): T {
    this.assertTrusted();
    try {
      const result = this.#attempt(kind, work, rolledBack);
      this.status = 'ok';
      this.commits += 1;
      this.#sinceLook += 1;
      return result;
    } catch (error) {
      this.failures += 1;
      throw this.#explain(error);
    }
  }

  #attempt<T>(kind: 'freeing' | 'adding', work: () => T, rolledBack: () => void): T {
    const waysOut = [() => this.#foldBack()];
    // New data must not use up what lets old data go.
    if (kind === 'freeing') waysOut.push(() => this.#dropBallast() && this.#foldBack());
    for (;;) {
      try {
        this.#begin.run();
        const result = work();
        this.#commit.run();
        return result;
      } catch (error) {
        this.#rollback();
        rolledBack();
        // Full by quota is not the disk's fault.
        if (faultOf(error) !== 'full' || !this.#ballast.isDiskFull()) throw error;
        let isFound = false;
        while (!isFound && waysOut.length > 0) isFound = waysOut.shift()!();
        if (!isFound) throw error;
      }
    }
  }

  #dropBallast(): boolean {
    if (!this.#ballast.drop()) return false;
    this.#logger.warn({}, 'the disk is full; gave up the ballast file');
    return true;
  }

  /** A log that was folded back whole is written from its start again, in the room it already has. */
  #foldBack(): boolean {
    try {
      return this.#checkpoint();
    } catch {
      return false;
    }
  }

  #rollback(): void {
    // SQLite ends the transaction by itself on some errors.
    if (!this.#db.inTransaction) return;
    try {
      this.#db.exec('ROLLBACK');
    } catch (error) {
      this.#suspect(error);
    }
  }

  /** @throws GatewayError MW_STORE_FSYNC once the handle can't be trusted */
  assertTrusted(): void {
    if (this.status !== 'suspect') return;
    throw new GatewayError('MW_STORE_FSYNC', 'the store can no longer be trusted since an earlier failure');
  }

  /** Refuses new data for want of room. */
  refuse(message: string, details: Readonly<Record<string, number>>): GatewayError {
    if (this.status === 'ok') this.status = 'full';
    this.failures += 1;
    return new GatewayError('MW_STORE_WRITE', message, { details });
  }

  #explain(error: unknown): GatewayError {
    if (error instanceof GatewayError) return error;
    const fault = faultOf(error);
    const options = { cause: error, details: { code: sqliteCode(error) } };
    const text = describeError(error);
    if (fault === 'fsync' || fault === 'corrupt') {
      this.#suspect(error);
      const what = fault === 'fsync' ? 'a flush to the disk failed' : 'the database is damaged';
      return new GatewayError('MW_STORE_FSYNC', `${what}: ${text}`, options);
    }
    if (fault === 'other') return new GatewayError('MW_INTERNAL', `the store failed: ${text}`, options);
    this.#degrade(fault);
    return new GatewayError('MW_STORE_WRITE', `the store could not write: ${text}`, options);
  }

  #degrade(fault: Fault): void {
    if (this.status === 'suspect') return;
    const statusOf: Partial<Record<Fault, StoreStatus>> = {
      full: 'full',
      read_only: 'read_only',
      busy: 'locked',
      io: 'failing',
    };
    this.status = statusOf[fault] ?? this.status;
  }

  /** A read or write showed that the file can't be trusted. */
  #suspect(error: unknown): void {
    if (this.status === 'suspect') return;
    this.status = 'suspect';
    this.#logger.error(
      { reason: describeError(error), code: sqliteCode(error) },
      'the store can no longer be trusted',
    );
    this.#onSuspect(error);
  }

  /** Runs a read and turns damage met on the way into MW_STORE_FSYNC. */
  read<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** After a commit: folds the log back only if it is overdue. */
  afterCommit(): void {
    const grownPages = (this.#pages.get() as number) - this.#foldedPages;
    // While a reader holds the log, trying at every commit would only cost flushes.
    if (grownPages > UNFOLDED_GROWTH_PAGES && (!this.#isHeld || this.#sinceLook >= LOOK_EVERY_COMMITS)) {
      this.#checkpointAbove(0);
    } else if (this.#sinceLook >= LOOK_EVERY_COMMITS) this.#checkpointAbove(FORCED_CHECKPOINT_FRAMES);
  }

  /** In a quiet moment. Writes nothing where nothing was committed. */
  whenIdle(): void {
    if (this.#sinceLook === 0 && this.walFrames <= CHECKPOINT_FRAMES) return;
    this.#checkpointAbove(CHECKPOINT_FRAMES);
  }

  #checkpointAbove(frames: number): void {
    if (this.status === 'suspect') return;
    try {
      this.#sinceLook = 0;
      // NOOP only tells the length of the log.
      this.walFrames = this.#pragma('NOOP').log;
      if (this.walFrames > frames) this.#checkpoint();
    } catch (error) {
      // The log still holds everything; only a failed flush is final.
      const explained = this.#explain(error);
      this.#logger.warn({ reason: explained.message }, 'folding back the write-ahead log failed');
    }
  }

  /** @returns true if the log was folded back whole, so that the next commit starts it anew; a reader may prevent it */
  #checkpoint(): boolean {
    const pages = this.#pages.get() as number;
    const { log, checkpointed } = this.#pragma('PASSIVE');
    this.checkpoints += 1;
    this.#isHeld = checkpointed !== log;
    if (this.#isHeld) return false;
    this.walFrames = 0;
    this.#foldedPages = pages;
    return true;
  }

  #pragma(mode: 'NOOP' | 'PASSIVE'): CheckpointRow {
    return (this.#db.pragma(`wal_checkpoint(${mode})`) as CheckpointRow[])[0]!;
  }
}
