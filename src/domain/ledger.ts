/**
 * The two accounts that always balance. Every term is persisted and exported as a metric.
 *
 *   samples: accepted = open + windowed + late + duplicate + evicted + quarantined
 *   points:  produced = pending + delivered + deadLettered + degraded + evicted + quarantined   (one account per sink)
 */

import type { PointClass } from './point.ts';

export interface SampleLedger {
  /** Samples taken into the pipeline (a waveform block counts its samples). */
  accepted: number;
  /** Settled: the last window that holds the sample is closed and its result is in the outbox. */
  windowed: number;
  late: number;
  duplicate: number;
  evicted: number;
  quarantined: number;
}

/** Points of one class given up for want of room or for their age. */
export interface OverflowCounts {
  /** Dropped to thin a series out: its other windows are still there. */
  readonly degraded: number;
  readonly evicted: number;
  /** Earliest and latest time in the batches concerned, ms; null while nothing was given up. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
}

export interface PointLedger {
  readonly sink: string;
  produced: number;
  delivered: number;
  deadLettered: number;
  /** Sum of `overflow` over the classes, as is `evicted`. */
  degraded: number;
  evicted: number;
  overflow: Readonly<Record<PointClass, OverflowCounts>>;
  quarantined: number;
  /** Counted from the outbox, not derived. */
  pending: number;
}

export interface Ledger {
  readonly samples: SampleLedger & { readonly open: number };
  readonly points: readonly PointLedger[];
  /** Messages acknowledged and kept verbatim because they could not be used. */
  readonly deadLetteredMessages: number;
}
