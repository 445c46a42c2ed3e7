/** Window means of one channel as they come -> the trailing memory its trend features are computed from. */

import { ewmaStep } from './online.ts';
import { insert, placeFor } from './ordered-list.ts';

/** The longest trailing length of `proc.trend`, in windows. */
export const LONGEST_TRAILING = 60;
/** Windows that a revision may go back and still have all its trailing windows. */
const REVISABLE = { atLeast: 4, atMost: 64 } as const;
const MOST_REMEMBERED = LONGEST_TRAILING + REVISABLE.atMost;
/** Windows that make up a machine's own starting level. */
export const INITIAL_WINDOWS = 10;
/** Span of the exponential average; lambda = 2 / (span + 1). */
export const EWMA_SPAN = 20;
const EWMA_LAMBDA = 2 / (EWMA_SPAN + 1);

/** Windows to remember where a window may come again for `latenessMs` after it closed, and one begins every `hopMs`. */
export function trendCapacity(latenessMs: number, hopMs: number): number {
  const revisable = Math.ceil(latenessMs / hopMs) + 1;
  return LONGEST_TRAILING + Math.min(REVISABLE.atMost, Math.max(REVISABLE.atLeast, revisable));
}

/**
 * The newest windows with data of one channel, ordered by window start. Windows without data leave no entry.
 *
 * A window that comes again with a higher revision replaces its entry, and its features are those of its own place
 * in the sequence, so that a correction of the past neither counts twice nor sees the future.
 */
export class TrendMemory {
  /** Entries in use, oldest first. */
  count = 0;
  /** Shape [MOST_REMEMBERED], ms. */
  readonly startMs = new Float64Array(MOST_REMEMBERED);
  /** Shape [MOST_REMEMBERED], mean of the window in the channel's unit. */
  readonly mean = new Float64Array(MOST_REMEMBERED);
  /** Exponential average up to the entry that left last; NaN while none has left. */
  ewmaBefore = Number.NaN;
  /** The first windows ever, ordered by start, <= INITIAL_WINDOWS. */
  initialCount = 0;
  readonly initialStartMs = new Float64Array(INITIAL_WINDOWS);
  readonly initialMean = new Float64Array(INITIAL_WINDOWS);

  /**
   * Index of the window in the memory, or -1 when it is older than everything remembered: then nothing changes.
   *
   * @param capacity windows to remember, as answered by `trendCapacity`
   */
  put(startMs: number, mean: number, capacity: number): number {
    while (this.count > capacity) this.#forgetOldest();
    const at = placeFor(this.startMs, this.count, startMs);
    if (at < this.count && this.startMs[at] === startMs) {
      this.mean[at] = mean;
      this.#putInitial(startMs, mean);
      return at;
    }
    if (this.count < capacity) {
      insert(this.startMs, this.count, at, startMs);
      insert(this.mean, this.count, at, mean);
      this.count += 1;
      this.#putInitial(startMs, mean);
      return at;
    }
    if (at === 0) return -1;
    this.#forgetOldest();
    return this.put(startMs, mean, capacity);
  }

  /**
   * First of the `windows` entries that end with `index`; of fewer in a short history, and -1 where some of them
   * have been forgotten.
   */
  trailingStart(index: number, windows: number): number {
    const first = index + 1 - windows;
    if (first >= 0) return first;
    return Number.isNaN(this.ewmaBefore) ? 0 : -1;
  }

  /** Exponential average including entry `index`; starts at the first mean ever seen. */
  ewma(index: number): number {
    let average = this.ewmaBefore;
    for (let i = 0; i <= index; i++) average = this.#step(average, this.mean[i]!);
    return average;
  }

  /** Mean of the first ten windows, of those that are not later than `startMs`; NaN if there is none. */
  initialLevel(startMs: number): number {
    let sum = 0;
    let count = 0;
    while (count < this.initialCount && this.initialStartMs[count]! <= startMs) {
      sum += this.initialMean[count]!;
      count += 1;
    }
    return sum / count;
  }

  #putInitial(startMs: number, mean: number): void {
    const at = placeFor(this.initialStartMs, this.initialCount, startMs);
    if (at === INITIAL_WINDOWS) return;
    if (at < this.initialCount && this.initialStartMs[at] === startMs) {
      this.initialMean[at] = mean;
      return;
    }
    const kept = Math.min(this.initialCount, INITIAL_WINDOWS - 1);
    insert(this.initialStartMs, kept, at, startMs);
    insert(this.initialMean, kept, at, mean);
    this.initialCount = kept + 1;
  }

  #forgetOldest(): void {
    this.ewmaBefore = this.#step(this.ewmaBefore, this.mean[0]!);
    this.startMs.copyWithin(0, 1, this.count);
    this.mean.copyWithin(0, 1, this.count);
    this.count -= 1;
  }

  #step(average: number, mean: number): number {
    return Number.isNaN(average) ? mean : ewmaStep(average, mean, EWMA_LAMBDA);
  }
}
