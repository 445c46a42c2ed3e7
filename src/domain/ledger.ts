/**
 * The two accounts that always balance. Every term is persisted and exported as a metric.
 *
 *   samples: accepted = open + windowed + late + duplicate + evicted + quarantined
 *   points:  produced = pending + delivered + deadLettered + evicted + quarantined   (one account per sink)
 */

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

export interface PointLedger {
  readonly sink: string;
  produced: number;
  delivered: number;
  deadLettered: number;
  evicted: number;
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
