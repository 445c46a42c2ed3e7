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
  millwright_ingest_volatile_messages_total: {
    type: 'counter',
    help: 'Accepted messages acknowledged on receipt (durability: memory)',
  },
  millwright_ingest_payload_bytes_total: { type: 'counter', help: 'Payload bytes of messages taken' },
  millwright_ingest_samples_total: { type: 'counter', help: 'Samples written to the pipeline' },
  millwright_ingest_acknowledged_total: { type: 'counter', help: 'QoS 1 messages acknowledged' },
  millwright_ingest_pending_acks: { type: 'gauge', help: 'QoS 1 messages received and not yet durable' },
  millwright_ingest_ack_latency_seconds: {
    type: 'histogram',
    help: 'From receiving a QoS 1 message to writing its PUBACK',
  },
  millwright_ingest_forced_commits_total: {
    type: 'counter',
    help: 'Commits asked for because a sender waited',
  },
  millwright_ingest_dead_letters_total: { type: 'counter', help: 'Messages kept as dead letters, by reason' },
  millwright_ingest_sequence_total: {
    type: 'counter',
    help: 'Sequence numbers missing, repeated or late, and senders that began anew',
  },
  millwright_ingest_channels: { type: 'gauge', help: 'Distinct machine and channel pairs known' },
  millwright_ingest_clock_offset_seconds: {
    type: 'gauge',
    help: 'Largest median of arrival minus event time over all machines',
  },
  millwright_ingest_clock_skewed_machines: {
    type: 'gauge',
    help: 'Machines whose clock is further off than ingest.clockGuard.warnOffsetMs',
  },
  millwright_ingest_machine_clock_offset_seconds: {
    type: 'gauge',
    help: 'Median of arrival minus event time, of the 20 machines whose clocks are furthest off',
  },
  millwright_ingest_refused_total: {
    type: 'counter',
    help: 'Connections turned away or ended, by the limit they met',
  },
  millwright_ingest_pauses_total: {
    type: 'counter',
    help: 'Times a connection was held back, by reason: ring or dead letters full, unacknowledged cap, rate, broker, unread',
  },
  millwright_ingest_subscriptions_refused_total: {
    type: 'counter',
    help: 'Topic filters refused: not granted, or beyond the number allowed',
  },
  millwright_ingest_retained_refused_total: {
    type: 'counter',
    help: 'Messages not retained because the store of retained messages is full',
  },
  millwright_ingest_retained_messages: { type: 'gauge', help: 'Topics with a retained message' },
  millwright_ingest_retained_bytes: { type: 'gauge', help: 'Memory of retained messages' },
  millwright_ingest_partial_bytes: {
    type: 'gauge',
    help: 'Memory of packets that have not arrived completely',
  },
  millwright_ingest_queued_bytes: { type: 'gauge', help: 'Memory of messages for subscribers that are away' },
  millwright_ingest_sessions: { type: 'gauge', help: 'Broker sessions that hold subscriptions' },
  millwright_ingest_fan_out_dropped_total: {
    type: 'counter',
    help: 'Messages local subscribers missed because too many were on their way',
  },
  millwright_ingest_reconnects_total: {
    type: 'counter',
    help: 'Connections to the external broker after the first',
  },
  millwright_ingest_session_gaps_total: {
    type: 'counter',
    help: 'Reconnects at which the external broker had forgotten our session',
  },
  // store
  millwright_store_commits_total: { type: 'counter', help: 'Transactions committed' },
  millwright_store_failed_commits_total: { type: 'counter', help: 'Transactions refused or rolled back' },
  millwright_store_checkpoints_total: { type: 'counter', help: 'Times the write-ahead log was folded back' },
  millwright_store_bytes: { type: 'gauge', help: 'Bytes of the database, by part' },
  millwright_store_max_bytes: { type: 'gauge', help: 'Bytes the database may grow to' },
  millwright_store_bytes_written_total: {
    type: 'counter',
    help: 'Bytes the store caused to be written to the medium, as the kernel counts them, without the file system’s own',
  },
  millwright_store_flash_life_seconds: {
    type: 'gauge',
    help: 'Life of a new medium of store.flash at the observed rate; absent in the first ten minutes',
  },
  millwright_store_writable: { type: 'gauge', help: '1 while new data is taken' },
  millwright_store_salvaging: {
    type: 'gauge',
    help: '1 while rows of a damaged file are being brought back',
  },
  millwright_history_series: { type: 'gauge', help: 'Series the on-device history keeps' },
  millwright_history_bytes: { type: 'gauge', help: 'Bytes of the on-device history, by part' },
  millwright_history_folds_total: {
    type: 'counter',
    help: 'Stretches of a machine moved from the history log into archives',
  },
  millwright_history_damaged_total: {
    type: 'counter',
    help: 'Blocks and log rows of the history that were not what was written: gaps',
  },
  millwright_history_refused_total: {
    type: 'counter',
    help: 'Series (max_series, max_bytes) and windows (log_full, late) the history left out, by reason',
  },
  millwright_store_damaged: {
    type: 'gauge',
    help: '1 while a damaged file lies in quarantine that nobody has taken away, for a week at most',
  },
  millwright_store_quarantine_bytes: { type: 'gauge', help: 'Bytes of damaged files that were moved aside' },
  millwright_store_quarantine_dropped_total: {
    type: 'counter',
    help: 'Damaged files that gave way to newer ones',
  },
  millwright_samples_total: { type: 'counter', help: 'Account of samples, by term' },
  millwright_ledger_checks_total: {
    type: 'counter',
    help: 'Times the accounts were compared with what is there',
  },
  millwright_ledger_difference: {
    type: 'gauge',
    help: 'What an account expects minus what is there, at the last comparison; anything but 0 is a defect',
  },
  millwright_ledger_booked_at_start: {
    type: 'gauge',
    help: 'Points per sink the account and the outbox disagreed about when the store was opened',
  },
  millwright_samples_open: { type: 'gauge', help: 'Samples accepted and not yet settled' },
  millwright_points_total: { type: 'counter', help: 'Account of points, by sink and term' },
  millwright_points_overflow_total: {
    type: 'counter',
    help: 'Points given up for want of room or for their age, by sink, class and action (degraded: thinned out)',
  },
  millwright_outbox_points: { type: 'gauge', help: 'Points a sink has not taken yet' },
  millwright_outbox_bytes: { type: 'gauge', help: 'Bytes of batches a sink has not taken yet' },
  millwright_dead_letters_total: { type: 'counter', help: 'Messages kept because they could not be used' },
  millwright_dead_letters_dropped_total: {
    type: 'counter',
    help: 'Dead letters that gave way to newer ones',
  },
  millwright_dead_letters: { type: 'gauge', help: 'Dead letters held' },
  // clock
  millwright_clock_state: { type: 'gauge', help: '1 for the state the clock of the gateway is in' },
  millwright_clock_offset_seconds: {
    type: 'gauge',
    help: 'System clock minus the time of day the gateway goes by',
  },
  millwright_clock_steps_total: {
    type: 'counter',
    help: 'Steps of the system clock, by what became of them',
  },
  millwright_clock_held_samples: { type: 'gauge', help: 'Samples that wait for the clock to be set' },
  millwright_clock_held_bytes: { type: 'gauge', help: 'Bytes of records that wait for the clock to be set' },
  // telemetry
  millwright_build_info: {
    type: 'gauge',
    help: 'Always 1; the labels say which version runs on which runtime',
  },
  millwright_process_start_time_seconds: {
    type: 'gauge',
    help: 'When the process started, seconds since the epoch',
  },
  millwright_process_cpu_seconds_total: { type: 'counter', help: 'CPU time of all threads, by mode' },
  millwright_process_heap_used_bytes: { type: 'gauge', help: 'JavaScript heap in use, by thread' },
  millwright_event_loop_delay_seconds: {
    type: 'gauge',
    help: 'How late timers fired since the last scrape, by thread and quantile',
  },
  // http
  millwright_http_requests_total: { type: 'counter', help: 'HTTP requests answered, by route and status' },
  millwright_http_connections: { type: 'gauge', help: 'Open HTTP connections' },
  // runtime
  millwright_process_resident_memory_bytes: {
    type: 'gauge',
    help: 'Resident set size of the gateway process',
  },
  // forward
  millwright_forward_points_total: { type: 'counter', help: 'Points settled, by sink and outcome' },
  millwright_forward_requests_total: { type: 'counter', help: 'Write requests, by sink' },
  millwright_forward_retries_total: {
    type: 'counter',
    help: 'Write requests that have to be repeated, by sink',
  },
  millwright_forward_request_seconds: { type: 'histogram', help: 'Duration of write requests, by sink' },
  millwright_forward_up: { type: 'gauge', help: '1 while the sink takes points' },
  millwright_forward_held: {
    type: 'gauge',
    help: '1 while the sink waits for a person (credentials, bucket, address)',
  },
  millwright_forward_backlog_points: { type: 'gauge', help: 'Points that wait for the sink' },
  millwright_forward_backlog_bytes: { type: 'gauge', help: 'Bytes on disk that wait for the sink' },
  millwright_forward_backlog_age_seconds: {
    type: 'gauge',
    help: 'Age of the oldest point that waits for the sink',
  },
  millwright_forward_backlog_eta_seconds: {
    type: 'gauge',
    help: 'Estimated time until the backlog is gone; absent while it does not shrink',
  },
  // path
  millwright_ring_fill_ratio: { type: 'gauge', help: 'Filled share of the ring between the threads' },
  millwright_windows_open_bytes: { type: 'gauge', help: 'Memory of samples in windows that are not closed' },
  millwright_windows_waiting_bytes: {
    type: 'gauge',
    help: 'Memory of closed windows that wait to be computed',
  },
  millwright_results_waiting: { type: 'gauge', help: 'Results of windows that wait for the disk' },
  millwright_windows_failed_total: { type: 'counter', help: 'Windows that could not be computed' },
  // inference
  millwright_inference_rows_total: { type: 'counter', help: 'Vectors given to models' },
  millwright_inference_runs_total: { type: 'counter', help: 'Batches run' },
  millwright_inference_run_seconds: { type: 'histogram', help: 'Time inside the model per batch' },
  millwright_inference_queue: { type: 'gauge', help: 'Vectors waiting for their models' },
  millwright_inference_queue_limit: {
    type: 'gauge',
    help: 'Vectors that may wait at present, so that all are answered well within the deadline',
  },
  millwright_inference_restarts_total: {
    type: 'counter',
    help: 'Starts of the inference process after the first',
  },
  millwright_assessments_total: {
    type: 'counter',
    help: 'Assessments, by reason (scored, commissioning, deadline, ...)',
  },
  millwright_model_ready: { type: 'gauge', help: '1 if the model passed its checks and runs' },
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

