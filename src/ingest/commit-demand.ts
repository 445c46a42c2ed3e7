/**
 * Arrivals and commits of one connection enter, the word "commit now, this sender waits" leaves.
 *
 * A client with an in-flight allowance of 20 sends 20 messages and falls silent until they are acknowledged: at
 * one commit every 50 ms it gets 400 messages a second, whatever the disk could do. The number at which it falls
 * silent is its plateau; once that is known, reaching it again is the moment to commit. A paced sender never falls
 * silent because of us and must never be taken for one that does, or every connection would force its own fsync.
 */

/** Fewer pending messages than this are no allowance worth a commit. */
const MIN_PLATEAU = 8;
/** Silence that counts as waiting: longer than this, and than eight times the usual distance of arrivals. */
const MIN_SILENCE_MS = 4;
const SILENCE_FACTOR = 8;
/** The same count must be seen this often in a row; jitter of a paced sender rarely repeats a number. */
const CONFIRMATIONS = 2;
const MEAN_WEIGHT = 1 / 16;

/** One per connection; a few additions per message, no timers. */
export class CommitDemand {
  #plateau = 0;
  #candidate = 0;
  #confirmed = 0;
  #lastArrivalMs = 0;
  /** Mean distance of arrivals while something was pending, ms. */
  #meanGapMs = 0;

  /** Pending messages at which the sender is known to wait; 0 while unknown. */
  get plateau(): number {
    return this.#plateau;
  }

  /**
   * A message arrived and `pending` now wait, it included. True: commit at once.
   * @param nowMs monotonic
   */
  arrived(pending: number, nowMs: number): boolean {
    // The first one after an acknowledgement ends a pause that was ours, not the sender's.
    if (pending > 1) this.#meanGapMs += (nowMs - this.#lastArrivalMs - this.#meanGapMs) * MEAN_WEIGHT;
    this.#lastArrivalMs = nowMs;
    if (this.#plateau === 0) return false;
    if (pending > this.#plateau) {
      // It went on without an acknowledgement, so it did not wait.
      this.#forget();
      return false;
    }
    return pending === this.#plateau;
  }

  /** A commit is about to acknowledge: `pending` messages waited until now. */
  committed(pending: number, nowMs: number): void {
    if (pending < MIN_PLATEAU || this.#plateau > 0) return;
    const silenceMs = nowMs - this.#lastArrivalMs;
    if (silenceMs <= Math.max(MIN_SILENCE_MS, SILENCE_FACTOR * this.#meanGapMs)) {
      this.#confirmed = 0;
      return;
    }
    this.#confirmed = pending === this.#candidate ? this.#confirmed + 1 : 1;
    this.#candidate = pending;
    if (this.#confirmed >= CONFIRMATIONS) this.#plateau = pending;
  }

  #forget(): void {
    this.#plateau = 0;
    this.#candidate = 0;
    this.#confirmed = 0;
  }
}
