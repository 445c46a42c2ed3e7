/** Event times and arrival times enter, a verdict on each and the offset of each sender's clock leave. */

import type { IngestConfig } from '../config/schema.ts';

export type ClockVerdict = 'ok' | 'bad_timestamp' | 'future_timestamp' | 'past_timestamp';

/** Largest instant a JavaScript Date can name, ms since the epoch. */
const MAX_TIME_MS = 8.64e15;

/**
 * Whether a sample is believed. `lastMs` is the event time of the last value of the message, equal to `firstMs`
 * for a single one: no value may lie ahead of the gateway's clock by more than maxFutureMs, none behind it by more
 * than maxPastMs (0: any age).
 */
export function judgeTime(
  guard: IngestConfig['clockGuard'],
  firstMs: number,
  lastMs: number,
  nowMs: number,
): ClockVerdict {
  if (!(firstMs >= 0 && lastMs <= MAX_TIME_MS)) return 'bad_timestamp';
  if (lastMs > nowMs + guard.maxFutureMs) return 'future_timestamp';
  if (guard.maxPastMs > 0 && firstMs < nowMs - guard.maxPastMs) return 'past_timestamp';
  return 'ok';
}

const KEPT_OFFSETS = 15;
const SAMPLE_EVERY_MS = 1000;

/**
 * Median of arrival minus event time over the last 15 looks, one a second at most: transport delay plus how far the
 * sender's clock is behind ours. Coarse on purpose; the median forgives single delayed messages.
 */
export class ClockOffset {
  readonly #offsets = new Float64Array(KEPT_OFFSETS);
  #count = 0;
  #nextAtMs = Number.NEGATIVE_INFINITY;

  observe(eventTimeMs: number, nowMs: number): void {
    // A wall clock that was set back must not silence the measurement for that long.
    if (nowMs < this.#nextAtMs && nowMs > this.#nextAtMs - 2 * SAMPLE_EVERY_MS) return;
    this.#nextAtMs = nowMs + SAMPLE_EVERY_MS;
    this.#offsets[this.#count % KEPT_OFFSETS] = nowMs - eventTimeMs;
    this.#count += 1;
  }

  /** ms, positive where the sender's clock is behind; NaN before the first message. */
  medianMs(): number {
    const n = Math.min(this.#count, KEPT_OFFSETS);
    if (n === 0) return Number.NaN;
    const sorted = this.#offsets.slice(0, n).sort();
    const middle = n >> 1;
    return n % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  }
}