/**
 * Samples of several threads as one list without repeated series, first seen first: counters and histograms of the
 * same series are added, of a gauge the last word counts.
 */
export function mergeSamples(...lists: readonly (readonly MetricSample[])[]): MetricSample[] {
  const series = new Map<string, MetricSample>();
  for (const sample of lists.flat()) {
    const key = `${sample.name}${sample.suffix ?? ''}${labelText(sample.labels)}`;
    const known = series.get(key);
    const adds = known !== undefined && METRICS[sample.name].type !== 'gauge';
    series.set(key, adds ? { ...sample, value: known.value + sample.value } : sample);
  }
  return [...series.values()];
}

/**
 * Prometheus text exposition format 0.0.4: families by name, `# HELP` and `# TYPE` once each, series by labels,
 * buckets by bound with `+Inf` last, then `_sum` and `_count`. Equal samples in any order give equal text.
 */
export function renderMetrics(samples: readonly MetricSample[]): string {
  const families = new Map<MetricName, MetricSample[]>();
  for (const sample of mergeSamples(samples)) {
    const family = families.get(sample.name);
    if (family === undefined) families.set(sample.name, [sample]);
    else family.push(sample);
  }
  const names = [...families.keys()].sort(compareText);
  return names.map((name) => renderFamily(name, families.get(name)!)).join('');
}

