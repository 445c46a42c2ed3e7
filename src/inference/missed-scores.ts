/** Windows that went on without their scores enter; one line a minute for the operator leaves. */

import type { Logger } from '../telemetry/logger.ts';

const TELL_EVERY_MS = 60_000;
const HINTS: Readonly<Record<string, string>> = {
  deadline: 'the models answer too slowly: raise inference.deadlineMs, or lengthen the windows of the class',
  queue_full:
    'more windows wait than inference.maxQueue allows: raise it, or lengthen the windows of the class',
};

export class MissedScores {
  readonly #logger: Logger;
  #toldMs = Number.NEGATIVE_INFINITY;
  #untold = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Reasons that need no operator, such as the end of the process, are passed over. @param nowMs monotonic */
  add(machine: string, reason: string, nowMs: number): void {
    const hint = HINTS[reason];
    if (hint === undefined) return;
    this.#untold += 1;
    if (nowMs - this.#toldMs < TELL_EVERY_MS) return;
    this.#logger.warn({ windows: this.#untold, machine, reason, hint }, 'windows go on without scores');
    this.#toldMs = nowMs;
    this.#untold = 0;
  }
}
