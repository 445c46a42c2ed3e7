/** Event times and arrival times enter, a verdict on each and the offset of each sender's clock leave. */

import type { IngestConfig } from '../config/schema.ts';
import type { StampClock } from '../domain/gateway-clock.ts';

export type ClockVerdict = 'ok' | 'bad_timestamp' | 'future_timestamp' | 'past_timestamp';

/** Largest instant a JavaScript Date can name, ms since the epoch. */
const MAX_TIME_MS = 8.64e15;
/** While our own time is not known, a sample that claims a later time than this (2100-01-01) is not believed. */
const LATEST_UNJUDGED_MS = 4_102_444_800_000;

/**
 * Whether a sample is believed. `lastMs` is the event time of the last value of the message, equal to `firstMs`
 * for a single one: no value may lie ahead of the gateway's clock by more than maxFutureMs, none behind it by more
 * than maxPastMs (0: any age).
 *
 * A gateway that does not know the time of day can't tell who is ahead. It then believes what is not older than
 * maxPastMs before the newest time it ever knew, and leaves the rest to the sender.
 */
export function judgeTime(
  guard: IngestConfig['clockGuard'],
  firstMs: number,
  lastMs: number,
  nowMs: number,
  clock: Pick<StampClock, 'isSet' | 'floorMs'>,
): ClockVerdict {
  if (!(firstMs >= 0 && lastMs <= MAX_TIME_MS)) return 'bad_timestamp';
  if (lastMs > (clock.isSet ? nowMs + guard.maxFutureMs : LATEST_UNJUDGED_MS)) return 'future_timestamp';
  const latestMs = clock.isSet ? nowMs : clock.floorMs;
  if (guard.maxPastMs > 0 && firstMs < latestMs - guard.maxPastMs) return 'past_timestamp';
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
