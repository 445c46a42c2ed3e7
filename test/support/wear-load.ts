/** The load whose writes are counted: 25 machines with four channels, windows of 10 s, one sink that keeps up. */

import type { Store } from '../../src/store/store.ts';
import { NOON_MS, point, samples } from './store.ts';

export interface Load {
  readonly messagesPerSecond: number;
  readonly commitWindowMs: number;
}

const MACHINES = 25;
const CHANNELS = 4;
const WINDOW_MS = 10_000;

/** Commits, settles and trims of a gateway under this load, one commit window a step, on a clock of its own. */
export class WearLoad {
  readonly #load: Load;
  nowMs = NOON_MS;
  sent = 0;
  #windowStartBatch = 1;
  #inWindow = 0;

  constructor(load: Load) {
    this.#load = load;
  }

  step(store: Store): void {
    const { messagesPerSecond, commitWindowMs } = this.#load;
    const perCommit = (messagesPerSecond * commitWindowMs) / 1000;
    const isWindowEnd =
      Math.floor((this.nowMs + commitWindowMs) / WINDOW_MS) > Math.floor(this.nowMs / WINDOW_MS);
    this.nowMs += commitWindowMs;
    this.#inWindow += perCommit;
    this.sent += perCommit;
    if (isWindowEnd) this.#endWindow(store, perCommit);
    else store.commit(samples(perCommit, this.sent));
  }

  #endWindow(store: Store, perCommit: number): void {
    const { sent, nowMs } = this;
    const results = Array.from({ length: MACHINES }, (_, m) => ({
      machine: `m-${m}`,
      closedUntilMs: nowMs,
      points: Array.from({ length: CHANNELS }, (_, c) => point(sent + m * CHANNELS + c)),
      stateWrites: [{ machine: `m-${m}`, key: 'window', value: new Uint8Array(120).fill(sent & 255) }],
    }));
    const settled = { windowed: this.#inWindow, late: 0, duplicate: 0 };
    store.commit(samples(perCommit, sent, { results, settled, trimBelowBatch: this.#windowStartBatch }));
    this.#windowStartBatch = store.nextBatchId();
    this.#inWindow = 0;
    for (const { id, points } of store.readOutbox('influx', 5000, 'backlog')) {
      store.settleOutbox('influx', id, { delivered: points.length, deadLettered: [] });
    }
    store.idleStep();
  }
}
