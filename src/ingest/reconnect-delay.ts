/** Failed attempts enter, how long to wait before the next one leaves: exponential with full jitter. */

/** The wait never falls below this, so that a broker that closes at once is not hammered. */
const FLOOR_MS = 50;

/**
 * ms before attempt `failures` + 1, uniform in [50 ms, min(maxMs, minMs * 2^failures)].
 * @param failures consecutive ones, >= 0 @param random uniform in [0, 1)
 * Source: M. Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015), "full jitter".
 */
export function reconnectDelayMs(failures: number, minMs: number, maxMs: number, random: number): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(failures, 30));
  return FLOOR_MS + random * Math.max(0, ceiling - FLOOR_MS);
}
