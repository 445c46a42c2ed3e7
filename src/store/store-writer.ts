/**
 * Commit units in, flushed transactions and balanced accounts out: the write path of the store.
 *
 * The accounts in memory are the truth; every transaction works on a draft of them that becomes the truth once it is
 * flushed. A commit that carries records alone touches one page, the journal's: its sample totals stand in the row.
 */

import type { HistoryConfig, StoreConfig } from '../config/schema.ts';
import type { DeadLetter } from '../domain/dead-letter.ts';
import type { Point, PointClass } from '../domain/point.ts';
import type { WindowResult } from '../domain/window-result.ts';
import type { GatewayError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { CommitUnit } from './commit-unit.ts';
import type { Connection } from './database.ts';
import { DeadLetterTable } from './dead-letters.ts';
import { Ballast } from './disk-space.ts';
import { type HistoryDraft, HistoryWriter } from './history/history-writer.ts';
import { countSamples, encodeBatch, Journal } from './journal.ts';
import { draftOf, type LedgerState, writeLedger } from './ledger-book.ts';
import { MachineTables } from './machine-tables.ts';
import { Outbox } from './outbox.ts';
import { type EncodedRow, encodeRow, UNKNOWN_TIME_MS } from './outbox-codec.ts';
import { Overflow } from './overflow.ts';
import { leaveSuspectNote, removeSuspectNote } from './quarantine.ts';
import { type Demand, isReserved, SpaceBudget } from './space-budget.ts';
import { Transactions } from './transactions.ts';
import { TwinTable } from './twin-table.ts';
import { WearMeter } from './wear-meter.ts';

/** Settled batches wait this long for a commit to travel with; losing them means sending them again. */
const SAVE_DELAY_MS = 5_000;
const MAX_WAITING_SETTLES = 256;
/** Batches that may be trimmed before a commit without results does it. */
const TRIM_BATCHES = 256;
/** Room without which the history waits; blocks that are reserved or filled in one transaction. */
const HISTORY_STEP_BYTES = 131_072;
/** After this many commits a note of an earlier failure is taken back. */
const TRUSTED_AFTER_COMMITS = 4096;

export interface WriterOptions {
  readonly dataDir: string;
  readonly config: StoreConfig;
  readonly logger: Logger;
  /** Absent or not enabled: no history is kept. */
  readonly history?: HistoryConfig;
  /** Time of day, ms; never goes back. */
  now(): number;
  /** ms; for how long something waited. Left out: the process's own. */
  monotonicMs?(): number;
  /** False while the time of day is not known: nothing is old then. Left out: it always is known. */
  isClockSet?(): boolean;
}

/** What a transaction will have changed once it is flushed. */
interface Written {
  readonly draft: LedgerState;
  journalBytes: number;
  firstBatchId: number;
  /** The ledger and everything that waited were written, too. */
  saved: boolean;
}

/** What a unit adds, as it will stand in the tables. */
interface Encoded {
  readonly points: readonly EncodedRow[];
  readonly history: HistoryDraft | null;
  /** Of all of it. */
  readonly demand: Demand;
}

/** The one writer: tables, bounds and accounts. */
export class StoreWriter {
  readonly transactions: Transactions;
  readonly budget: SpaceBudget;
  readonly ballast: Ballast;
  readonly ledger: TwinTable;
  readonly journal: Journal;
  readonly outbox: Outbox;
  readonly deadLetters: DeadLetterTable;
  readonly machines: MachineTables;
  readonly overflow: Overflow;
  readonly wear: WearMeter;
  readonly history: HistoryWriter | null;
  /** True while rows with old ids may still come back: gaps in the cursors stay open. */
  isSalvaging = false;
  givenUpPoints = 0;
  isJournalFull = false;
  readonly #options: WriterOptions;
  #state!: LedgerState;
  #journalBytes = 0;
  #firstBatchId = 0;
  /** Points sinks refused, on their way to the dead letters. */
  #refused: DeadLetter[] = [];
  /** When the oldest change that only memory knows was made. */
  #unsavedSinceMs: number | null = null;
  #waitingSettles = 0;

  constructor(db: Connection, options: WriterOptions) {
    const { dataDir, config, logger } = options;
    this.#options = options;
    this.ballast = new Ballast(dataDir);
    this.transactions = new Transactions(db, this.ballast, logger, (error) =>
      leaveSuspectNote(dataDir, error),
    );
    this.budget = new SpaceBudget(db, dataDir, config);
    this.ledger = new TwinTable(db, 'ledger');
    this.journal = new Journal(db);
    this.outbox = new Outbox(db);
    this.machines = new MachineTables(db);
    this.deadLetters = new DeadLetterTable(db);
    this.wear = new WearMeter(config.flash, options.now);
    const { outbox, deadLetters, budget } = this;
    this.overflow = new Overflow({ outbox, deadLetters, budget });
    this.history = options.history?.enabled
      ? new HistoryWriter(db, { config: options.history, maxBytes: this.budget.maxHistoryBytes, logger })
      : null;
    this.#noteHistory();
  }

  /** Takes over the accounts as they were found at open. */
  begin(state: LedgerState): void {
    this.#state = state;
    const { bytes, firstId } = this.journal.extent();
    this.#journalBytes = bytes;
    this.#firstBatchId = firstId ?? state.nextBatchId;
    this.deadLetters.recount();
    this.wear.begin(state);
  }

  /** The accounts, settled batches that are not yet written included. */
  get state(): LedgerState {
    return this.#state;
  }

  get journalBytes(): number {
    return this.#journalBytes;
  }

  /** See `Store.commit`. */
  commit(unit: CommitUnit): void {
    this.transactions.assertTrusted();
    if (!this.#mustWrite(unit)) {
      this.#state = this.#booked(unit);
      this.noteUnsaved();
      return;
    }
    const points = this.#encode(unit.results);
    const history = this.history?.draft(unit.results) ?? null;
    const demand = demandOf(unit, points, history?.bytes ?? 0);
    this.#admit(unit, demand.bytes);
    const kind = hasRecords(unit) || unit.deadLetters.length > 0 ? 'adding' : 'freeing';
    const written = this.transactions.run(
      kind,
      () => this.#write(unit, { points, history, demand }),
      () => this.#rolledBack(),
    );
    this.#adopt(written);
    if (history !== null) this.history!.adopt(history);
    this.#noteHistory();
    this.transactions.afterCommit();
  }

  /** One piece of the history's work that can wait. @returns true if there is more to do at once */
  historyStep(): boolean {
    if (this.history === null || this.isSalvaging || !this.budget.hasRoom(HISTORY_STEP_BYTES)) return false;
    const run = (work: () => void) => {
      this.transactions.run('adding', work, () => {});
      this.transactions.afterCommit();
    };
    const more = this.history.step(run);
    // What is reserved need not be reserved at once.
    if (!more) this.history.reserve(run);
    this.#noteHistory();
    return more;
  }

  #noteHistory(): void {
    const { history } = this;
    if (history !== null)
      this.budget.history = { bytes: history.bytes, unreservedBytes: history.unreservedBytes };
  }

  /** A transaction of its own, for what does not come with a unit; saves everything that waits. */
  writeApart(work: (draft: LedgerState, written: Written) => void): void {
    const written = this.transactions.run(
      'freeing',
      () => {
        const apart = this.#begun(draftOf(this.#state));
        work(apart.draft, apart);
        this.#save(apart, []);
        return apart;
      },
      () => this.#rolledBack(),
    );
    this.#adopt(written);
    this.transactions.afterCommit();
  }

  /** Points that sinks refused become dead letters with the next save. */
  addRefused(letters: readonly DeadLetter[]): void {
    this.#refused.push(...letters);
  }

  /** A batch was settled in memory. */
  noteSettled(): void {
    this.#waitingSettles += 1;
    this.noteUnsaved();
  }

  noteUnsaved(): void {
    this.#unsavedSinceMs ??= this.monotonicMs();
  }

  /** Never steps, ms. */
  monotonicMs(): number {
    return this.#options.monotonicMs?.() ?? performance.now();
  }

  /** False while the time of day is not known. */
  get isClockSet(): boolean {
    return this.#options.isClockSet?.() ?? true;
  }

  get hasUnsaved(): boolean {
    return this.#unsavedSinceMs !== null;
  }

  /** True if what only memory knows has waited long enough for a commit to travel with. */
  get isOverdue(): boolean {
    if (this.#unsavedSinceMs === null) return false;
    const waitedMs = this.monotonicMs() - this.#unsavedSinceMs;
    return this.#waitingSettles >= MAX_WAITING_SETTLES || waitedMs >= SAVE_DELAY_MS;
  }

  /** False where memory may keep the unit's counts until something is written anyway. */
  #mustWrite(unit: CommitUnit): boolean {
    if (hasRecords(unit) || touchesTables(unit)) return true;
    return this.isOverdue;
  }

  /** One row per class: rows are few, and eviction can tell classes apart. */
  #encode(results: readonly WindowResult[]): EncodedRow[] {
    if (this.#state.sinks.length === 0) return [];
    const byClass = new Map<PointClass, Point[]>();
    for (const { points } of results) {
      for (const point of points) {
        const ofClass = byClass.get(point.pointClass);
        if (ofClass) ofClass.push(point);
        else byClass.set(point.pointClass, [point]);
      }
    }
    return [...byClass].map(([pointClass, points]) => encodeRow(pointClass, points));
  }

  /** @throws GatewayError MW_STORE_WRITE where new data has no room; results alone pass, as they make some */
  #admit(unit: CommitUnit, bytes: number): void {
    if (!hasRecords(unit) && unit.deadLetters.length === 0) return;
    const added = unit.journal?.length ?? 0;
    if (this.#journalBytes + added > this.budget.maxJournalBytes) this.#trimApart(unit);
    const journalBytes = this.#journalBytes + added;
    this.isJournalFull = journalBytes > this.budget.maxJournalBytes;
    if (this.isJournalFull && unit.results.length === 0) {
      throw this.transactions.refuse('the journal has used up its half of store.maxBytes', { journalBytes });
    }
    if (this.budget.isShortOfDisk(bytes)) {
      const freeBytes = this.budget.freeDiskBytes;
      throw this.transactions.refuse('free disk space is below store.minFreeBytes', { freeBytes });
    }
  }

  /** The accounts after the unit. */
  #booked(unit: CommitUnit): LedgerState {
    const draft = draftOf(this.#state);
    const { windowed, late, duplicate, evicted = 0, quarantined = 0 } = unit.settled;
    draft.samples.accepted += unit.acceptedSamples;
    draft.samples.windowed += windowed;
    draft.samples.late += late;
    draft.samples.duplicate += duplicate;
    draft.samples.evicted += evicted;
    draft.samples.quarantined += quarantined;
    const journaled = unit.journal === null ? 0 : countSamples(unit.journal);
    draft.samples.volatileAccepted += unit.acceptedSamples - journaled - late - evicted;
    draft.volatileSettled += unit.settled.volatile ?? 0;
    draft.aheadSamples = unit.aheadSamples ?? 0;
    draft.deadLetteredMessages += unit.deadLetters.length;
    return draft;
  }

  #begun(draft: LedgerState): Written {
    return { draft, journalBytes: this.#journalBytes, firstBatchId: this.#firstBatchId, saved: false };
  }

  #write(unit: CommitUnit, { points, history, demand }: Encoded): Written {
    const written = this.#begun(this.#booked(unit));
    const { draft } = written;
    if (!this.overflow.makeRoom(draft, demand)) throw this.#noRoom(demand);
    if (hasRecords(unit)) {
      const { compressJournal } = this.#options.config;
      const body = encodeBatch(draft.nextBatchId, draft.samples, unit.journal!, compressJournal);
      this.journal.append(draft.nextBatchId, body);
      written.journalBytes += body.length;
      draft.nextBatchId += 1;
    }
    this.machines.writeChannels(unit.channels);
    for (const result of unit.results) this.machines.writeResult(result);
    // A guess would make the row look as old as the time the gateway lay in a drawer.
    this.outbox.append(draft, points, this.isClockSet ? this.#options.now() : UNKNOWN_TIME_MS);
    if (history !== null) this.history!.write(history);
    const trimmed = this.#trim(unit, written);
    const caughtUp = this.#state.aheadSamples > 0;
    if (trimmed || touchesTables(unit) || caughtUp || this.isOverdue) this.#save(written, unit.deadLetters);
    return written;
  }

  /** Batches that no window needs any more go before new ones are refused for want of room. */
  #trimApart({ trimBelowBatch }: CommitUnit): void {
    if (!Number.isFinite(trimBelowBatch) || trimBelowBatch <= this.#firstBatchId) return;
    this.writeApart((draft, written) => {
      const below = Math.min(trimBelowBatch, draft.nextBatchId);
      written.journalBytes -= this.journal.trimBelow(below);
      written.firstBatchId = below;
    });
  }

  #trim(unit: CommitUnit, written: Written): boolean {
    const { trimBelowBatch, results } = unit;
    const below = Number.isFinite(trimBelowBatch) ? Math.min(trimBelowBatch, written.draft.nextBatchId) : 0;
    const batches = below - written.firstBatchId;
    if (batches <= 0 || (results.length === 0 && batches < TRIM_BATCHES)) return false;
    written.journalBytes -= this.journal.trimBelow(below);
    written.firstBatchId = below;
    return true;
  }

  /** Writes the ledger and what waited for a transaction to travel with. */
  #save(written: Written, deadLetters: readonly DeadLetter[]): void {
    const { draft } = written;
    for (const letter of [...this.#refused, ...deadLetters]) {
      this.deadLetters.insert(draft.nextDeadLetterId, letter);
      draft.nextDeadLetterId += 1;
    }
    draft.deadLettersDropped += this.deadLetters.trimTo(this.#options.config.maxDeadLetterBytes);
    this.outbox.deleteSettled(draft, this.isSalvaging);
    if (this.isClockSet) draft.lastKnownMs = Math.max(draft.lastKnownMs ?? 0, this.#options.now());
    writeLedger(this.ledger, Object.assign(draft, this.wear.wear));
    written.saved = true;
  }

  #noRoom({ bytes }: Demand): GatewayError {
    return this.transactions.refuse('store.maxBytes is used up by what must not be evicted', { bytes });
  }

  #adopt(written: Written): void {
    this.#reportGivenUp(written.draft);
    this.#state = written.draft;
    this.#journalBytes = written.journalBytes;
    this.#firstBatchId = written.firstBatchId;
    if (written.saved) {
      this.#refused = [];
      this.#unsavedSinceMs = null;
      this.#waitingSettles = 0;
      this.outbox.committed();
    }
    if (this.transactions.commits === TRUSTED_AFTER_COMMITS) removeSuspectNote(this.#options.dataDir);
  }

  #reportGivenUp(draft: LedgerState): void {
    const sum = (state: LedgerState, how: 'degraded' | 'evicted') =>
      state.sinks.reduce((total, sink) => total + sink[how], 0);
    const degraded = sum(draft, 'degraded') - sum(this.#state, 'degraded');
    const evicted = sum(draft, 'evicted') - sum(this.#state, 'evicted');
    if (degraded + evicted === 0) return;
    this.givenUpPoints += degraded + evicted;
    const counts = { degraded, evicted, total: this.givenUpPoints };
    this.#options.logger.warn(counts, 'gave up points of the backlog, for want of room or for their age');
  }

  #rolledBack(): void {
    this.overflow.forget();
    this.deadLetters.recount();
  }
}

/** @param historyBytes what the history adds; it comes with any result, so it may use the reserve */
function demandOf(unit: CommitUnit, rows: readonly EncodedRow[], historyBytes: number): Demand {
  const bytesOf = (some: readonly EncodedRow[]) => some.reduce((sum, { body }) => sum + body.length, 0);
  const reserved = bytesOf(rows.filter(({ pointClass }) => isReserved(pointClass)));
  const unreservedBytes = bytesOf(rows) - reserved + (unit.journal?.length ?? 0);
  return { bytes: reserved + unreservedBytes + historyBytes, unreservedBytes };
}

function hasRecords(unit: CommitUnit): boolean {
  return unit.journal !== null && unit.journal.length > 0;
}

/** True if the unit writes to more tables than the journal. */
function touchesTables(unit: CommitUnit): boolean {
  return unit.results.length > 0 || unit.channels.length > 0 || unit.deadLetters.length > 0;
}
