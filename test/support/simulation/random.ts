/** One seed -> all the chance of a run (sfc32). The same seed gives the same numbers on every machine. */

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  /** @param stream independent streams of one seed do not disturb each other */
  constructor(seed: number, stream = 0) {
    this.#a = seed | 0;
    this.#b = stream | 0;
    this.#c = 0x9e3779b9;
    for (let i = 0; i < 12; i += 1) this.#next();
  }

  /** [0, 1) */
  readonly unit = (): number => this.#next() / 4_294_967_296;

  /** Whole, from <= n <= to. */
  int(from: number, to: number): number {
    return from + Math.floor(this.unit() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.int(0, of.length - 1)]!;
  }

  #next(): number {
    const t = (this.#a + this.#b + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t;
    return t >>> 0;
  }
}
