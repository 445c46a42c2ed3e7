/** The clocks and timers of the machine we run on. */

import type { Clock } from '../domain/clock.ts';

/** Longest delay a Node timer takes without wrapping around. */
const MAX_TIMER_MS = 2_147_483_647;

export const SYSTEM_CLOCK: Clock = {
  now: Date.now,
  monotonicMs: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, Math.min(delayMs, MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
  every: (intervalMs, callback) => {
    const timer = setInterval(callback, Math.min(intervalMs, MAX_TIMER_MS));
    return () => clearInterval(timer);
  },
  nextTurn: (callback) => {
    setImmediate(callback);
  },
};
