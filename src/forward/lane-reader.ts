/**
 * Outbox of one sink -> the batches each of two lanes may send.
 *
 * Batch ids grow. What came after the newest batch the live lane has seen is the live lane's, newest first; everything
 * up to it is the backlog's, oldest first. So after an outage the newest data goes out at once, nothing is sent by
 * both lanes, and one number is all there is to remember.
 *
 * Points that revise earlier ones are no news: whichever arrives last stays in the database, so they go as backlog, and
 * only when everything older is settled or goes before them.
 */

import type { OutboxBatch, OutboxReader } from '../domain/outbox.ts';
import { isRevision } from '../domain/points-of.ts';

export type LaneName = 'live' | 'backlog';

export class LaneReader {
  readonly #outbox: OutboxReader;
  readonly #sink: string;
  readonly #taken = new Set<number>();
  /** Those of them that the live lane took. */
  readonly #takenAsLive = new Set<number>();
  #newestSeen = 0;

  constructor(outbox: OutboxReader, sink: string) {
    this.#outbox = outbox;
    this.#sink = sink;
  }

  /**
   * Batches of about `maxPoints` points in ascending order, now taken; empty when the lane has none.
   * @param afterId the backlog lane goes on after this batch; what it skips it finds again the next time
   */
  take(lane: LaneName, maxPoints: number, afterId = 0): OutboxBatch[] {
    const isLive = lane === 'live';
    const batches = this.#outbox
      .readOutbox(this.#sink, maxPoints, lane, isLive ? this.#newestSeen : afterId)
      .filter(({ id }) => !this.#taken.has(id) && id > this.#newestSeen === isLive)
      .sort((a, b) => a.id - b.id);
    if (isLive) this.#newestSeen = batches.at(-1)?.id ?? this.#newestSeen;
    const taken = isLive ? batches.filter((batch) => !revises(batch)) : this.#withoutOvertaking(batches);
    for (const { id } of taken) {
      this.#taken.add(id);
      if (isLive) this.#takenAsLive.add(id);
    }
    return taken;
  }

  /** Up to the first batch that may revise what is under way. */
  #withoutOvertaking(batches: OutboxBatch[]): OutboxBatch[] {
    let oldestLive = Number.POSITIVE_INFINITY;
    for (const id of this.#takenAsLive) oldestLive = Math.min(oldestLive, id);
    const end = batches.findIndex((batch) => batch.id > oldestLive && revises(batch));
    return end < 0 ? batches : batches.slice(0, end);
  }

  /** Settled, or given back to the outbox as backlog. */
  release(batches: readonly OutboxBatch[]): void {
    for (const { id } of batches) {
      this.#taken.delete(id);
      this.#takenAsLive.delete(id);
    }
  }

  /** Given back as live: with whatever came meanwhile, the newest of them go first the next time. */
  releaseAsLive(batches: readonly OutboxBatch[]): void {
    this.release(batches);
    if (batches.length > 0) this.#newestSeen = Math.min(this.#newestSeen, batches[0]!.id - 1);
  }
}

function revises({ points }: OutboxBatch): boolean {
  return points.some(isRevision);
}
