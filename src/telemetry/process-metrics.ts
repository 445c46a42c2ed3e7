/** The runtime's own numbers: memory, CPU time and how late the event loop runs. */

import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { MetricSample, MetricSource } from './metrics.ts';

/** Resolution of the event-loop probe; it wakes the loop this often. */
const PROBE_INTERVAL_MS = 20;
const NANOSECONDS = 1e9;

export interface ProcessMetricsOptions {
  readonly version: string;
  /** Label of the thread this one looks at. Process-wide numbers come from `main` only. */
  readonly thread: 'main' | 'pipeline';
}

/** One per thread. The event-loop probe runs until `stop`. */
export class ProcessMetrics implements MetricSource {
  readonly #options: ProcessMetricsOptions;
  readonly #delay: IntervalHistogram;
  // Once: computed anew at each scrape it would wander with every correction of the clock.
  readonly #startTimeS = Math.round(Date.now() / 1000 - process.uptime());

  constructor(options: ProcessMetricsOptions) {
    this.#options = options;
    this.#delay = monitorEventLoopDelay({ resolution: PROBE_INTERVAL_MS });
    this.#delay.enable();
  }

  /** Event-loop delay since the last call, the rest as of now. */
  metrics(): MetricSample[] {
    const { thread } = this.#options;
    const samples: MetricSample[] = [
      {
        name: 'millwright_process_heap_used_bytes',
        labels: { thread },
        value: process.memoryUsage().heapUsed,
      },
      ...this.#eventLoopDelay(),
    ];
    if (thread === 'main') samples.push(...this.#processWide());
    return samples;
  }

  stop(): void {
    this.#delay.disable();
  }

  #eventLoopDelay(): MetricSample[] {
    const { thread } = this.#options;
    const samples = (['0.5', '0.99', '1'] as const).map((quantile): MetricSample => {
      const probed = this.#delay.percentile(Number(quantile) * 100) / NANOSECONDS;
      // The probe measures the distance of its own timer, so an idle loop shows the interval itself.
      const value = Math.max(0, probed - PROBE_INTERVAL_MS / 1000);
      return { name: 'millwright_event_loop_delay_seconds', labels: { thread, quantile }, value };
    });
    this.#delay.reset();
    return samples;
  }

  #processWide(): MetricSample[] {
    const cpu = process.cpuUsage();
    return [
      { name: 'millwright_process_resident_memory_bytes', value: process.memoryUsage.rss() },
      { name: 'millwright_process_cpu_seconds_total', labels: { mode: 'user' }, value: cpu.user / 1e6 },
      { name: 'millwright_process_cpu_seconds_total', labels: { mode: 'system' }, value: cpu.system / 1e6 },
      { name: 'millwright_process_start_time_seconds', value: this.#startTimeS },
      {
        name: 'millwright_build_info',
        labels: { version: this.#options.version, node: process.version },
        value: 1,
      },
    ];
  }
}
