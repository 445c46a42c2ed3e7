/**
 * An opened database in, the accounts as they stand out, compared with what the rows say. Differences are booked and
 * reported, never passed over.
 */

import type { Logger } from '../telemetry/logger.ts';
import type { Connection } from './database.ts';
import type { Journal } from './journal.ts';
import {
  bookHeld,
  emptyLedger,
  expectedPending,
  type LedgerRead,
  type LedgerState,
  ledgerFrom,
  newSink,
  type SinkState,
  writeLedger,
} from './ledger-book.ts';
import type { Outbox } from './outbox.ts';
import { rowBytes } from './outbox-codec.ts';
import { largestId } from './salvage.ts';
import type { TwinTable } from './twin-table.ts';

export interface LoadInput {
  readonly db: Connection;
  readonly ledger: TwinTable;
  readonly journal: Journal;
  readonly outbox: Outbox;
  readonly sinks: readonly string[];
  /** Rows of an older, damaged file are still being brought back: points may be missing for now. */
  readonly salvaging: boolean;
  readonly logger: Logger;
  keepDamaged(origin: string, key: string | number, ...columns: readonly unknown[]): void;
}

export interface LoadedState {
  readonly state: LedgerState;
  /** Rows that were made whole from their second copy. */
  readonly repairedRows: number;
  /** Rows that could not be believed. */
  readonly lostRows: number;
  /** Per sink: points the ledger knows and the outbox does not have. Negative: the other way round. */
  readonly pendingDifference: Readonly<Record<string, number>>;
}

/**
 * Reads, counts, compares, books the differences. Writes only what a person must be able to see afterwards: a disk that
 * is full must not keep a sound store from opening.
 */
export function loadState(input: LoadInput): LoadedState {
  const { values, damaged, lost } = input.ledger.loadAndRepair();
  const read = ledgerFrom(values);
  const state = withTotals(input, read);
  const gone = adoptSinks(input, state, read, lost > 0 || input.salvaging);
  const badHeads = input.outbox.count([...state.sinks, ...gone], (head) =>
    bookHeld(state, head.pointClass, rowBytes(head)),
  );
  const loaded = { state, repairedRows: damaged.length - lost, lostRows: lost + badHeads.length };
  let pendingDifference = differencesOf(state.sinks);
  const isAsFound = Object.keys(pendingDifference).length === 0 && badHeads.length + gone.length + lost === 0;
  if (isAsFound) return { ...loaded, pendingDifference };
  input.db.transaction(() => {
    for (const id of badHeads) {
      const row = input.outbox.quarantine(state, id);
      if (row) input.keepDamaged('outbox', id, row.head, row.body);
    }
    for (const sink of gone) {
      input.ledger.remove(`sink/${sink.name}`);
      input.logger.warn(
        { sink: sink.name, points: sink.pendingPoints },
        'sink left the configuration; its backlog is given up',
      );
    }
    pendingDifference = differencesOf(state.sinks);
    for (const sink of input.salvaging ? [] : state.sinks) {
      const difference = pendingDifference[sink.name];
      if (difference !== undefined) book(sink, difference, input.logger);
    }
    writeLedger(input.ledger, state);
  })();
  return { ...loaded, pendingDifference };
}

/** Points each sink's account expects beyond what was counted; sinks without a difference are left out. */
function differencesOf(sinks: readonly SinkState[]): Record<string, number> {
  const differences = sinks.map((sink) => [sink.name, expectedPending(sink) - sink.pendingPoints] as const);
  return Object.fromEntries(differences.filter(([, difference]) => difference !== 0));
}

/** The newer of what the ledger and the journal say. */
function withTotals({ db, journal }: LoadInput, read: LedgerRead): LedgerState {
  const state: LedgerState = { ...emptyLedger(), ...read.totals };
  const newest = journal.newestTotals(64);
  if (newest !== null && newest.id >= state.nextBatchId) state.samples = newest.totals;
  // Written by a version that did not tell them apart.
  if (read.totals !== null && read.totals.volatileSettled === undefined)
    state.volatileSettled = state.samples.volatileAccepted;
  const taken = [...read.sinks.values()].flatMap(({ cursor }) => [
    cursor.floor,
    ...cursor.taken.map(([, to]) => to),
  ]);
  state.nextBatchId = Math.max(state.nextBatchId, (largestId(db, 'journal') ?? 0) + 1);
  // A reused id below a cursor would never be sent.
  state.nextOutboxId = Math.max(
    state.nextOutboxId,
    (largestId(db, 'outbox') ?? 0) + 1,
    ...taken.map((id) => id + 1),
  );
  state.nextDeadLetterId = Math.max(state.nextDeadLetterId, (largestId(db, 'dead_letter') ?? 0) + 1);
  return state;
}

/** Gives each configured sink its account; returns those that are no longer configured. */
function adoptSinks(input: LoadInput, state: LedgerState, read: LedgerRead, rowsLost: boolean): SinkState[] {
  state.sinks = input.sinks.map((name) => {
    const known = read.sinks.get(name);
    if (known) return known;
    // An account that was lost starts again with everything there is: sending twice overwrites, not sending loses.
    return newSink(name, rowsLost ? 0 : state.nextOutboxId - 1);
  });
  return [...read.sinks.values()].filter((sink) => !input.sinks.includes(sink.name));
}

function book(sink: SinkState, difference: number, logger: Logger): void {
  if (difference > 0) sink.quarantined += difference;
  else sink.produced -= difference;
  logger.error(
    { sink: sink.name, difference },
    'the ledger and the outbox disagreed at start; the difference is booked',
  );
}
