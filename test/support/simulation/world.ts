/** Simulated time: what shall happen enters with its moment, and happens in that order, the clock standing still meanwhile. */

import type { CancelTimer, Clock } from '../../../src/domain/clock.ts';
import type { Random } from './random.ts';
import { Broken } from './violation.ts';

interface Happening {
  readonly atMs: number;
  readonly order: number;
  readonly thread: Thread | null;
  run: (() => void) | null;
}

/** More happenings at one moment are an endless loop. */
const MAX_AT_ONE_MOMENT = 20_000;

/** What happens on one thread happens one after the other; after its process has ended, not at all. */
export class Thread {
  dead = false;
  busyUntilMs = 0;
}

export class World {
  /** Monotonic, ms. */
  nowMs = 0;
  /** True time of the day at nowMs = 0; what sensors with good clocks believe. */
  readonly epochMs: number;
  /** How far the gateway's wall clock is off. */
  wallErrorMs = 0;
  happened = 0;
  /** Promises may have been resolved: they have their turn before time goes on. */
  unsettled = false;
  readonly #random: Random;
  readonly #heap: Happening[] = [];
  #order = 0;
  #thisMoment = 0;

  constructor(random: Random, epochMs: number) {
    this.#random = random;
    this.epochMs = epochMs;
  }

  get trueMs(): number {
    return this.epochMs + Math.floor(this.nowMs);
  }

  get wallMs(): number {
    return this.trueMs + this.wallErrorMs;
  }

  /** @param thread null for the world outside the gateway */
  after(delayMs: number, run: () => void, thread: Thread | null = null): CancelTimer {
    this.#order += 1;
    const happening: Happening = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order, thread, run };
    this.#push(happening);
    return () => {
      happening.run = null;
    };
  }

  /** The next happening. False when there is none. */
  step(): boolean {
    const next = this.#pop();
    if (next === undefined) return false;
    const { thread, run, atMs } = next;
    if (run === null || thread?.dead === true) return true;
    if (thread !== null && thread.busyUntilMs > atMs) {
      this.#order += 1;
      this.#push({ atMs: thread.busyUntilMs, order: this.#order, thread, run: () => next.run?.() });
      return true;
    }
    this.#thisMoment = atMs > this.nowMs ? 0 : this.#thisMoment + 1;
    if (this.#thisMoment > MAX_AT_ONE_MOMENT) throw new Broken('I8', 'time stands still: an endless loop');
    this.nowMs = Math.max(this.nowMs, atMs);
    this.happened += 1;
    run();
    return true;
  }

  /** Clock and timers of one process. What it does takes `lookCostMs` between two looks at the clock. */
  clockOf(thread: Thread, lookCostMs: number): Clock {
    const late = () => (this.#random.chance(0.2) ? this.#random.int(0, 4) : 0);
    const run = (callback: () => void) => () => {
      this.unsettled = true;
      callback();
    };
    const every = (intervalMs: number, callback: () => void): CancelTimer => {
      let ended = false;
      const again = () =>
        this.after(
          intervalMs + late(),
          () => {
            if (ended) return;
            again();
            callback();
          },
          thread,
        );
      again();
      return () => {
        ended = true;
      };
    };
    return {
      now: () => this.wallMs,
      monotonicMs: () => {
        thread.busyUntilMs = Math.max(thread.busyUntilMs, this.nowMs) + lookCostMs;
        return thread.busyUntilMs;
      },
      after: (delayMs, callback) => this.after(delayMs + late(), run(callback), thread),
      every,
      nextTurn: (callback) => {
        this.after(0, run(callback), thread);
      },
    };
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let at = heap.push(happening) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (before(heap[parent]!, heap[at]!)) break;
      [heap[parent], heap[at]] = [heap[at]!, heap[parent]!];
      at = parent;
    }
  }

  #pop(): Happening | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && before(heap[child]!, heap[least]!)) least = child;
      if (least === at) return first;
      [heap[least], heap[at]] = [heap[at]!, heap[least]!];
      at = least;
    }
  }
}

function before(a: Happening, b: Happening): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
