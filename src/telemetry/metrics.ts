/**
 * The table of every metric the gateway exports, and its Prometheus text form.
 *
 * Parts count in plain numeric fields (an increment on the hot path is one addition) and answer `metrics()` when
 * asked. Base units only (seconds, bytes); counters end in `_total`.
 */

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
}

/** One row per metric, grouped by room. */
export const METRICS = {
  // ingest
  millwright_ingest_messages_total: { type: 'counter', help: 'PUBLISH packets taken, by result' },
  millwright_ingest_connections: { type: 'gauge', help: 'Open MQTT connections' },
  // store
  millwright_store_commits_total: { type: 'counter', help: 'Transactions committed' },
  // runtime
  millwright_process_resident_memory_bytes: { type: 'gauge', help: 'Resident set size of the gateway process' },
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof METRICS;

export interface MetricSample {
  readonly name: MetricName;
  /** Only for histograms: `_bucket`, `_sum` or `_count`. */
  readonly suffix?: '_bucket' | '_sum' | '_count';
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Anything that counts. */
export interface MetricSource {
  metrics(): MetricSample[];
}