function renderFamily(name: MetricName, samples: MetricSample[]): string {
  const { type, help } = METRICS[name];
  const lines = samples
    .map((sample) => ({ order: seriesOrder(sample), bound: bucketBound(sample), sample }))
    .sort((a, b) => compareText(a.order, b.order) || a.bound - b.bound)
    .map(
      ({ sample }) =>
        `${name}${sample.suffix ?? ''}${labelText(sample.labels)} ${numberText(sample.value)}\n`,
    );
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

const SUFFIX_ORDER = { _bucket: '0', _sum: '1', _count: '2' } as const;

/** Series of one histogram stay together: by labels without `le`, then bucket, sum, count. */
function seriesOrder({ labels, suffix }: MetricSample): string {
  const { le: _, ...rest } = labels ?? {};
  return `${labelText(rest)}\0${suffix === undefined ? '' : SUFFIX_ORDER[suffix]}`;
}

function bucketBound({ labels }: MetricSample): number {
  const le = labels?.['le'];
  if (le === undefined) return 0;
  return le === '+Inf' ? Infinity : Number(le);
}

/** `{a="1",b="2"}` with names in order and values escaped; '' without labels. */
function labelText(labels: MetricSample['labels']): string {
  const pairs = Object.entries(labels ?? {});
  if (pairs.length === 0) return '';
  pairs.sort(([a], [b]) => compareText(a, b));
  return `{${pairs.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',')}}`;
}

function escapeLabel(value: string): string {
  return escapeHelp(value).replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** As Go's strconv.ParseFloat reads it. */
export function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return String(value);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
