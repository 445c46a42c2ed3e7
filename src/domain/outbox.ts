/** How a forwarder sees the outbox. */

import type { Point } from './point.ts';

export interface OutboxBatch {
  readonly id: number;
  readonly points: readonly Point[];
}

export interface OutboxBacklog {
  readonly points: number;
  readonly bytes: number;
  /** Commit time of the oldest batch not yet taken, ms; null when empty, or when the clock was not set then. */
  readonly oldestMs: number | null;
}

export interface SettleOutcome {
  readonly delivered: number;
  readonly deadLettered: readonly { readonly point: Point; readonly reason: string }[];
}

/** One cursor per sink; a batch is deleted when every sink has taken it. */
export interface OutboxReader {
  /**
   * Oldest first on the backlog lane, newest first on the live lane; at least one batch if there is any.
   * `afterId` spares reading batches with an id up to it; returning them all the same does no harm.
   */
  readOutbox(sink: string, maxPoints: number, lane: 'live' | 'backlog', afterId?: number): OutboxBatch[];
  settleOutbox(sink: string, batchId: number, outcome: SettleOutcome): void;
  backlog(sink: string): OutboxBacklog;
}
