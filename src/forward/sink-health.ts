/** Outcomes of requests -> state of the sink and the earliest time of the next attempt. Pure: time is an argument. */

import { type RetryBounds, retryDelayMs } from './retry-policy.ts';
import type { Held, RetryLater } from './write-outcome.ts';

export type SinkState = 'ok' | 'retrying' | 'held' | 'stopped';

/** While it fails, one request at a time is the test of whether it works again. */
export class SinkHealth {
  readonly #bounds: RetryBounds;
  #failures = 0;
  #epoch = 0;
  #state: SinkState = 'ok';
  reason = '';
  hint = '';
  nextAttemptMs = 0;
  lastSuccessMs: number | null = null;

  constructor(bounds: RetryBounds) {
    this.#bounds = bounds;
  }

  get state(): SinkState {
    return this.#state;
  }

  get failing(): boolean {
    return this.#state === 'retrying' || this.#state === 'held';
  }

  /** Number of failures so far: what a request takes along, so that its outcome is not held against a later one. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The server understood a request begun at `epoch`. One that began before the last failure proves nothing. */
  answered(epoch: number): void {
    if (epoch !== this.#epoch) return;
    this.#failures = 0;
    this.#state = 'ok';
    this.reason = '';
    this.hint = '';
    this.nextAttemptMs = 0;
  }

  /**
   * A request begun at `epoch` failed. Two that were on their way together count as one failure, but the longer of
   * two pauses the server asked for holds.
   * @param random 0 <= random < 1
   */
  failed(outcome: RetryLater | Held, epoch: number, nowMs: number, random: number): void {
    const afterMs = outcome.kind === 'held' ? null : outcome.afterMs;
    if (epoch === this.#epoch) this.#failures++;
    this.#epoch++;
    const attemptMs = nowMs + retryDelayMs(Math.max(1, this.#failures), afterMs, this.#bounds, random);
    this.nextAttemptMs = epoch === this.#epoch - 1 ? attemptMs : Math.max(this.nextAttemptMs, attemptMs);
    this.#state = outcome.kind === 'held' ? 'held' : 'retrying';
    this.reason = outcome.message;
    this.hint = outcome.kind === 'held' ? outcome.hint : retryHint(outcome.message);
  }

  /** It has just become reachable again: no need to sit out the delay, unless the server itself asked for it. */
  attemptNow(nowMs: number): void {
    this.nextAttemptMs = nowMs;
  }

  stopped(): void {
    this.#state = 'stopped';
  }
}

const RETRY_HINT = 'nothing to do: points wait on disk and are sent when the server answers again';

/** Most failures of the line pass by themselves; these two may need a person, and look like any other. */
function retryHint(message: string): string {
  if (/certificate/i.test(message)) return CERTIFICATE_HINT;
  return /ENOTFOUND|EAI_AGAIN/.test(message) ? NAME_HINT : RETRY_HINT;
}

const CERTIFICATE_HINT =
  'points wait on disk; correct the certificate of the server, or name its CA in NODE_EXTRA_CA_CERTS';
const NAME_HINT = "points wait on disk; check the host in the sink's url and the name server of this device";
