/** Size of a sink's backlog over time -> its rates, the pace of the backlog lane, and when it will be gone. */

import type { OutboxBacklog, OutboxReader } from '../domain/outbox.ts';
import { RateMeter } from './rate-meter.ts';
import { TokenBucket } from './token-bucket.ts';

/** Pace of the backlog lane where little comes in: a tenth of a core at 45 µs a point of twelve fields. */
export const MIN_BACKLOG_POINTS_PER_S = 2_000;
/** The backlog drains at this multiple of what comes in, so that catching up takes a tenth of the outage. */
const BACKLOG_SPEEDUP = 10;
const OBSERVE_INTERVAL_MS = 1_000;
const SETTLED_TIME_CONSTANT_S = 10;
/** Points younger than this are on their way, not a backlog. */
const FRESH_MS = 10_000;

const EMPTY: OutboxBacklog = { points: 0, bytes: 0, oldestMs: null };

export class FlowMeter {
  readonly #outbox: OutboxReader;
  readonly #sink: string;
  readonly #produced = new RateMeter(60);
  #settledRate = new RateMeter(SETTLED_TIME_CONSTANT_S);
  readonly #bucket: TokenBucket;
  #backlog = EMPTY;
  #settled = 0;
  #settledBefore = 0;
  #observedMs = Number.NEGATIVE_INFINITY;

  /** @param burst points the backlog lane may send at once */
  constructor(outbox: OutboxReader, sink: string, burst: number, monotonicMs: number) {
    this.#outbox = outbox;
    this.#sink = sink;
    this.#bucket = new TokenBucket(MIN_BACKLOG_POINTS_PER_S, burst, monotonicMs);
  }

  /** Delivered or dead-lettered points, told as they happen. */
  settled(points: number): void {
    this.#settled += points;
  }

  /** The sink takes points again: the standstill before says nothing about how long it will take. */
  resumed(): void {
    this.#settledRate = new RateMeter(SETTLED_TIME_CONSTANT_S);
    // The next look begins a new interval, so that none lies half in the standstill.
    this.#observedMs = Number.NEGATIVE_INFINITY;
  }

  takenByBacklog(points: number, monotonicMs: number): void {
    this.#bucket.take(points, monotonicMs);
  }

  backlogDelayMs(monotonicMs: number): number {
    return this.#bucket.delayMs(monotonicMs);
  }

  /** The backlog, at most a second old. */
  observe(monotonicMs: number): OutboxBacklog {
    const elapsedMs = monotonicMs - this.#observedMs;
    if (elapsedMs < OBSERVE_INTERVAL_MS) return this.#backlog;
    const before = this.#backlog.points;
    this.#backlog = this.#outbox.backlog(this.#sink);
    const settled = this.#settled - this.#settledBefore;
    // Evicted points make the difference negative: nothing came in as far as this can tell.
    const produced = Math.max(0, this.#backlog.points - before + settled);
    if (Number.isFinite(elapsedMs)) {
      this.#produced.observe(produced, elapsedMs / 1000);
      this.#settledRate.observe(settled, elapsedMs / 1000);
    }
    this.#settledBefore = this.#settled;
    this.#observedMs = monotonicMs;
    const rate = Math.max(MIN_BACKLOG_POINTS_PER_S, BACKLOG_SPEEDUP * this.#produced.perSecond);
    this.#bucket.setRate(rate, monotonicMs);
    return this.#backlog;
  }

  /**
   * Seconds until the backlog is gone at the present rates: 0 where none is older than 10 s, null where it does not
   * shrink.
   * @param nowMs wall clock, as the outbox stamps its batches
   */
  etaS(nowMs: number): number | null {
    const { points, oldestMs } = this.#backlog;
    if (points === 0 || (oldestMs !== null && nowMs - oldestMs < FRESH_MS)) return 0;
    const shrinkPerS = this.#settledRate.perSecond - this.#produced.perSecond;
    return shrinkPerS > 0 ? Math.round(points / shrinkPerS) : null;
  }
}
