/** What both sources are made of: acceptance, acknowledgement, counters; and the numbers they show. */

import type { IngestConfig } from '../config/schema.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import { Acceptor } from './accept.ts';
import { Acknowledger } from './acknowledger.ts';
import { Complaints } from './complaints.ts';
import { IngestCounters } from './ingest-counters.ts';
import type { LaneContext } from './publish-lane.ts';
import type { IngestContext } from './source.ts';

/** A clock further off than this is worth a person's attention. */
const SKEWED_MS = 2000;
const POLL_MS = 10;

/** One per source. */
export class IngestCore implements LaneContext {
  readonly counters = new IngestCounters();
  readonly complaints: Complaints;
  readonly acceptor: Acceptor;
  readonly acknowledger: Acknowledger;
  readonly #context: IngestContext;

  constructor(config: IngestConfig, context: IngestContext) {
    this.#context = context;
    this.complaints = new Complaints(context.logger);
    this.acceptor = new Acceptor(context.router, context.sink, this.counters, this.complaints, config);
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
    const clocks = this.#clocks();
    return [
      ...this.counters.metrics(),
      { name: 'millwright_ingest_connections', value: connections },
      { name: 'millwright_ingest_pending_acks', value: this.acknowledger.pending },
      { name: 'millwright_ingest_channels', value: this.#context.router.registry.size },
      { name: 'millwright_ingest_clock_offset_seconds', value: clocks.largestMs / 1000 },
      { name: 'millwright_ingest_clock_skewed_machines', value: clocks.skewed },
    ];
  }

  #clocks(): { largestMs: number; skewed: number } {
    let largestMs = 0;
    let skewed = 0;
    let worst = '';
    for (const { clock, machine } of this.#context.router.registry.machines()) {
      const offsetMs = clock.medianMs();
      if (Math.abs(offsetMs) > SKEWED_MS) skewed += 1;
      if (Math.abs(offsetMs) > Math.abs(largestMs)) {
        largestMs = offsetMs;
        worst = machine;
      }
    }
    if (skewed > 0) {
      this.complaints.warn('clock_skew', performance.now(), 'clocks of senders are off', () => ({
        machines: skewed,
        worst,
        offsetMs: Math.round(largestMs),
      }));
    }
    return { largestMs, skewed };
  }
}
