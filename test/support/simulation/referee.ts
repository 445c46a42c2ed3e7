/** Keeps the first broken promise: it is found inside code that catches errors, and thrown outside of it. */

import { Broken, type Invariant } from './violation.ts';

export class Referee {
  #first: Broken | null = null;

  object(invariant: Invariant, message: string): void {
    this.#first ??= new Broken(invariant, message);
  }

  /** @throws Broken */
  check(): void {
    if (this.#first !== null) throw this.#first;
  }
}
