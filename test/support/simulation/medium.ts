/**
 * The disk under a real SQLite: files in memory, and what may happen to them at each commit. A kill leaves all that
 * was written; a power cut leaves what was flushed, and of the rest any sectors; a refused commit leaves nothing.
 */

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import type { Random } from './random.ts';

type Connection = Database.Database;

/** How a commit may end a process. */
export type Ending =
  /** SIGKILL before SQLite was asked. */
  | 'kill-before'
  /** SIGKILL after SQLite was done and before the process heard of it. */
  | 'kill-after'
  /** The power fails between the first write and the end of the flush. */
  | 'power-cut'
  /** The flush reports an error: what is on the disk is unknown, the process has to end by itself. */
  | 'flush-fails';

/** How a commit may be refused, leaving nothing. */
export type Refusal = 'full' | 'full-for-records' | 'io' | 'busy';

const REFUSALS: Readonly<Record<Refusal, [string, string]>> = {
  full: ['database or disk is full', 'SQLITE_FULL'],
  'full-for-records': ['database or disk is full', 'SQLITE_FULL'],
  io: ['disk I/O error', 'SQLITE_IOERR_WRITE'],
  busy: ['database is locked', 'SQLITE_BUSY'],
};

const FILE = 'millwright.db';
const SECTOR_BYTES = 512;
const LOG_HEADER_BYTES = 32;
const FULL = 2;

/** The process is gone; whoever catches this is already dead. */
export class ProcessEnded extends Error {}

/** The files of one life of the gateway. */
export class Medium {
  readonly dir: string;
  /** Reset by the end of the process. */
  ending: Ending | null = null;
  /** Database calls until the process is killed while it starts; null: not. */
  killDuringStart: number | null = null;
  refusal: Refusal | null = null;
  slowMs = 0;
  commits = 0;
  /** Where the next life finds its files, once this one has ended. */
  remains: string | null = null;
  onSlow: (ms: number) => void = () => undefined;
  onEnd: () => void = () => undefined;
  /** A transaction of the store is on the disk. */
  onFlushed: () => void = () => undefined;
  readonly #random: Random;
  readonly #connections = new Set<Connection>();
  #hasRecords = false;
  #hasFailed = false;
  /** The log as it was last flushed, where commits do not flush it. */
  #flushedLog: Buffer | null = null;

  constructor(dir: string, random: Random) {
    this.dir = dir;
    this.#random = random;
    MEDIA.set(dir, this);
  }

  /** SIGKILL now. */
  kill(): void {
    this.#leave(null);
  }

  /** Folds the log back, as the store does when it has grown. */
  checkpoint(): void {
    this.pragma('wal_checkpoint(PASSIVE)');
  }

  /** Changes how the store's connection works. */
  pragma(text: string): void {
    for (const db of this.#connections) {
      if (!db.open || basename(db.name) !== FILE) continue;
      db.pragma(text);
      this.#distrust(db);
    }
  }

