/**
 * Connections that began and ended enter, how long to wait for the next one leaves. Pure.
 *
 * Only a connection that lasted clears the backoff: two clients that fight for one id, and a broker that accepts and
 * closes at once, would otherwise be answered with a storm of connections.
 */

import { reconnectDelayMs } from './reconnect-delay.ts';

/** A connection that lasted this long was sound. */
const SOUND_AFTER_MS = 10_000;
/** After somebody else took our session, we come back no sooner. */
const TAKEN_OVER_MS = 2_000;
/** So many connections in a row that end soon look like a fight for the id. */
const FIGHT_AFTER = 3;

/** One per external broker. */
export class ReconnectPolicy {
  readonly #minMs: number;
  readonly #maxMs: number;
  /** Connections in a row that the broker accepted and that ended soon after. */
  #short = 0;
  #failures = 0;
  #establishedMs = Number.NaN;

  constructor(minMs: number, maxMs: number) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
  }

  /** It looks as if another client used our id, or as if the broker flapped. */
  get suspectsFight(): boolean {
    return this.#short >= FIGHT_AFTER;
  }

  /** @param nowMs monotonic */
  established(nowMs: number): void {
    this.#establishedMs = nowMs;
  }

  /**
   * The connection ended, or never came about.
   * @param random uniform in [0, 1) @param takenOver the broker said that another client came with our id
   * @returns ms to wait
   */
  lost(nowMs: number, random: number, takenOver: boolean): number {
    const lastedMs = nowMs - this.#establishedMs;
    this.#establishedMs = Number.NaN;
    if (lastedMs >= SOUND_AFTER_MS) {
      this.#failures = 0;
      this.#short = 0;
    } else if (!Number.isNaN(lastedMs)) this.#short += 1;
    const delayMs = reconnectDelayMs(this.#failures, this.#minMs, this.#maxMs, random);
    this.#failures += 1;
    if (takenOver) return Math.max(TAKEN_OVER_MS * (1 + random), delayMs);
    return this.suspectsFight ? Math.max(Math.min(TAKEN_OVER_MS, this.#maxMs), delayMs) : delayMs;
  }
}
