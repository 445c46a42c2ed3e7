/** Time as an argument, for whatever waits or measures: the process gives the system's, a simulation its own. */

export interface Clock {
  /** Wall clock, ms since the epoch; may step either way. */
  now(): number;
  /** ms since some moment, for durations; never steps. */
  monotonicMs(): number;
  /** Calls back once, `delayMs` from now or a little later. @returns what prevents it */
  after(delayMs: number, callback: () => void): CancelTimer;
  /** Calls back every `intervalMs`. @returns what ends it */
  every(intervalMs: number, callback: () => void): CancelTimer;
  /** Calls back once everything else that waits for this thread had its turn. */
  nextTurn(callback: () => void): void;
}

/** Without effect when it comes too late, or twice. */
export type CancelTimer = () => void;
