/** Counts over time -> events per second, exponentially smoothed. Pure: time is an argument. */

export class RateMeter {
  readonly #timeConstantS: number;
  #perSecond = 0;
  #weight = 0;

  /** @param timeConstantS seconds after which an old rate has lost 63 % of its weight */
  constructor(timeConstantS: number) {
    this.#timeConstantS = timeConstantS;
  }

  /** `events` happened in the last `elapsedS` seconds; no or negative time is ignored. */
  observe(events: number, elapsedS: number): void {
    if (!(elapsedS > 0)) return;
    const keep = Math.exp(-elapsedS / this.#timeConstantS);
    this.#perSecond = keep * this.#perSecond + (1 - keep) * (events / elapsedS);
    this.#weight = keep * this.#weight + (1 - keep);
  }

  /** 0 before the first observation; free of start-up bias (the sum of the weights is divided out). */
  get perSecond(): number {
    return this.#weight === 0 ? 0 : this.#perSecond / this.#weight;
  }
}
