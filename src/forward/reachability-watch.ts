/**
 * Pings of a server that fails or is slow -> one call at the moment it becomes reachable again.
 *
 * Backoff alone would leave a server that is back unused for up to `retryMaxMs`. A ping is cheap enough for every few
 * seconds, and it is the change from silence to an answer that counts: a server that answers pings all along while it
 * refuses writes changes nothing.
 */

import type { Clock } from '../domain/clock.ts';
import { Pause } from './pause.ts';
import type { PointWriter } from './write-outcome.ts';

/** Mean pause between two pings; with the ping's own timeout a recovery is seen within 5 s. */
const PING_INTERVAL_MS = 1_500;

export interface WatchOptions {
  readonly writer: PointWriter;
  readonly clock: Clock;
  readonly random: () => number;
  /** Asked before each ping: the watch ends when it is no longer needed. */
  readonly isNeeded: () => boolean;
  readonly onReachable: () => void;
}

export class ReachabilityWatch {
  readonly #options: WatchOptions;
  readonly #pause: Pause;
  readonly #abort = new AbortController();
  #running: Promise<void> | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#pause = new Pause(options.clock);
  }

  /** Begins to watch unless it does already. */
  begin(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#pause.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { writer, random, isNeeded, onReachable } = this.#options;
    let reachable = true;
    while (isNeeded() && !this.#abort.signal.aborted) {
      const answers = await writer.ping(this.#abort.signal);
      if (answers && !reachable) onReachable();
      reachable = answers;
      if (!this.#abort.signal.aborted) await this.#pause.sleep(PING_INTERVAL_MS * (0.5 + random()));
    }
    this.#running = null;
  }
}
