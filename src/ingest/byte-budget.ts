/** Memory that many holders share enters, whether one of them may take more leaves. */

export class ByteBudget {
  readonly #maxBytes: number;
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** A holder has `to` bytes instead of `from`. False, and nothing changed, where growing would exceed the budget. */
  change(from: number, to: number): boolean {
    if (to > from && this.#usedBytes + to - from > this.#maxBytes) return false;
    this.#usedBytes += to - from;
    return true;
  }
}
