/** Windows that are being computed enter, the ends of their samples leave with the next commit. */

import { type ClosedWindow, settledBy } from '../window/windower.ts';

/** Samples whose end in the account comes with the next commit. */
export interface SettledCounts {
  readonly windowed: number;
  readonly duplicate: number;
  readonly volatile: number;
  readonly quarantined: number;
}

export const NOTHING_SETTLED: SettledCounts = { windowed: 0, duplicate: 0, volatile: 0, quarantined: 0 };

export class WindowAccount {
  /** Between being taken and having a result. */
  readonly #computing = new Set<ClosedWindow>();
  /** Samples settled by them. */
  #computingSamples = 0;
  #settled = { ...NOTHING_SETTLED };

  /** The window is being computed. */
  begin(closed: ClosedWindow): void {
    this.#computingSamples += settledBy(closed);
    this.#computing.add(closed);
  }

  /** True from `begin` to `end`. */
  isComputing(closed: ClosedWindow): boolean {
    return this.#computing.has(closed);
  }

  /** The window has its result, or was given up. */
  end(closed: ClosedWindow, as: 'windowed' | 'quarantined'): void {
    const { samples, duplicates, volatile } = closed.settled;
    this.#computing.delete(closed);
    this.#computingSamples -= settledBy(closed);
    this.#settled[as] += samples;
    this.#settled.duplicate += duplicates;
    this.#settled.volatile += volatile;
  }

  /** Samples of windows that are being computed or wait for a commit. */
  get samples(): number {
    const { windowed, duplicate, quarantined } = this.#settled;
    return this.#computingSamples + windowed + duplicate + quarantined;
  }

  /** What ended since the last call. */
  take(): SettledCounts {
    const settled = this.#settled;
    this.#settled = { ...NOTHING_SETTLED };
    return settled;
  }
}
