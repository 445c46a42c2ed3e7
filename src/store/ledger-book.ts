/**
 * What was accepted, settled, sent and lost in, the two accounts of `domain/ledger.ts` out.
 *
 * A `LedgerState` is a plain value: a commit works on a draft and the draft becomes the truth when the transaction has
 * been flushed. Sample totals also stand in the head of every journal batch, so that a commit that only appends to
 * the journal need not touch the ledger's page.
 */

import type { Ledger, OverflowCounts, SampleLedger } from '../domain/ledger.ts';
import { POINT_CLASSES, type PointClass } from '../domain/point.ts';
import type { Cursor } from './id-ranges.ts';
import type { TwinKey, TwinTable } from './twin-table.ts';

/** One sink's cursor and account. `pending*` is counted from the outbox, never stored. */
export interface SinkState {
  readonly name: string;
  cursor: Cursor;
  produced: number;
  delivered: number;
  deadLettered: number;
  degraded: number;
  evicted: number;
  /** The same by class; replaced as a whole, never changed. */
  overflow: Readonly<Record<PointClass, OverflowCounts>>;
  quarantined: number;
  pendingPoints: number;
  pendingBytes: number;
}

/** Totals that stand in every journal batch. */
export interface SampleTotals extends SampleLedger {
  /** Of the accepted ones that came into a window, those that are not in the journal (`durability: memory`). */
  volatileAccepted: number;
}

/** Samples that a crash would take: accepted, not in the journal, their window not yet stored. */
export function volatileOpen({ samples, volatileSettled }: LedgerState): number {
  return samples.volatileAccepted - volatileSettled;
}

export interface LedgerState {
  samples: SampleTotals;
  /** Of `samples.volatileAccepted`, those whose end is booked. Changes only with results: it need not be in a journal batch. */
  volatileSettled: number;
  /** Samples that stored windows may hold without being accepted yet: the store took results and refused records. */
  aheadSamples: number;
  deadLetteredMessages: number;
  /** Dead letters that gave way to newer ones. */
  deadLettersDropped: number;
  /** Ids are never used twice, also when the tables are empty. */
  nextBatchId: number;
  nextOutboxId: number;
  nextDeadLetterId: number;
  /** Bytes written to the medium and the time over which that was watched, ms; travels with whatever is saved. */
  writtenBytes: number;
  observedMs: number;
  /** Bytes in the outbox by class, taken by a sink or not; counted from the rows, never stored. */
  heldBytes: Readonly<Record<PointClass, number>>;
  sinks: SinkState[];
  /** Newest time of day that was believed, ms; missing in files of older versions. */
  lastKnownMs?: number;
  /** Time that no row of these ids has waited, though its stamp says so; missing in files of older versions. */
  ageCredits?: readonly AgeCredit[];
}

/** The clock moved by `byMs` while the rows `fromId` to `toId` waited or before they were stamped. */
export interface AgeCredit {
  readonly fromId: number;
  readonly toId: number;
  readonly byMs: number;
}

/** A record with one value for every class. */
export function perClass<T>(value: T): Record<PointClass, T> {
  return Object.fromEntries(POINT_CLASSES.map((name) => [name, value])) as Record<PointClass, T>;
}

const NOTHING_GIVEN_UP: OverflowCounts = { degraded: 0, evicted: 0, fromMs: null, toMs: null };

/** Nothing happened yet. */
export function emptyLedger(): LedgerState {
  return {
    samples: {
      ...{ accepted: 0, windowed: 0, late: 0, duplicate: 0, evicted: 0, quarantined: 0 },
      volatileAccepted: 0,
    },
    volatileSettled: 0,
    aheadSamples: 0,
    deadLetteredMessages: 0,
    deadLettersDropped: 0,
    nextBatchId: 1,
    nextOutboxId: 1,
    nextDeadLetterId: 1,
    writtenBytes: 0,
    observedMs: 0,
    heldBytes: perClass(0),
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
    degraded: 0,
    evicted: 0,
    overflow: perClass(NOTHING_GIVEN_UP),
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
  const { produced, delivered, deadLettered, degraded, evicted, quarantined } = sink;
  return produced - delivered - deadLettered - degraded - evicted - quarantined;
}

/** What was taken from a batch to make room. */
export interface GivenUp {
  readonly pointClass: PointClass;
  readonly points: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
}

/** Books points of one class that a sink will not get. */
export function bookGivenUp(sink: SinkState, how: 'degraded' | 'evicted', gone: GivenUp): void {
  const { pointClass, points, minTimeMs, maxTimeMs } = gone;
  const before = sink.overflow[pointClass];
  sink[how] += points;
  const after = {
    ...before,
    [how]: before[how] + points,
    fromMs: Math.min(before.fromMs ?? minTimeMs, minTimeMs),
    toMs: Math.max(before.toMs ?? maxTimeMs, maxTimeMs),
  };
  sink.overflow = { ...sink.overflow, [pointClass]: after };
}

/** Books bytes that came into the outbox or left it. */
export function bookHeld(state: LedgerState, pointClass: PointClass, bytes: number): void {
  state.heldBytes = { ...state.heldBytes, [pointClass]: state.heldBytes[pointClass] + bytes };
}

/** The rows of a ledger state: one for the totals and one per sink, all on one page. */
export function writeLedger(table: TwinTable, state: LedgerState): void {
  const { sinks, heldBytes: _counted, ...totals } = state;
  table.write('totals', totals);
  for (const { pendingPoints: _points, pendingBytes: _bytes, ...sink } of sinks)
    table.write(`sink/${sink.name}`, { ...sink, overflow: onlyGivenUp(sink.overflow) });
}

/** Classes that lost nothing take no room on the ledger's page, which every commit of results writes. */
function onlyGivenUp(overflow: SinkState['overflow']): Partial<SinkState['overflow']> {
  return Object.fromEntries(
    Object.entries(overflow).filter(([, { degraded, evicted }]) => degraded + evicted > 0),
  );
}

/** What the ledger table says. */
export interface LedgerRead {
  /** Null where the totals are missing or damaged in both copies. */
  readonly totals: Omit<LedgerState, 'sinks' | 'heldBytes'> | null;
  readonly sinks: Map<string, SinkState>;
}

/** Sorts the rows of the ledger table. */
export function ledgerFrom(values: ReadonlyMap<TwinKey, unknown>): LedgerRead {
  const sinks = new Map<string, SinkState>();
  let totals: LedgerRead['totals'] = null;
  for (const [name, value] of values) {
    if (name === 'totals') totals = value as LedgerRead['totals'];
    else {
      const sink = value as Omit<SinkState, 'pendingPoints' | 'pendingBytes'>;
      // A term that an older version did not know starts at nothing.
      const { overflow, ...fresh } = newSink(sink.name, 0);
      sinks.set(sink.name, { ...fresh, ...sink, overflow: { ...overflow, ...sink.overflow } });
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
      degraded: sink.degraded,
      evicted: sink.evicted,
      overflow: sink.overflow,
      quarantined: sink.quarantined,
      pending: sink.pendingPoints,
    })),
    deadLetteredMessages: state.deadLetteredMessages,
  };
}
