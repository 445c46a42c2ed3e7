/** What both sources are made of: acceptance, acknowledgement, counters; and the numbers they show. */

import type { IngestConfig } from '../config/schema.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import { Acceptor } from './accept.ts';
import { Acknowledger } from './acknowledger.ts';
import { Complaints } from './complaints.ts';
import { DeviceClocks } from './device-clocks.ts';
import { IngestCounters } from './ingest-counters.ts';
import type { LaneContext } from './publish-lane.ts';
import type { IngestContext } from './source.ts';

const POLL_MS = 10;

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
    this.acceptor = new Acceptor(
      context.router,
      context.sink,
      this.counters,
      this.complaints,
      config,
      context.clock,
    );
    this.clocks = new DeviceClocks(context.router.registry, this.complaints, config.clockGuard.warnOffsetMs);
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
