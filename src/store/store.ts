/**
 * Records and window results in, durable before `commit` returns; batches for the sinks and everything a restart needs
 * out. The one writer of `millwright.db`, used by the pipeline thread alone.
 *
 * Invariants: `commit` returned means flushed; what is read back has passed its checksum; the accounts of
 * `domain/ledger.ts` balance and count what is lost, too.
 */

import type { Ledger } from '../domain/ledger.ts';
import type { ChannelRef } from '../domain/machine.ts';
import type { OutboxBacklog, OutboxBatch, OutboxReader, SettleOutcome } from '../domain/outbox.ts';
import { GatewayError } from '../errors.ts';
import type { MetricSample, MetricSource } from '../telemetry/metrics.ts';
import { Ageing } from './ageing.ts';
import type { CommitUnit } from './commit-unit.ts';
import { DamagedRows } from './damaged-rows.ts';
import type { Connection } from './database.ts';
import { type DeadLetterOrder, type OrderReceipt, settleDeadLetters } from './dead-letter-orders.ts';
import type { DeadLetterFilter, StoredDeadLetter } from './dead-letters.ts';
import type { JournalBatch } from './journal.ts';
import { expectedOpen, expectedPending, type LedgerState, ledgerOf, type SinkState } from './ledger-book.ts';
import { loadState } from './load-state.ts';
import type { MachineState } from './machine-tables.ts';
import { type OpenedDatabase, openDatabase, openingFailed } from './open-database.ts';
import { OrderBox } from './order-box.ts';
import { outboxRowsPerRecount } from './outbox.ts';
import { encodePoints } from './points-codec.ts';
import { removeSuspectNote, type StandingDamage } from './quarantine.ts';
import { QuarantineKeeper } from './quarantine-keeper.ts';
import { ReadOnlyStore } from './read-only-store.ts';
import { bookRecovered } from './recovered-samples.ts';
import { Salvager } from './salvager.ts';
import { SoundRows, type StoreRecovery } from './sound-rows.ts';
import { storeMetrics } from './store-metrics.ts';
import { StoreWriter, type WriterOptions } from './store-writer.ts';
import type { StoreStatus } from './transactions.ts';
import type { WearForecast } from './wear-meter.ts';

export type { CommitUnit } from './commit-unit.ts';
export type { StoreRecovery } from './sound-rows.ts';

export interface StoreOptions extends WriterOptions {
  /** Names of the configured sinks. */
  readonly sinks: readonly string[];
}

export interface LedgerCheck {
  readonly balanced: boolean;
  /** What the accounts expect minus what was counted. */
  readonly difference: { readonly samples: number; readonly points: Readonly<Record<string, number>> };
}

const ROWS_PER_STEP = 64;

/**
 * Opens the store of a data directory, making what is missing.
 *
 * @throws GatewayError MW_STORE_IN_USE, MW_STORE_OPEN, MW_STORE_SCHEMA_NEWER. Damage never throws: the files are
 * moved to `quarantine/` and what can be read of them is brought back.
 */
export function openStore(options: StoreOptions): Store {
  const opened = openDatabase(options.dataDir, options.now(), options.logger);
  try {
    return new Store(options, opened);
  } catch (error) {
    opened.db.close();
    opened.lock.close();
    throw openingFailed(error, options.dataDir);
  }
}

/** The store for looking into, also beside a running gateway. @throws GatewayError MW_STORE_OPEN */
export function openStoreReadOnly(dataDir: string): ReadOnlyStore {
  return new ReadOnlyStore(dataDir);
}

/** The store of a running gateway. */
export class Store implements MetricSource, OutboxReader {
  readonly recovery: StoreRecovery;
  readonly #options: StoreOptions;
  readonly #db: Connection;
  readonly #lock: Connection;
  readonly #writer: StoreWriter;
  readonly #sound: SoundRows;
  readonly #keeper: QuarantineKeeper;
  readonly #channels: ChannelRef[];
  readonly #closedUntil: Map<string, number>;
  readonly #orders: OrderBox;
  #salvager: Salvager | null;
  readonly #ageing: Ageing;

