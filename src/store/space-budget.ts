/** How much is stored in, how much must go before more may come out. */

import type { StoreConfig } from '../config/schema.ts';
import type { PointClass } from '../domain/point.ts';
import type { Connection } from './database.ts';
import { freeBytes } from './disk-space.ts';
import { PAGE_BYTES } from './schema.ts';

/** What a commit takes beside its blobs: tree pages, ledger, free list. */
const OVERHEAD_BYTES = 131_072;
/** Share of the budget the journal may take: what a crash would need is never given up, so it must not take all. */
const JOURNAL_SHARE = 0.5;
/** Share of the budget the history may take; the other shares are of what it leaves. */
const HISTORY_SHARE = 0.4;
/** Share of the budget that assessments and alarms keep, however much of anything else there is. */
const RESERVE_SHARE = 0.1;
/** Of that, for the newest dead letters. */
const DEAD_LETTER_SHARE = 0.01;
/** Making room frees this much more at once, so that it is rare; small enough not to hold back a commit. */
const SLACK_SHARE = 0.02;
const MAX_SLACK_BYTES = 131_072;

/** What is to be stored. */
export interface Demand {
  readonly bytes: number;
  /** Of these, what the reserve is not for: records, raw values, aggregates. */
  readonly unreservedBytes: number;
}

/** True for what may use the reserve. */
export function isReserved(pointClass: PointClass): boolean {
  return pointClass === 'assessment' || pointClass === 'alarm';
}

/** The bounds of one database. */
export class SpaceBudget {
  readonly maxBytes: number;
  /** What the history's archives take once they are reserved, and how much of that is not reserved yet. */
  history: { readonly bytes: number; readonly unreservedBytes: number } = { bytes: 0, unreservedBytes: 0 };
  readonly #minFreeBytes: number;
  readonly #dataDir: string;
  readonly #pages;
  readonly #freePages;

  constructor(db: Connection, dataDir: string, config: StoreConfig) {
    this.maxBytes = config.maxBytes;
    this.#minFreeBytes = config.minFreeBytes;
    this.#dataDir = dataDir;
    // A quota below the size of the disk keeps deleting possible, which a full disk does not.
    db.pragma(`max_page_count = ${Math.floor(config.maxBytes / PAGE_BYTES)}`);
    this.#pages = db.prepare('PRAGMA page_count').pluck();
    this.#freePages = db.prepare('PRAGMA freelist_count').pluck();
  }

  /** Bytes history may take at most. */
  get maxHistoryBytes(): number {
    return this.maxBytes * HISTORY_SHARE;
  }

  /** For assessments and alarms alone. */
  get reserveBytes(): number {
    return this.#sharedBytes * RESERVE_SHARE;
  }

  get deadLetterReserveBytes(): number {
    return this.#sharedBytes * DEAD_LETTER_SHARE;
  }

  get maxJournalBytes(): number {
    return this.#sharedBytes * JOURNAL_SHARE;
  }

  get #sharedBytes(): number {
    return this.maxBytes - this.history.bytes;
  }

  /** Bytes of the database file. */
  get fileBytes(): number {
    return (this.#pages.get() as number) * PAGE_BYTES;
  }

  /** Bytes of the file that hold nothing. */
  get reusableBytes(): number {
    return (this.#freePages.get() as number) * PAGE_BYTES;
  }

  /**
   * Bytes to free so that the demand fits; 0 if it does. Right also inside a transaction.
   *
   * @param held bytes in the outbox by class
   * @returns `mayTakeReserve`: what is missing is missing in the reserve itself
   */
  missing(
    demand: Demand,
    held: Readonly<Record<PointClass, number>>,
  ): { readonly bytes: number; readonly mayTakeReserve: boolean } {
    const promised = this.history.unreservedBytes + OVERHEAD_BYTES;
    const used = this.fileBytes - this.reusableBytes + promised;
    const over = used + demand.bytes - this.maxBytes;
    const inReserve = Math.min(held.assessment + held.alarm, this.reserveBytes);
    const overUnreserved =
      demand.unreservedBytes === 0
        ? 0
        : used - inReserve + demand.unreservedBytes - (this.maxBytes - this.reserveBytes);
    const most = Math.max(over, overUnreserved);
    const slack = Math.min(this.maxBytes * SLACK_SHARE, MAX_SLACK_BYTES);
    return { bytes: most <= 0 ? 0 : most + slack, mayTakeReserve: overUnreserved <= 0 };
  }

  /** True if `bytes` that are promised already fit into the file as it may grow now. */
  hasRoom(bytes: number): boolean {
    const used = this.fileBytes - this.reusableBytes;
    return used + bytes + OVERHEAD_BYTES <= this.maxBytes && !this.isShortOfDisk(bytes);
  }

  /** True where the disk is short and the file has no room of its own for `bytes`. */
  isShortOfDisk(bytes: number): boolean {
    if (freeBytes(this.#dataDir) >= this.#minFreeBytes) return false;
    return this.reusableBytes < bytes + OVERHEAD_BYTES;
  }

  get freeDiskBytes(): number {
    return freeBytes(this.#dataDir);
  }
}
