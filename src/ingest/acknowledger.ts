/** Committed ring positions enter, the acknowledgements they allow leave, and early commits are asked for. */

import type { IngestCounters } from './ingest-counters.ts';
import type { PublishLane } from './publish-lane.ts';

/** One per source: knows which connections wait, and for what. */
export class Acknowledger {
  readonly #counters: IngestCounters;
  readonly #requestCommit: () => void;
  readonly #waiting = new Set<PublishLane>();
  /** Released in order: one that needs less than its elder waits for it. */
  #held: { readonly position: number; readonly release: () => void }[] = [];
  #committed = 0;
  /** Position at the last request that is not answered yet; -1 without one. */
  #requested = -1;
  /** Position a waiting sender needs. */
  #wanted = -1;

  constructor(counters: IngestCounters, requestCommit: () => void) {
    this.#counters = counters;
    this.#requestCommit = requestCommit;
  }

  /** Everything written before this position is durable. */
  get committed(): number {
    return this.#committed;
  }

  /** QoS 1 and held messages that wait. */
  get pending(): number {
    let pending = this.#held.length;
    for (const lane of this.#waiting) pending += lane.pending;
    return pending;
  }

  /** The lane has something that waits. */
  enlist(lane: PublishLane): void {
    this.#waiting.add(lane);
  }

  /** The lane's connection is gone. */
  retire(lane: PublishLane): void {
    this.#waiting.delete(lane);
  }

  /** Calls back once `position` is durable; at once if it is. For messages that another party acknowledges. */
  whenCommitted(position: number, release: () => void): void {
    if (position <= this.#committed) release();
    else this.#held.push({ position, release });
  }

  /** A sender waits for `position`: commit now. Requests under way are not repeated. */
  want(position: number): void {
    this.#wanted = position;
    if (this.#requested >= 0) return;
    this.#request(position);
  }

  /** @param nowMs monotonic */
  onCommitted(position: number, nowMs: number): void {
    this.#committed = position;
    for (const lane of this.#waiting) {
      lane.acknowledge(position, nowMs);
      if (lane.pending === 0) this.#waiting.delete(lane);
    }
    this.#releaseHeld(position);
    if (this.#requested > position) return;
    this.#requested = -1;
    if (this.#wanted > position) this.#request(this.#wanted);
  }

  #request(position: number): void {
    this.#requested = position;
    this.#counters.forcedCommits += 1;
    this.#requestCommit();
  }

  #releaseHeld(position: number): void {
    let count = 0;
    while (count < this.#held.length && this.#held[count]!.position <= position) count += 1;
    if (count === 0) return;
    const released = this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
    for (const { release } of released) release();
  }
}