  constructor(options: StoreOptions, opened: OpenedDatabase) {
    const { db, lock, quarantined, migratedFrom, log } = opened;
    this.#options = options;
    this.#db = db;
    this.#lock = lock;
    this.#orders = new OrderBox(options.dataDir, options.logger);
    const damaged = new DamagedRows(db, options.now);
    this.#salvager = Salvager.begin(db, options.dataDir, options.logger);
    this.#keeper = new QuarantineKeeper(options.dataDir, options.config.maxQuarantineBytes);
    this.#keeper.look(options.now());
    if (quarantined !== null) this.#keeper.prune();
    this.#writer = new StoreWriter(db, options);
    this.#writer.isSalvaging = this.#salvager !== null;
    const { channels, ...channelRows } = this.#writer.machines.loadChannels();
    const { closedUntil, ...closedRows } = this.#writer.machines.loadClosedUntil();
    const { journal, ledger, outbox } = this.#writer;
    const loaded = loadState({
      ...{ db, journal, ledger, outbox, sinks: options.sinks, logger: options.logger },
      salvaging: this.#salvager !== null,
      keepDamaged: (origin, key, ...columns) => damaged.keep(origin, key, ...columns),
    });
    this.#writer.begin(loaded.state);
    this.#writer.ballast.take(options.config.minFreeBytes);
    this.#ageing = new Ageing(this.#writer, options);
    // A medium that refuses writes shows here, not at the first message; reading and sending go on all the same.
    this.#saveUnlessFull();
    this.#channels = channels;
    this.#closedUntil = closedUntil;
    this.recovery = {
      quarantined,
      migratedFrom,
      repairedRows: log.repairedBits + loaded.repairedRows + channelRows.repaired + closedRows.repaired,
      lostRows: log.lostCommits + loaded.lostRows + channelRows.lost + closedRows.lost,
      lostBatches: 0,
      pendingDifference: loaded.pendingDifference,
    };
    this.#sound = new SoundRows({
      db,
      writer: this.#writer,
      damaged,
      recovery: this.recovery,
      logger: options.logger,
    });
  }

  /** Whether new data is taken; see `StoreStatus`. */
  get status(): StoreStatus {
    return this.#writer.transactions.status;
  }

  /** Bytes of the database file in use, beside the write-ahead log. */
  get bytes(): number {
    return this.#writer.budget.fileBytes - this.#writer.budget.reusableBytes;
  }

  /** True while rows of a damaged file are still coming back: the accounts know of points that are not there. */
  get isSalvaging(): boolean {
    return this.#salvager !== null;
  }

  /** True while records are refused because those of open windows have used up their share. */
  get isJournalFull(): boolean {
    return this.#writer.isJournalFull;
  }

  /** Newest time of day this store was told while the clock was believed, ms; 0 before the first. */
  get lastKnownMs(): number {
    return this.#writer.state.lastKnownMs ?? 0;
  }

  /** The time of day moved by this much more than time passed: no row is older for it. Durable with the next save. */
  clockMoved(byMs: number): void {
    this.#ageing.clockMoved(byMs);
  }

  /** What the store writes and what that makes of the medium. */
  get wear(): WearForecast {
    return this.#writer.wear.forecast;
  }

  /** A damaged file that was moved aside and that nobody has taken away yet; looked for once a minute. */
  get damage(): StandingDamage | null {
    return this.#keeper.damage;
  }

  /** The id the journal batch of the next commit will have. */
  nextBatchId(): number {
    return this.#writer.state.nextBatchId;
  }

  /**
   * Makes everything in the unit durable: one transaction, one flush. A unit with nothing to store writes nothing.
   *
   * @throws GatewayError MW_STORE_WRITE: nothing changed, offer it again later; MW_STORE_FSYNC: what is on the disk is
   * unknown, end the process and start anew
   */
  commit(unit: CommitUnit): void {
    this.#writer.commit(unit);
  }

  /** Channels known from earlier runs, by index. */
  channels(): ChannelRef[] {
    return [...this.#channels];
  }

  /** Per machine the end of the last window whose result is stored, as of the start. */
  closedUntil(): Map<string, number> {
    return new Map(this.#closedUntil);
  }

  /** Every machine's own state; damaged ones are left out, kept aside and counted in `recovery`. */
  machineStates(): Iterable<MachineState> {
    return this.#sound.states();
  }

  /** The journal in ascending order; damaged batches are left out, kept aside and counted in `recovery`. */
  journalBatches(): Iterable<JournalBatch> {
    return this.#sound.journal();
  }

  /**
   * To be called once after the journal was replayed; see `bookRecovered`.
   *
   * @param openSamples samples in open windows now
   * @returns what stays unexplained, 0 if nothing
   */
  bookRecovered(openSamples: number): number {
    const { recovery } = this;
    const isDamaged = recovery.lostBatches + recovery.lostRows > 0 || recovery.quarantined !== null;
    const booked = bookRecovered(this.#writer.state, openSamples, isDamaged);
    if (!booked.isNothing) {
      this.#writer.writeApart((draft) => booked.apply(draft));
      this.#options.logger.warn(booked.counts, 'samples accepted before the restart did not come back');
    }
    return booked.counts.unexplained;
  }

  /** See `OutboxReader`. Damaged batches are set aside and counted on the way. */
  readOutbox(sink: string, maxPoints: number, lane: 'live' | 'backlog', afterId = 0): OutboxBatch[] {
    const { outbox, transactions } = this.#writer;
    for (;;) {
      const { batches, bad } = transactions.read(() =>
        outbox.read(this.#sink(sink), maxPoints, lane, afterId),
      );
      if (bad.length === 0) {
        for (const { id } of batches) outbox.handedOut(id);
        return batches;
      }
      this.#sound.setBatchesAside(bad);
    }
  }

  /**
   * Moves the sink's cursor over a batch. Travels with a later commit: losing it to a crash means sending it again.
   * A batch evicted or settled meanwhile is passed over.
   */
  settleOutbox(sink: string, batchId: number, outcome: SettleOutcome): void {
    const { state, outbox, transactions } = this.#writer;
    const refused = outcome.deadLettered;
    if (!transactions.read(() => outbox.settle(state, this.#sink(sink), batchId, refused.length))) return;
    const receivedMs = this.#options.now();
    this.#writer.addRefused(
      refused.map(({ point, reason }) => ({
        reason: 'rejected_by_sink',
        detail: reason.slice(0, 1024),
        source: `sink:${sink}`,
        payload: encodePoints([point], Infinity).body,
        receivedMs,
      })),
    );
    this.#writer.noteSettled();
    if (this.#writer.isOverdue) this.#saveUnlessFull();
  }

  /** What only memory knows goes to the disk; where it can't now, a later call tries again. */
  #saveUnlessFull(): void {
    unlessFull(() => this.#writer.writeApart(() => {}));
  }

  /** What the sink has not taken yet. */
  backlog(sink: string): OutboxBacklog {
    const state = this.#sink(sink);
    const oldestMs = this.#writer.transactions.read(() => this.#writer.outbox.oldestMs(state));
    return { points: state.pendingPoints, bytes: state.pendingBytes, oldestMs };
  }

  #sink(name: string): SinkState {
    const sink = this.#writer.state.sinks.find((candidate) => candidate.name === name);
    if (sink) return sink;
    throw new GatewayError('MW_INTERNAL', `the store does not know the sink ${name}`);
  }

  /** Dead letters in id order; damaged ones are left out, kept aside and counted in `recovery`. */
  deadLetters(filter: DeadLetterFilter = {}): StoredDeadLetter[] {
    return this.#sound.deadLetters(filter);
  }

  /** Does what a person decided about dead letters. @throws GatewayError MW_STORE_WRITE, MW_STORE_FSYNC */
  settleDeadLetters(order: DeadLetterOrder): OrderReceipt {
    return settleDeadLetters(this.#writer, order, this.#options.now());
  }

  /** The accounts. `open` is what the account says; `checkLedger` compares it with the windows. */
  ledger(): Ledger {
    return ledgerOf(this.#writer.state);
  }

  /**
   * Compares the accounts with what is there. While a damaged file is being brought back, its points are missing.
   *
   * @param openSamples samples in open windows now, taken but uncommitted ones not included
   */
  checkLedger(openSamples: number): LedgerCheck {
    const { state } = this.#writer;
    const counted = this.#recounted(state);
    const points: Record<string, number> = {};
    for (const sink of state.sinks) points[sink.name] = expectedPending(sink) - counted.get(sink.name)!;
    const samples = expectedOpen(state.samples) - openSamples;
    const balanced = samples === 0 && Object.values(points).every((difference) => difference === 0);
    return { balanced, difference: { samples, points } };
  }

  /** Pending points per sink, counted from the rows unless those are too many to walk in passing. */
  #recounted(state: LedgerState): Map<string, number> {
    const { outbox } = this.#writer;
    const copies = state.sinks.map((sink) => ({ ...sink }));
    if (outbox.idSpan() <= outboxRowsPerRecount) outbox.count(copies);
    return new Map(copies.map((sink) => [sink.name, sink.pendingPoints]));
  }

  /**
   * One bounded piece of the work that can wait: saving, folding the log back, evicting by age, orders of the command
   * line, filling the history, bringing back rows of a damaged file. Writes nothing where nothing happened.
   *
   * @returns true if there is more to do at once
   */
  idleStep(): boolean {
    if (this.status === 'suspect') return false;
    if (this.#writer.isOverdue) this.#saveUnlessFull();
    this.#writer.transactions.whenIdle();
    this.#restoreBallast();
    this.#keeper.look(this.#options.now());
    const aged = this.#ageing.step(ROWS_PER_STEP);
    const served = this.#orders.serve((order) => this.settleDeadLetters(order));
    const folded = unlessFull(() => this.#writer.historyStep()) ?? false;
    return this.salvageStep() || aged || served || folded;
  }

  #restoreBallast(): void {
    const { ballast } = this.#writer;
    if (!ballast.held && this.status === 'ok') ballast.take(2 * this.#options.config.minFreeBytes);
  }

  /** Brings back a few rows of a damaged file that was moved aside. @returns true while there is more */
  salvageStep(): boolean {
    if (this.#salvager === null) return false;
    const items = this.#salvager.take(ROWS_PER_STEP);
    const salvager = this.#salvager;
    this.#writer.writeApart((draft) => {
      for (const item of items) salvager.restore(item, draft, this.#writer);
    });
    if (items.length === ROWS_PER_STEP) return true;
    salvager.finish();
    this.#keeper.prune();
    this.#salvager = Salvager.next(this.#options.dataDir, this.#options.logger);
    if (this.#salvager !== null) return true;
    this.#writer.isSalvaging = false;
    this.#writer.history?.salvaged();
    this.#writer.writeApart((draft) => salvager.closeAccounts(draft));
    return false;
  }

  /** Counters and gauges of this room. */
  metrics(): MetricSample[] {
    const { wear } = this.#writer;
    return [...storeMetrics(this.#writer, this.#salvager), ...this.#keeper.metrics(), ...wear.metrics()];
  }

  /** Saves what waits, folds the log back and gives the directory free. Never throws. */
  close(): void {
    try {
      if (this.status !== 'suspect' && this.#writer.hasUnsaved) this.#writer.writeApart(() => {});
      if (this.status === 'ok') removeSuspectNote(this.#options.dataDir);
    } catch (error) {
      this.#options.logger.error({ reason: String(error) }, 'closing the store lost what waited to be saved');
    }
    this.#salvager?.close();
    this.#db.close();
    this.#lock.close();
  }
}

/** Undefined where the disk takes nothing now: a later call tries again. */
function unlessFull<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'MW_STORE_WRITE') return undefined;
    throw error;
  }
}
