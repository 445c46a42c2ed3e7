/** What both sources are made of: acceptance, acknowledgement, counters; and the numbers they show. */

import type { IngestConfig } from '../config/schema.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import { Acceptor } from './accept.ts';
import { Acknowledger } from './acknowledger.ts';
import { Complaints } from './complaints.ts';
import { DeviceClocks } from './device-clocks.ts';
import { IngestCounters } from './ingest-counters.ts';
import type { LaneContext } from './publish-lane.ts';
import { RateBudget } from './rate-budget.ts';
import type { IngestContext } from './source.ts';

const POLL_MS = 10;

/** Behind an external broker all senders share one connection: the good ones must not wait for the others. */
function paced(perSecond: number, monotonicMs: () => number): () => boolean {
  const budget = new RateBudget(perSecond, monotonicMs());
  return () => {
    budget.refill(monotonicMs());
    return budget.take();
  };
}

/** One per source. */
export class IngestCore implements LaneContext {
  readonly counters = new IngestCounters();
  readonly complaints: Complaints;
  readonly acceptor: Acceptor;
  readonly acknowledger: Acknowledger;
  readonly clocks: DeviceClocks;
  readonly #context: IngestContext;

  constructor(config: IngestConfig, context: IngestContext) {
    this.#context = context;
    this.complaints = new Complaints(context.logger);
    const { router, sink, clock, monotonicMs } = context;
    const mayKeep =
      config.mode === 'embedded' ? paced(config.limits.maxDeadLettersPerSecond, monotonicMs) : () => true;
    this.acceptor = new Acceptor(router, sink, this.counters, this.complaints, config, clock, mayKeep);
    this.clocks = new DeviceClocks(router.registry, this.complaints, config.clockGuard.warnOffsetMs);
    this.acknowledger = new Acknowledger(this.counters, () => context.requestCommit());
  }

  position(): number {
    return this.#context.sink.position;
  }

  get ackLatencyP99Ms(): number | null {
    const { ackLatency } = this.counters;
    return ackLatency.count === 0 ? null : ackLatency.quantile(0.99) * 1000;
  }

  /** Asks for a commit and waits until nothing waits for one, `deadlineMs` at most. */
  async settle(deadlineMs: number): Promise<void> {
    if (this.acknowledger.pending === 0) return;
    this.#context.requestCommit();
    const untilMs = performance.now() + deadlineMs;
    while (this.acknowledger.pending > 0 && performance.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** @param connections open ones */
  metrics(connections: number): MetricSample[] {
    return [
      ...this.counters.metrics(),
      { name: 'millwright_ingest_connections', value: connections },
      { name: 'millwright_ingest_pending_acks', value: this.acknowledger.pending },
      { name: 'millwright_ingest_channels', value: this.#context.router.registry.size },
      ...this.clocks.metrics(),
    ];
  }
}
