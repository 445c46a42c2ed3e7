/** How much is stored in, how much must go before more may come out. */

import type { StoreConfig } from '../config/schema.ts';
import type { Connection } from './database.ts';
import { freeBytes } from './disk-space.ts';
import { PAGE_BYTES } from './schema.ts';

/** What a commit takes beside its blobs: tree pages, ledger, free list. */
const OVERHEAD_BYTES = 131_072;
/** Share of the budget the journal may take: what a crash would need is never given up, so it must not take all. */
const JOURNAL_SHARE = 0.5;
/** Share of the budget that alarms keep when everything else has gone. */
const ALARM_SHARE = 0.1;
/** Eviction frees this share at once, so that it is rare. */
const EVICTION_SHARE = 0.02;

/** The bounds of one database. */
export class SpaceBudget {
  readonly alarmReserveBytes: number;
  readonly maxJournalBytes: number;
  readonly maxBytes: number;
  readonly #minFreeBytes: number;
  readonly #dataDir: string;
  readonly #pages;
  readonly #freePages;

  constructor(db: Connection, dataDir: string, config: StoreConfig) {
    this.maxBytes = config.maxBytes;
    this.alarmReserveBytes = config.maxBytes * ALARM_SHARE;
    this.maxJournalBytes = config.maxBytes * JOURNAL_SHARE;
    this.#minFreeBytes = config.minFreeBytes;
    this.#dataDir = dataDir;
    // A quota below the size of the disk keeps deleting possible, which a full disk does not.
    db.pragma(`max_page_count = ${Math.floor(config.maxBytes / PAGE_BYTES)}`);
    this.#pages = db.prepare('PRAGMA page_count').pluck();
    this.#freePages = db.prepare('PRAGMA freelist_count').pluck();
  }

  /** Bytes of the database file. */
  get fileBytes(): number {
    return (this.#pages.get() as number) * PAGE_BYTES;
  }

  /** Bytes of the file that hold nothing. */
  get reusableBytes(): number {
    return (this.#freePages.get() as number) * PAGE_BYTES;
  }

  /** Bytes to evict so that `bytes` more fit into `maxBytes`; 0 if they do. Right also inside a transaction. */
  missing(bytes: number): number {
    const over = this.fileBytes - this.reusableBytes + bytes + OVERHEAD_BYTES - this.maxBytes;
    return over <= 0 ? 0 : over + this.maxBytes * EVICTION_SHARE;
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
