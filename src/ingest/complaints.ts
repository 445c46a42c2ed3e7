/** Bad input enters as often as it comes, a few clear log lines leave: the first, then one per kind in 10 s. */

import type { Logger } from '../telemetry/logger.ts';

const QUIET_MS = 10_000;
/** Kinds are a closed set of words; the bound is for the day somebody passes one from outside. */
const MAX_KINDS = 100;

/** One per source. */
export class Complaints {
  readonly #logger: Logger;
  readonly #kinds = new Map<string, { quietUntilMs: number; suppressed: number }>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** @param nowMs any clock, the same every time @param details made only if the line is written */
  warn(kind: string, nowMs: number, message: string, details: () => object): void {
    let state = this.#kinds.get(kind);
    if (state === undefined) {
      if (this.#kinds.size >= MAX_KINDS) return;
      state = { quietUntilMs: Number.NEGATIVE_INFINITY, suppressed: 0 };
      this.#kinds.set(kind, state);
    }
    // A clock that was set back must not keep the log silent.
    if (nowMs < state.quietUntilMs && nowMs >= state.quietUntilMs - QUIET_MS) {
      state.suppressed += 1;
      return;
    }
    this.#logger.warn({ ...details(), kind, suppressed: state.suppressed }, message);
    state.quietUntilMs = nowMs + QUIET_MS;
    state.suppressed = 0;
  }
}
