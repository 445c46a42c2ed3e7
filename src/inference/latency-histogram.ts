/** Durations enter, a Prometheus histogram leaves. */

import type { MetricName, MetricSample } from '../telemetry/metrics.ts';

const BOUNDS_S = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

export class LatencyHistogram {
  readonly #name: MetricName;
  readonly #counts = new Array<number>(BOUNDS_S.length + 1).fill(0);
  #sum = 0;
  #count = 0;

  constructor(name: MetricName) {
    this.#name = name;
  }

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < BOUNDS_S.length && seconds > BOUNDS_S[bucket]!) bucket += 1;
    this.#counts[bucket]! += 1;
    this.#sum += seconds;
    this.#count += 1;
  }

  /** Cumulative buckets, then sum and count. */
  metrics(): MetricSample[] {
    const samples: MetricSample[] = [];
    let cumulative = 0;
    this.#counts.forEach((count, i) => {
      cumulative += count;
      const le = i < BOUNDS_S.length ? String(BOUNDS_S[i]) : '+Inf';
      samples.push({ name: this.#name, suffix: '_bucket', labels: { le }, value: cumulative });
    });
    samples.push({ name: this.#name, suffix: '_sum', value: this.#sum });
    samples.push({ name: this.#name, suffix: '_count', value: this.#count });
    return samples;
  }
}
