/**
 * Outbox of one sink -> requests to its server -> settled batches.
 *
 * Two lanes, each with one request on its way: live sends what is newest, backlog drains the rest oldest first at a
 * bounded pace. Nothing leaves the outbox before the server has it (204) or has refused exactly that point; a crash in
 * between sends it again, which overwrites. While the sink fails, both lanes wait and one request is the test.
 */

import type { SinkConfig } from '../config/schema.ts';
import type { Clock } from '../domain/clock.ts';
import type { SinkStatus } from '../domain/gateway-status.ts';
import type { OutboxReader } from '../domain/outbox.ts';
import { describeError } from '../errors.ts';
import { Histogram, LATENCY_BOUNDS_S } from '../telemetry/histogram.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricSample, MetricSource } from '../telemetry/metrics.ts';
import { FlowMeter } from './flow-meter.ts';
import { forwarderMetrics } from './forwarder-metrics.ts';
import { Lane } from './lane.ts';
import { LaneReader } from './lane-reader.ts';
import { ReachabilityWatch } from './reachability-watch.ts';
import { RequestSize } from './request-size.ts';
import type { Shipment } from './shipment.ts';
import { LIVE_POINTS, loadShipment } from './shipment-loader.ts';
import { SinkHealth } from './sink-health.ts';
import type { Held, PointWriter, RetryLater, WriteOutcome } from './write-outcome.ts';

export interface ForwarderOptions {
  /** Name in the configuration; labels metrics and the outbox cursor. */
  readonly sink: string;
  readonly config: SinkConfig;
  readonly outbox: OutboxReader;
  readonly writer: PointWriter;
  readonly logger: Logger;
  /** Delays are measured on its monotonic side and do not follow the steps of the wall clock. */
  readonly clock: Clock;
  /** 0 <= random() < 1 */
  random(): number;
}

/** How long an idle lane sleeps when nobody wakes it. */
const IDLE_MS = 1_000;
/** A request without answer for this long makes us look whether the server is reachable at all. */
const SLOW_MS = 5_000;
/** Below this share of `batchPoints` a timeout is no longer taken for too large a request. */
const MIN_TIMEOUT_SHARE = 1 / 16;

export class Forwarder implements MetricSource {
  readonly #options: ForwarderOptions;
  readonly #writer: PointWriter;
  readonly #reader: LaneReader;
  readonly #health: SinkHealth;
  readonly #flow: FlowMeter;
  readonly #watch: ReachabilityWatch;
  readonly #size: RequestSize;
  readonly #live: Lane;
  readonly #backlog: Lane;
  readonly #latency: Histogram;
  /** A live shipment that got stuck halfway, for the backlog lane to finish. */
  #handedOver: Shipment | null = null;
  #loops: Promise<void>[] = [];
  #stopping = false;
  #deadline = false;
  #arrived = false;
  #delivered = 0;
  #deadLettered = 0;
  #requests = 0;
  #retries = 0;
  #accepted = 0;

