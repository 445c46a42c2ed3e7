/**
 * What was accepted, settled, sent and lost in, the two accounts of `domain/ledger.ts` out.
 *
 * A `LedgerState` is a plain value: a commit works on a draft and the draft becomes the truth when the transaction has
 * been flushed. Sample totals also stand in the head of every journal batch, so that a commit that only appends to
 * the journal need not touch the ledger's page.
 */

import type { Ledger, SampleLedger } from '../domain/ledger.ts';
import type { Cursor } from './id-ranges.ts';
import type { TwinKey, TwinTable } from './twin-table.ts';

/** One sink's cursor and account. `pending*` is counted from the outbox, never stored. */
export interface SinkState {
  readonly name: string;
  cursor: Cursor;
  produced: number;
  delivered: number;
  deadLettered: number;
  evicted: number;
  quarantined: number;
  pendingPoints: number;
  pendingBytes: number;
}

/** Totals that stand in every journal batch. */
export interface SampleTotals extends SampleLedger {
  /** Of the accepted, those that are not in the journal (`durability: memory`). */
  volatileAccepted: number;
}

export interface LedgerState {
  samples: SampleTotals;
  deadLetteredMessages: number;
  /** Dead letters that gave way to newer ones. */
  deadLettersDropped: number;
  /** Ids are never used twice, also when the tables are empty. */
  nextBatchId: number;
  nextOutboxId: number;
  nextDeadLetterId: number;
  sinks: SinkState[];
}

/** Nothing happened yet. */
export function emptyLedger(): LedgerState {
  return {
    samples: {
      ...{ accepted: 0, windowed: 0, late: 0, duplicate: 0, evicted: 0, quarantined: 0 },
      volatileAccepted: 0,
    },
    deadLetteredMessages: 0,
    deadLettersDropped: 0,
    nextBatchId: 1,
    nextOutboxId: 1,
    nextDeadLetterId: 1,
    sinks: [],
  };
}

/** A sink that starts after everything there is. */
export function newSink(name: string, floor: number): SinkState {
  return {
    name,
    cursor: { floor, taken: [] },
    produced: 0,
    delivered: 0,
    deadLettered: 0,
    evicted: 0,
    quarantined: 0,
    pendingPoints: 0,
    pendingBytes: 0,
  };
}

/** A copy that may be changed without the original noticing. Cursors are immutable and shared. */
export function draftOf(state: LedgerState): LedgerState {
  return { ...state, samples: { ...state.samples }, sinks: state.sinks.map((sink) => ({ ...sink })) };
}

/** Samples that should still be open: accepted and not yet settled. */
export function expectedOpen(samples: SampleTotals): number {
  const { accepted, windowed, late, duplicate, evicted, quarantined } = samples;
  return accepted - windowed - late - duplicate - evicted - quarantined;
}

/** Points of a sink that should still be in the outbox. */
export function expectedPending(sink: SinkState): number {
  return sink.produced - sink.delivered - sink.deadLettered - sink.evicted - sink.quarantined;
}

/** The rows of a ledger state: one for the totals and one per sink, all on one page. */
export function writeLedger(table: TwinTable, state: LedgerState): void {
  const { sinks, ...totals } = state;
  table.write('totals', totals);
  for (const { pendingPoints: _points, pendingBytes: _bytes, ...sink } of sinks)
    table.write(`sink/${sink.name}`, sink);
}

/** What the ledger table says. */
export interface LedgerRead {
  /** Null where the totals are missing or damaged in both copies. */
  readonly totals: Omit<LedgerState, 'sinks'> | null;
  readonly sinks: Map<string, SinkState>;
}

/** Sorts the rows of the ledger table. */
export function ledgerFrom(values: ReadonlyMap<TwinKey, unknown>): LedgerRead {
  const sinks = new Map<string, SinkState>();
  let totals: LedgerRead['totals'] = null;
  for (const [name, value] of values) {
    if (name === 'totals') totals = value as Omit<LedgerState, 'sinks'>;
    else {
      const sink = value as Omit<SinkState, 'pendingPoints' | 'pendingBytes'>;
      sinks.set(sink.name, { ...sink, pendingPoints: 0, pendingBytes: 0 });
    }
  }
  return { totals, sinks };
}

/** The accounts in the words of the domain. */
export function ledgerOf(state: LedgerState): Ledger {
  const { volatileAccepted: _inMemory, ...samples } = state.samples;
  return {
    samples: { ...samples, open: expectedOpen(state.samples) },
    points: state.sinks.map((sink) => ({
      sink: sink.name,
      produced: sink.produced,
      delivered: sink.delivered,
      deadLettered: sink.deadLettered,
      evicted: sink.evicted,
      quarantined: sink.quarantined,
      pending: sink.pendingPoints,
    })),
    deadLetteredMessages: state.deadLetteredMessages,
  };
}
