/** Time and messages enter, how many more may be read now leaves: a token bucket. */

/** Messages a sender may save up, in seconds of its rate. */
const BURST_S = 0.25;

/** One per connection. */
export class RateBudget {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  /** @param nowMs monotonic */
  constructor(perSecond: number, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = Math.max(1, perSecond * BURST_S);
    this.#tokens = this.#burst;
    this.#atMs = nowMs;
  }

  /** Call once per chunk, before `take`. */
  refill(nowMs: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
  }

  /** False: the next message has to wait. @param cost of the message; may overdraw, so that any cost passes once */
  take(cost = 1): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= cost;
    return true;
  }

  /** The message that was taken turned out to cost this much more. */
  charge(cost: number): void {
    this.#tokens -= cost;
  }

  /** ms until `take` succeeds again, counted from the last refill. */
  get waitMs(): number {
    return this.#tokens >= 1 ? 0 : (1 - this.#tokens) / this.#perMs;
  }
}