  /** Only a commit that flushes may be trusted with a power cut. */
  #distrust(db: Connection): void {
    if ((db.pragma('synchronous', { simple: true }) as number) < FULL) this.#flushedLog ??= this.#log();
  }

  /** Lets go of the files. Call once nothing of the dead process runs any more. */
  close(): void {
    for (const db of this.#connections) if (db.open) db.close();
    MEDIA.delete(this.dir);
    rmSync(this.dir, { recursive: true, force: true });
  }

  seen(db: Connection): void {
    this.#connections.add(db);
    if (this.killDuringStart === null) return;
    this.killDuringStart -= 1;
    if (this.killDuringStart > 0) return;
    this.kill();
    throw new ProcessEnded('killed while it started');
  }

  begins(): void {
    this.#hasRecords = false;
  }

  writesRecords(): void {
    this.#hasRecords = true;
  }

  /** True where the disk gave the process a reason to end. */
  expectsFailure(error: unknown): boolean {
    return this.#hasFailed && (error as { code?: string }).code === 'MW_STORE_FSYNC';
  }

  commit(db: Connection, run: () => unknown): unknown {
    if (this.remains !== null) throw new ProcessEnded('this process has ended');
    const refused = this.refusal !== null && (this.refusal !== 'full-for-records' || this.#hasRecords);
    if (refused) {
      const [message, code] = REFUSALS[this.refusal!];
      throw new Database.SqliteError(message, code);
    }
    if (this.slowMs > 0) this.onSlow(this.slowMs);
    const ending = this.ending;
    if (ending === null) return this.#flush(db, run);
    this.ending = null;
    if (ending === 'flush-fails') {
      this.#hasFailed = true;
      if (this.#random.chance(0.5)) run();
      throw new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_FSYNC');
    }
    const before = this.#log();
    if (ending !== 'kill-before') run();
    this.#leave(ending === 'power-cut' ? torn(this.#flushedLog ?? before, this.#log(), this.#random) : null);
    throw new ProcessEnded(ending);
  }

  #flush(db: Connection, run: () => unknown): unknown {
    if (this.commits === 0) this.#distrust(db);
    const result = run();
    this.commits += 1;
    this.onFlushed();
    return result;
  }

  #log(): Buffer {
    const path = join(this.dir, `${FILE}-wal`);
    return existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  }

  #leave(log: Buffer | null): void {
    if (this.remains !== null) return;
    const next = `${this.dir}+`;
    mkdirSync(next);
    for (const name of [FILE, `${FILE}-wal`]) {
      const path = join(this.dir, name);
      if (existsSync(path)) copyFileSync(path, join(next, name));
    }
    if (log !== null) writeFileSync(join(next, `${FILE}-wal`), log);
    this.remains = next;
    this.onEnd();
  }
}

/**
 * What is left of a log whose change from `flushed` to `after` had not been flushed: of each sector either. SQLite flushes
 * the header of a log that begins anew before it writes a frame of it (`walFrames`, also with synchronous = NORMAL).
 */
function torn(flushed: Buffer, after: Buffer, random: Random): Buffer {
  const before = Buffer.from(flushed);
  after.copy(before, 0, 0, LOG_HEADER_BYTES);
  const kept = before.length + random.int(0, Math.max(0, after.length - before.length));
  const out = Buffer.from(after.subarray(0, Math.max(kept, Math.min(before.length, after.length))));
  for (let at = 0; at < out.length; at += SECTOR_BYTES) {
    if (random.chance(0.5)) continue;
    const end = Math.min(at + SECTOR_BYTES, out.length);
    out.fill(0, Math.max(at, Math.min(end, before.length)), end);
    if (at < before.length) before.copy(out, at, at, Math.min(end, before.length));
  }
  return out;
}

/** A directory of its own, in memory where the system has such a place. */
export function mediumFolder(): string {
  return mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'millwright-simulation-'));
}

/** By directory: the connections are made deep inside the store. */
const MEDIA = new Map<string, Medium>();

const prepare = Database.prototype.prepare;
const replaced = function (this: Connection, sql: string) {
  const statement = prepare.call(this, sql);
  const medium = MEDIA.get(dirname(this.name));
  if (medium === undefined) return statement;
  medium.seen(this);
  const run = statement.run.bind(statement) as (...values: unknown[]) => Database.RunResult;
  const around = (wrapped: (...values: unknown[]) => unknown) => {
    statement.run = wrapped as typeof statement.run;
  };
  if (sql === 'COMMIT') around(() => medium.commit(this, run));
  else if (sql === 'BEGIN IMMEDIATE') {
    around(() => {
      medium.begins();
      return run();
    });
  } else if (sql.startsWith('INSERT INTO journal')) {
    around((...values) => {
      medium.writesRecords();
      return run(...values);
    });
  }
  return statement;
};
Database.prototype.prepare = replaced as typeof Database.prototype.prepare;
