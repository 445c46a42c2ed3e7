/** Time as an argument, for whatever waits or measures: the process gives the system's, a simulation its own. */

export interface Clock {
  /** Time of day, ms since the epoch. Of the machine itself it may step either way, of the gateway it does not. */
  now(): number;
  /** False while the time of day is not known. Left out: it always is. */
  isSet?(): boolean;
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
