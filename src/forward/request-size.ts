/** Outcomes of requests -> how many lines the next one may have. Pure. */

/** Slow increase, quick decrease between 1 and `maxLines`. */
export class RequestSize {
  readonly #maxLines: number;
  #lines: number;

  constructor(maxLines: number) {
    this.#maxLines = maxLines;
    this.#lines = maxLines;
  }

  get lines(): number {
    return this.#lines;
  }

  /** A request of `lines` lines went through: a twentieth more, so that a limit once hit is not hit all the time. */
  grow(lines: number): void {
    if (lines < this.#lines) return;
    this.#lines = Math.min(this.#maxLines, this.#lines + Math.ceil(this.#lines / 20));
  }

  /** A request of `lines` lines was too large for the server or the line: half of it from now on. */
  shrink(lines: number): void {
    this.#lines = Math.max(1, Math.min(this.#lines, Math.floor(lines / 2)));
  }
}