  constructor(options: ForwarderOptions) {
    const { sink, config, outbox, writer, clock } = options;
    this.#options = options;
    this.#writer = writer;
    this.#live = new Lane('live', clock);
    this.#backlog = new Lane('backlog', clock);
    this.#reader = new LaneReader(outbox, sink);
    this.#health = new SinkHealth(config);
    this.#flow = new FlowMeter(outbox, sink, config.batchPoints, clock.monotonicMs());
    this.#size = new RequestSize(config.batchPoints);
    this.#latency = new Histogram('millwright_forward_request_seconds', LATENCY_BOUNDS_S, { sink });
    this.#watch = new ReachabilityWatch({
      writer,
      clock,
      random: options.random,
      isNeeded: () => this.#health.failing || this.#slowRequests().length > 0,
      onReachable: () => this.#reachableAgain(),
    });
  }

  /** As named in the configuration. */
  get sink(): string {
    return this.#options.sink;
  }

  /** Begins to send; what the outbox holds from before goes as backlog. */
  start(): void {
    if (this.#loops.length === 0) this.#loops = [this.#run(this.#live), this.#run(this.#backlog)];
  }

  /** New points are in the outbox. */
  wake(): void {
    this.#arrived = true;
    if (this.#live.idle) this.#live.pause.wake();
  }

  /**
   * Sends what is still new if the sink works, at most `deadlineMs` long, and stops. What is left stays in the outbox.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    const cancel = this.#options.clock.after(deadlineMs, () => this.#giveUpRequests());
    this.#wakeLanes();
    await Promise.all(this.#loops);
    try {
      while (!this.#deadline && !this.#health.failing && (await this.#advance(this.#live)));
    } catch (error) {
      this.#outboxFailed(this.#live, error);
    }
    cancel();
    await this.#watch.stop();
    this.#writer.close();
    this.#health.stopped();
  }

  /**
   * How long the slower lane should have gone on by now, ms. Sleeping, backing off and waiting for an answer within
   * `requestTimeoutMs` count as 0: the server may be down, the forwarder is not.
   */
  get overdueMs(): number {
    return Math.max(this.#live.overdueMs, this.#backlog.overdueMs);
  }

  status(): SinkStatus {
    const backlog = this.#flow.observe(this.#nowMs());
    const { state, reason, hint, lastSuccessMs, failing } = this.#health;
    return {
      sink: this.#options.sink,
      state,
      reason,
      hint,
      lastSuccessMs,
      backlogPoints: backlog.points,
      backlogBytes: backlog.bytes,
      backlogOldestMs: backlog.oldestMs,
      backlogEtaS: failing ? null : this.#flow.etaS(this.#options.clock.now()),
      deliveredPoints: this.#delivered,
      deadLetteredPoints: this.#deadLettered,
      requests: this.#requests,
      retries: this.#retries,
    };
  }

  metrics(): MetricSample[] {
    return [...forwarderMetrics(this.status(), this.#options.clock.now()), ...this.#latency.metrics()];
  }

  async #run(lane: Lane): Promise<void> {
    while (!this.#stopping) {
      lane.expect(0);
      const delayMs = this.#delayBefore(lane);
      if (delayMs > 0) await lane.sleep(delayMs);
      else await this.#turn(lane);
    }
  }

  async #turn(lane: Lane): Promise<void> {
    try {
      if (await this.#advance(lane)) return;
    } catch (error) {
      this.#outboxFailed(lane, error);
      return;
    }
    if (this.#stopping) return;
    lane.idle = true;
    if (this.#health.failing) this.#other(lane).pause.wake();
    if (lane === this.#backlog || !this.#arrived) await lane.sleep(IDLE_MS);
    lane.idle = false;
    if (lane === this.#live && this.#arrived) {
      this.#arrived = false;
      lane.restUntilMs = this.#nowMs() + this.#options.config.flushIntervalMs;
    }
  }

  /** ms until the lane may send its next request; 0 for now. */
  #delayBefore(lane: Lane): number {
    const nowMs = this.#nowMs();
    if (this.#health.failing) {
      const delayMs = this.#health.nextAttemptMs - nowMs;
      if (delayMs > 0) return delayMs;
      const liveGoesFirst = lane === this.#backlog && !this.#live.idle;
      if (liveGoesFirst || this.#other(lane).request !== null) return IDLE_MS;
    }
    if (lane === this.#live) return lane.shipment === null ? lane.restUntilMs - nowMs : 0;
    this.#flow.observe(nowMs);
    return lane.shipment === null && this.#handedOver === null ? this.#flow.backlogDelayMs(nowMs) : 0;
  }

  /** One request of the lane. False when it has nothing to send. Throws what the outbox throws. */
  async #advance(lane: Lane): Promise<boolean> {
    lane.shipment ??= await this.#load(lane);
    if (lane.shipment === null) return false;
    const { delivery } = lane.shipment;
    const indices = delivery.next(this.#size.lines);
    if (indices.length > 0) await this.#send(lane, lane.shipment, indices);
    if (lane.shipment === null) return true;
    if (delivery.blocked !== null && this.#accepted > lane.shipment.acceptedAtRefusal) delivery.trust();
    if (delivery.blocked !== null) this.#hold(lane, delivery.blocked);
    else if (delivery.next(1).length === 0) this.#settle(lane, lane.shipment);
    return true;
  }

  async #load(lane: Lane): Promise<Shipment | null> {
    if (lane === this.#backlog && this.#handedOver !== null) {
      const shipment = this.#handedOver;
      this.#handedOver = null;
      return shipment;
    }
    const { config, clock } = this.#options;
    const shipment = await loadShipment(this.#reader, lane.name, config.batchPoints, clock);
    if (shipment !== null && lane === this.#backlog) {
      this.#flow.takenByBacklog(shipment.points, this.#nowMs());
    }
    return shipment;
  }

  async #send(lane: Lane, shipment: Shipment, indices: readonly number[]): Promise<void> {
    const epoch = this.#health.epoch;
    const startedMs = this.#nowMs();
    lane.request = { abort: new AbortController(), startedMs };
    lane.expect(this.#options.config.requestTimeoutMs);
    const cancelWatch = this.#options.clock.after(SLOW_MS, () => this.#watch.begin());
    const outcome = await this.#writer.write(shipment.lines(indices), lane.request.abort.signal);
    cancelWatch();
    lane.expect(0);
    lane.request = null;
    this.#requests++;
    this.#latency.observe((this.#nowMs() - startedMs) / 1000);
    const failed = this.#health.failing;
    this.#apply(lane, shipment, indices.length, outcome, epoch);
    if (failed) this.#other(lane).pause.wake();
  }

  #apply(lane: Lane, shipment: Shipment, count: number, outcome: WriteOutcome, epoch: number): void {
    switch (outcome.kind) {
      case 'accepted':
        this.#accepted++;
        this.#size.grow(count);
        shipment.delivery.accepted(count);
        this.#health.lastSuccessMs = this.#options.clock.now();
        this.#answered(epoch);
        break;
      case 'rejected':
        shipment.delivery.rejected(count, outcome);
        shipment.acceptedAtRefusal = this.#accepted;
        // An answer that may not be about lines proves nothing about the sink.
        if (outcome.aboutLines) this.#answered(epoch);
        if (lane === this.#live) this.#handOver(lane, shipment);
        break;
      case 'tooLarge':
        this.#size.shrink(count);
        if (count === 1) shipment.delivery.tooLarge(outcome.message);
        this.#answered(epoch);
        break;
      case 'retryLater':
      case 'held':
        this.#failed(lane, shipment, count, outcome, epoch);
    }
  }

  #answered(epoch: number): void {
    const failed = this.#health.failing;
    this.#health.answered(epoch);
    if (!failed || this.#health.failing) return;
    this.#flow.resumed();
    const { points } = this.#flow.observe(this.#nowMs());
    this.#options.logger.info({ sink: this.#options.sink, backlogPoints: points }, 'sink takes points again');
  }

  #failed(lane: Lane, shipment: Shipment, count: number, outcome: RetryLater | Held, epoch: number): void {
    this.#retries++;
    this.#putBack(lane, shipment);
    if (outcome.kind === 'retryLater' && outcome.cause === 'stopped') return;
    const timedOut = outcome.kind === 'retryLater' && outcome.cause === 'timeout';
    if (timedOut && count > this.#options.config.batchPoints * MIN_TIMEOUT_SHARE) this.#size.shrink(count);
    const { state } = this.#health;
    this.#health.failed(outcome, epoch, this.#nowMs(), this.#options.random());
    this.#other(lane).pause.wake();
    if (state !== this.#health.state) {
      const { reason, hint } = this.#health;
      this.#options.logger.warn(
        { sink: this.#options.sink, state: this.#health.state, reason, hint },
        'sink fails',
      );
    }
    if (outcome.kind === 'retryLater' && outcome.afterMs === null) this.#watch.begin();
  }

  /** What has begun to go through is finished by the backlog lane; the live lane starts over with what is newest. */
  #putBack(lane: Lane, shipment: Shipment): void {
    if (shipment.delivery.begun) {
      if (lane === this.#live) this.#handOver(lane, shipment);
      return;
    }
    lane.shipment = null;
    if (lane === this.#live) this.#reader.releaseAsLive(shipment.batches);
    else this.#reader.release(shipment.batches);
  }

  #handOver(lane: Lane, shipment: Shipment): void {
    lane.shipment = null;
    if (this.#handedOver === null) this.#handedOver = shipment;
    else this.#reader.release(shipment.batches);
    this.#backlog.pause.wake();
  }

  #hold(lane: Lane, message: string): void {
    const shipment = lane.shipment!;
    lane.shipment = null;
    this.#reader.release(shipment.batches);
    const outcome: Held = { kind: 'held', message, hint: REFUSES_ALL_HINT };
    this.#failed(lane, shipment, 0, outcome, this.#health.epoch);
  }

  #settle(lane: Lane, shipment: Shipment): void {
    lane.shipment = null;
    this.#reader.release(shipment.batches);
    const { sink, outbox, config, logger } = this.#options;
    for (const [batch, outcome] of shipment.outcomes()) {
      outbox.settleOutbox(sink, batch.id, outcome);
      this.#delivered += outcome.delivered;
      this.#deadLettered += outcome.deadLettered.length;
      this.#flow.settled(outcome.delivered + outcome.deadLettered.length);
      const reason = outcome.deadLettered[0]?.reason;
      if (reason !== undefined) {
        logger.warn({ sink, points: outcome.deadLettered.length, reason }, 'points refused by the sink');
      }
    }
    // A full shipment says that more is waiting; otherwise the next points wait for company.
    if (shipment.points >= Math.min(config.batchPoints, LIVE_POINTS)) return;
    lane.restUntilMs = this.#nowMs() + config.flushIntervalMs;
  }

  /** The store could not be read or written: its own affair, but no reason to spin. */
  #outboxFailed(lane: Lane, error: unknown): void {
    if (lane.shipment !== null) this.#reader.release(lane.shipment.batches);
    lane.shipment = null;
    const message = `outbox: ${describeError(error)}`;
    if (message !== this.#health.reason) {
      this.#options.logger.error({ sink: this.#options.sink, reason: message }, 'outbox fails');
    }
    const outcome: RetryLater = { kind: 'retryLater', message, afterMs: IDLE_MS, cause: 'answer' };
    this.#health.failed(outcome, this.#health.epoch, this.#nowMs(), this.#options.random());
  }

  /** The server answers again: try at once, and do not wait for answers that went under in the silence. */
  #reachableAgain(): void {
    if (this.#health.state === 'retrying') this.#health.attemptNow(this.#nowMs());
    for (const { abort } of this.#slowRequests()) abort.abort();
    this.#wakeLanes();
  }

  #slowRequests(): { readonly abort: AbortController }[] {
    const beforeMs = this.#nowMs() - SLOW_MS;
    return [this.#live, this.#backlog].flatMap(({ request }) =>
      request !== null && request.startedMs <= beforeMs ? [request] : [],
    );
  }

  #giveUpRequests(): void {
    this.#deadline = true;
    for (const { request } of [this.#live, this.#backlog]) request?.abort.abort();
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  #wakeLanes(): void {
    this.#live.pause.wake();
    this.#backlog.pause.wake();
  }

  #other(lane: Lane): Lane {
    return lane === this.#live ? this.#backlog : this.#live;
  }
}

const REFUSES_ALL_HINT =
  'the server refuses every request rather than single points: check url, org and whatever stands between';
