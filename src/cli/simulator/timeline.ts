/** Wall time enters, simulated event time leaves: faster than life without ever being ahead of the clock. */

/** How much simulated time is played faster. */
const FAST_SPAN_MS = 600_000;

/**
 * A gateway refuses samples from the future, so a demonstration at `speed` > 1 begins in the past, catches up with
 * the clock over ten simulated minutes, and goes on at the speed of life.
 * @param speed >= 1
 * @returns event time of the beginning, and the event time reached after `elapsedMs`
 */
export function demoTimeline(
  nowMs: number,
  speed: number,
): { startMs: number; eventMs(elapsedMs: number): number } {
  const fastWallMs = FAST_SPAN_MS / speed;
  const startMs = speed === 1 ? nowMs : Math.floor(nowMs - FAST_SPAN_MS + fastWallMs);
  return {
    startMs,
    eventMs: (elapsedMs) =>
      elapsedMs <= fastWallMs
        ? startMs + elapsedMs * speed
        : startMs + FAST_SPAN_MS + (elapsedMs - fastWallMs),
  };
}
