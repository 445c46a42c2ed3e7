/** Whether the machine ran in each window -> its life counters, as of any of the newest windows. */

import { insert, placeFor } from './ordered-list.ts';

/** Windows that can still be corrected by a later revision. */
const REVISABLE_WINDOWS = 64;

/** Run time of a window in which it cannot be told whether the machine ran. */
export const UNKNOWN_RUN = Number.NaN;

/** Life counters as of one window, including it. */
export interface UsageCounters {
  /** Windows with data since the first. */
  readonly cycles: number;
  readonly runMs: number;
  /** Observed changes from standing to running; windows in between where it cannot be told change nothing. */
  readonly starts: number;
  /** Start of the first window ever. */
  readonly firstStartMs: number;
}

/**
 * Counters of everything that left the list of revisable windows, plus that list, ordered by window start: a window
 * that comes again with a higher revision replaces its entry and counts once.
 */
export class UsageMemory {
  /** Entries in use, oldest first, <= REVISABLE_WINDOWS. */
  count = 0;
  readonly startMs = new Float64Array(REVISABLE_WINDOWS);
  /** Time the machine ran in the window, ms; 0 standing, NaN unknown. */
  readonly runMs = new Float64Array(REVISABLE_WINDOWS);
  /** NaN before the first window. */
  firstStartMs = Number.NaN;
  pastCycles = 0;
  pastRunMs = 0;
  pastStarts = 0;
  /** Run time of the last known window that left the list; NaN if there was none. */
  pastLastRunMs = UNKNOWN_RUN;

  /** Index of the window in the list, or -1 when it is older than everything in it: then nothing changes. */
  put(startMs: number, runMs: number): number {
    const at = placeFor(this.startMs, this.count, startMs);
    if (at < this.count && this.startMs[at] === startMs) {
      this.runMs[at] = runMs;
      return at;
    }
    if (this.count === REVISABLE_WINDOWS) {
      if (at === 0) return -1;
      this.#settleOldest();
      return this.put(startMs, runMs);
    }
    insert(this.startMs, this.count, at, startMs);
    insert(this.runMs, this.count, at, runMs);
    this.count += 1;
    if (!(this.firstStartMs <= startMs)) this.firstStartMs = startMs;
    return at;
  }

  /** @param index as answered by `put` */
  countersAt(index: number): UsageCounters {
    let runMs = this.pastRunMs;
    let starts = this.pastStarts;
    let previous = this.pastLastRunMs;
    for (let i = 0; i <= index; i++) {
      const now = this.runMs[i]!;
      if (Number.isNaN(now)) continue;
      runMs += now;
      if (previous === 0 && now > 0) starts += 1;
      previous = now;
    }
    return { cycles: this.pastCycles + index + 1, runMs, starts, firstStartMs: this.firstStartMs };
  }

  #settleOldest(): void {
    const { runMs, starts } = this.countersAt(0);
    const oldest = this.runMs[0]!;
    this.pastCycles += 1;
    this.pastRunMs = runMs;
    this.pastStarts = starts;
    if (!Number.isNaN(oldest)) this.pastLastRunMs = oldest;
    this.startMs.copyWithin(0, 1, this.count);
    this.runMs.copyWithin(0, 1, this.count);
    this.count -= 1;
  }
}
