/** What ingest counts: plain numbers that the hot path adds to, metric samples when asked. */

import { DEAD_LETTER_REASONS, type DeadLetterReason } from '../domain/dead-letter.ts';
import { Histogram, LATENCY_BOUNDS_S } from '../telemetry/histogram.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import type { SequenceCounts } from './sequence-guard.ts';

/** Which bound turned a connection away or ended it. */
export const REFUSAL_LIMITS = [
  'connections',
  'connections_per_address',
  'pre_auth_connections',
  'pre_auth_bytes',
  'connect_timeout',
  'keep_alive',
  'packet_bytes',
  'partial_bytes',
  'client_id',
  'subscriptions',
  'qos2_inflight',
  'protocol',
  'credentials',
  'stalled',
] as const;
export type RefusalLimit = (typeof REFUSAL_LIMITS)[number];

/** Why a connection was not read for a while. */
export const PAUSE_REASONS = ['room', 'unacked', 'rate', 'broker', 'unread'] as const;
export type PauseReason = (typeof PAUSE_REASONS)[number];

/** One per source. */
export class IngestCounters {
  /** Messages on ingest topics, by what became of them. */
  accepted = 0;
  deadLettered = 0;
  /** QoS 0 dropped because the ring was nearly full. */
  shed = 0;
  /** On a topic no machine class takes. */
  unrouted = 0;
  /** On a topic its sender may not publish to. */
  denied = 0;
  /** Of the accepted ones: acknowledged on receipt, `durability: memory`. */
  volatile = 0;
  payloadBytes = 0;
  samples = 0;
  acknowledged = 0;
  forcedCommits = 0;
  /** Messages local subscribers did not get because too many were on their way. */
  fanOutDropped = 0;
  /** Subscriptions answered with a failure: not granted, or beyond the number allowed. */
  subscriptionsRefused = 0;
  /** Messages that were not retained because the store of retained messages is full. */
  retainedRefused = 0;
  /** Times a connection was not read because we had to hold it back. */
  readonly pauses: Record<PauseReason, number> = zeros(PAUSE_REASONS);
  reconnects = 0;
  /** The broker had forgotten our session. */
  sessionGaps = 0;
  readonly sequence: SequenceCounts = { missing: 0, repeated: 0, late: 0, restarted: 0 };
  readonly deadLetters: Record<DeadLetterReason, number> = zeros(DEAD_LETTER_REASONS);
  readonly refused: Record<RefusalLimit, number> = zeros(REFUSAL_LIMITS);
  readonly ackLatency = new Histogram('millwright_ingest_ack_latency_seconds', LATENCY_BOUNDS_S);

  /** All counters; gauges belong to who knows them. */
  metrics(): MetricSample[] {
    const results = {
      accepted: this.accepted,
      dead_letter: this.deadLettered,
      shed: this.shed,
      unrouted: this.unrouted,
      denied: this.denied,
    };
    return [
      ...labelled('millwright_ingest_messages_total', 'result', results),
      { name: 'millwright_ingest_volatile_messages_total', value: this.volatile },
      { name: 'millwright_ingest_payload_bytes_total', value: this.payloadBytes },
      { name: 'millwright_ingest_samples_total', value: this.samples },
      { name: 'millwright_ingest_acknowledged_total', value: this.acknowledged },
      { name: 'millwright_ingest_forced_commits_total', value: this.forcedCommits },
      { name: 'millwright_ingest_fan_out_dropped_total', value: this.fanOutDropped },
      { name: 'millwright_ingest_subscriptions_refused_total', value: this.subscriptionsRefused },
      { name: 'millwright_ingest_retained_refused_total', value: this.retainedRefused },
      ...labelled('millwright_ingest_pauses_total', 'reason', this.pauses),
      { name: 'millwright_ingest_reconnects_total', value: this.reconnects },
      { name: 'millwright_ingest_session_gaps_total', value: this.sessionGaps },
      ...labelled('millwright_ingest_sequence_total', 'event', this.sequence),
      ...labelled('millwright_ingest_dead_letters_total', 'reason', this.deadLetters),
      ...labelled('millwright_ingest_refused_total', 'limit', this.refused),
      ...this.ackLatency.metrics(),
    ];
  }
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}

function labelled(
  name: MetricSample['name'],
  label: string,
  counts: Readonly<Record<string, number>> | SequenceCounts,
): MetricSample[] {
  return Object.entries(counts).map(([value, count]) => ({ name, labels: { [label]: value }, value: count }));
}
