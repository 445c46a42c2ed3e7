/** The clock as the pipeline thread reads it: the MQTT thread keeps it, both see the same time of day. */

import type { Clock } from '../../domain/clock.ts';

const OFFSET = 0;
const IS_SET = 1;

/** A place for the clock in shared memory; shows the system clock, `offsetMs` from monotonic time, until the first `publish`. */
export function createSharedClock(offsetMs: number): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(16);
  new SharedClock(shared, () => 0).publish(offsetMs, false);
  return shared;
}

/** Either end. An aligned f64 is read and written whole on every platform we run on (arm64, x64). */
export class SharedClock {
  readonly #cells: Float64Array;
  readonly #monotonicMs: () => number;

  /** @param monotonicMs the same number line at both ends */
  constructor(shared: SharedArrayBuffer, monotonicMs: () => number) {
    this.#cells = new Float64Array(shared);
    this.#monotonicMs = monotonicMs;
  }

  publish(offsetMs: number, isSet: boolean): void {
    this.#cells[OFFSET] = offsetMs;
    this.#cells[IS_SET] = isSet ? 1 : 0;
  }

  /** Time of day, whole ms. */
  nowMs(): number {
    return Math.round(this.#monotonicMs() + this.#cells[OFFSET]!);
  }

  /** The clocks and timers of the machine, with this time of day. */
  over(machine: Clock): Clock {
    return { ...machine, now: () => this.nowMs(), isSet: () => this.#cells[IS_SET] === 1 };
  }
}
