/**
 * How long vectors waited for their models enters, how many may wait at once leaves: as many as are answered well within
 * the deadline.
 *
 * Windows that come faster than models answer (a restart, a broker that is back, a recording) wait before the room, where
 * they keep their scores, instead of in it, where the deadline strikes them. How fast the models are is learned: the
 * room grows while it is used and left quickly, and is halved where vectors stay too long, as a TCP sender does with
 * its window (additive increase, multiplicative decrease).
 */

const LEAST = 16;
/** Weight of one vector in the mean pace. */
const PACE_WEIGHT = 0.02;

export class WaitingRoom {
  readonly #most: number;
  readonly #deadlineMs: number;
  #size: number;
  #halvedAtMs = Number.NEGATIVE_INFINITY;
  #perSecond = Number.POSITIVE_INFINITY;

  constructor(maxQueue: number, deadlineMs: number) {
    this.#most = maxQueue;
    this.#deadlineMs = deadlineMs;
    this.#size = Math.min(LEAST, maxQueue);
  }

  /** Vectors that may wait. */
  get size(): number {
    return this.#size;
  }

  /** Vectors that leave in a second where others wait, answered or not: occupied / stayed (Little's law). */
  get perSecond(): number {
    return this.#perSecond;
  }

  /** A vector leaves. @param occupied those that wait, with it; times monotonic, ms */
  left(enteredMs: number, nowMs: number, occupied: number): void {
    const stayedMs = nowMs - enteredMs;
    if (stayedMs > 0) this.#pace((1000 * occupied) / stayedMs);
    if (stayedMs > this.#deadlineMs / 2) this.#halve(enteredMs, nowMs);
    // What is not used up says nothing about more.
    else if (stayedMs < this.#deadlineMs / 4 && 2 * occupied >= this.#size)
      this.#size = Math.min(this.#most, this.#size + 1);
  }

  #pace(perSecond: number): void {
    const before = Number.isFinite(this.#perSecond) ? this.#perSecond : perSecond;
    this.#perSecond = before + PACE_WEIGHT * (perSecond - before);
  }

  /** Those that entered the larger room say nothing about the smaller one. */
  #halve(enteredMs: number, nowMs: number): void {
    if (enteredMs < this.#halvedAtMs) return;
    this.#size = Math.max(Math.min(LEAST, this.#most), this.#size >> 1);
    this.#halvedAtMs = nowMs;
  }
}
