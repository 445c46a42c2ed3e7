/** When to try again: attempt number, bounds and what the server asked for -> a delay. Pure. */

export interface RetryBounds {
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

/** A server may ask for a longer pause than `retryMaxMs`, but not for more than this. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * Delay before the next attempt, ms: uniform in [0, min(retryMaxMs, retryMinMs · 2^(attempt-1))], so that many
 * gateways that lost the same server do not come back as one (exponential backoff with full jitter).
 * @param attempt failures in a row, >= 1
 * @param random 0 <= random < 1
 */
export function backoffMs(attempt: number, { retryMinMs, retryMaxMs }: RetryBounds, random: number): number {
  // 2^30 * 1 ms is beyond every retryMaxMs; the cap keeps the power finite.
  return Math.floor(random * Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(attempt - 1, 30)));
}

/**
 * As `backoffMs`, but never earlier than the server asked for; jitter of at most `retryMinMs` comes on top.
 * @param afterMs from Retry-After; null where the server asked for nothing
 */
export function retryDelayMs(
  attempt: number,
  afterMs: number | null,
  bounds: RetryBounds,
  random: number,
): number {
  if (afterMs === null) return backoffMs(attempt, bounds, random);
  return Math.min(afterMs, MAX_RETRY_AFTER_MS) + Math.floor(random * bounds.retryMinMs);
}

/**
 * `Retry-After` as ms from now: whole seconds or an HTTP date (RFC 9110 §10.2.3); a date that is past gives 0, anything
 * else null.
 */
export function parseRetryAfter(header: string | null, nowMs: number): number | null {
  const text = header?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // Date.parse reads far more than HTTP dates ("1.5" is a month); all three forms of an HTTP date begin with a day.
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text)) return null;
  // The asctime form carries no zone; RFC 9110 says it is UTC, Date.parse would take local time.
  const at = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}
