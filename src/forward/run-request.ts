/** One attempt at a server, bounded in time -> what it answered, or why it did not. */

import { describeError } from '../errors.ts';
import type { WriteOutcome } from './write-outcome.ts';

/** A server that does not answer a ping by then is not ready for a write. */
export const PING_TIMEOUT_MS = 2_000;

/**
 * Runs `attempt` and gives it up after `timeoutMs` or when `signal` aborts; the signal it gets closes the connection.
 * Never throws: failures become `retryLater`.
 */
export async function runRequest(
  timeoutMs: number,
  signal: AbortSignal,
  attempt: (signal: AbortSignal) => Promise<WriteOutcome>,
): Promise<WriteOutcome> {
  const limit = limited(timeoutMs, signal);
  try {
    return await attempt(limit.signal);
  } catch (error) {
    if (signal.aborted) return failure('given up by the gateway', 'stopped');
    if (limit.signal.aborted) return failure(`no answer within ${timeoutMs} ms`, 'timeout');
    return failure(networkMessage(error), 'network');
  } finally {
    limit.release();
  }
}

/** True if `attempt` answers within the ping timeout with anything but a server error. Never throws. */
export async function runPing(
  signal: AbortSignal,
  attempt: (signal: AbortSignal) => Promise<number>,
): Promise<boolean> {
  const limit = limited(PING_TIMEOUT_MS, signal);
  try {
    return (await attempt(limit.signal)) < 500;
  } catch {
    return false;
  } finally {
    limit.release();
  }
}

/** As AbortSignal.any with AbortSignal.timeout, which would leave a timer and a reference behind per request. */
function limited(timeoutMs: number, signal: AbortSignal): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const giveUp = () => controller.abort();
  const timer = setTimeout(giveUp, timeoutMs);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  return {
    signal: controller.signal,
    release: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
    },
  };
}

function failure(message: string, cause: 'network' | 'timeout' | 'stopped'): WriteOutcome {
  return { kind: 'retryLater', message, afterMs: null, cause };
}

/** `fetch failed` says nothing; its cause does. An AggregateError (one try per address) has its own in `errors`. */
function networkMessage(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  if (cause instanceof AggregateError && cause.errors.length > 0) return describeError(cause.errors[0]);
  return describeError(cause) || 'connection failed';
}
