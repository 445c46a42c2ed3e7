/** Event times enter, how long to wait for their moment at the chosen speed leaves. */

/** Shorter waits are not worth a timer: the operating system sleeps in milliseconds. */
const SHORTEST_WAIT_MS = 2;

/** Maps event time to wall time. `speed` 1 is as recorded, 60 a minute a second, Infinity without waiting. */
export class Pacer {
  readonly #speed: number;
  #firstEventMs = Number.NaN;
  #startedAtMs = 0;

  constructor(speed: number) {
    this.#speed = speed;
  }

  /**
   * ms until the event is due, 0 when its moment is now or past. The first event is due at once.
   * @param nowMs a clock that never steps
   */
  waitMs(eventMs: number, nowMs: number): number {
    if (this.#speed === Number.POSITIVE_INFINITY) return 0;
    if (Number.isNaN(this.#firstEventMs)) {
      this.#firstEventMs = eventMs;
      this.#startedAtMs = nowMs;
    }
    const waitMs = this.#startedAtMs + (eventMs - this.#firstEventMs) / this.#speed - nowMs;
    return waitMs < SHORTEST_WAIT_MS ? 0 : waitMs;
  }
}
