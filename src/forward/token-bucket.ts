/** Points sent -> how long to wait before sending more. Pure: time is an argument. */

/** Grows by `rate` a second up to `capacity`; may go into debt by one request, which then has to be waited for. */
export class TokenBucket {
  #tokens: number;
  #atMs: number;
  #rate: number;
  readonly #capacity: number;

  /** @param rate tokens per second, > 0 */
  constructor(rate: number, capacity: number, nowMs: number) {
    this.#rate = rate;
    this.#capacity = capacity;
    this.#tokens = capacity;
    this.#atMs = nowMs;
  }

  setRate(rate: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#rate = rate;
  }

  take(tokens: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#tokens -= tokens;
  }

  /** ms until the bucket is out of debt; 0 when it is. */
  delayMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens / this.#rate) * 1000);
  }

  #refill(nowMs: number): void {
    // A clock that steps back gives nothing and takes nothing.
    const elapsedS = Math.max(0, nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#capacity, this.#tokens + elapsedS * this.#rate);
  }
}
