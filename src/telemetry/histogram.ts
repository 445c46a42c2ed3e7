/** Durations or sizes -> a histogram with fixed buckets, as Prometheus wants it, and an estimate of its quantiles. */

import { type MetricName, type MetricSample, numberText } from './metrics.ts';

/** Upper bounds in seconds from 0.5 ms to 30 s: fits acknowledgements, commits, model runs and requests. */
export const LATENCY_BOUNDS_S: readonly number[] = [
  0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30,
];

/** Counts observations per bucket. `observe` allocates nothing. */
export class Histogram {
  readonly #name: MetricName;
  readonly #labels: Readonly<Record<string, string>>;
  readonly #bounds: Float64Array;
  /** One more than bounds: the last is +Inf. Not cumulative. */
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;

  /** @param bounds upper bounds of the buckets (inclusive), ascending, in the metric's base unit */
  constructor(name: MetricName, bounds: readonly number[], labels: Readonly<Record<string, string>> = {}) {
    this.#name = name;
    this.#labels = labels;
    this.#bounds = Float64Array.from(bounds);
    this.#counts = new Float64Array(bounds.length + 1);
  }

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  /** Takes one value in the metric's base unit; NaN is ignored. */
  observe(value: number): void {
    if (Number.isNaN(value)) return;
    let low = 0;
    let high = this.#bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= this.#bounds[middle]!) high = middle;
      else low = middle + 1;
    }
    this.#counts[low]! += 1;
    this.#sum += value;
    this.#count += 1;
  }

  /**
   * Estimate of the q-quantile, linear inside its bucket (as PromQL's histogram_quantile): between 0 and the largest
   * bound; values beyond that count as the bound. NaN while empty.
   * @param q 0..1
   */
  quantile(q: number): number {
    if (this.#count === 0) return Number.NaN;
    const rank = q * this.#count;
    let below = 0;
    for (let i = 0; i < this.#bounds.length; i++) {
      const inside = this.#counts[i]!;
      if (inside > 0 && below + inside >= rank) {
        const lower = i === 0 ? Math.min(0, this.#bounds[0]!) : this.#bounds[i - 1]!;
        return lower + (this.#bounds[i]! - lower) * Math.max(0, (rank - below) / inside);
      }
      below += inside;
    }
    return this.#bounds.at(-1) ?? Number.NaN;
  }

  /** Cumulative buckets, sum and count. */
  metrics(): MetricSample[] {
    const samples: MetricSample[] = [];
    let cumulative = 0;
    for (let i = 0; i < this.#counts.length; i++) {
      cumulative += this.#counts[i]!;
      const le = i < this.#bounds.length ? numberText(this.#bounds[i]!) : '+Inf';
      samples.push({
        name: this.#name,
        suffix: '_bucket',
        labels: { ...this.#labels, le },
        value: cumulative,
      });
    }
    samples.push({ name: this.#name, suffix: '_sum', labels: this.#labels, value: this.#sum });
    samples.push({ name: this.#name, suffix: '_count', labels: this.#labels, value: this.#count });
    return samples;
  }
}
