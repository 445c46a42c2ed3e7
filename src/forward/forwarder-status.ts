/** What a forwarder says about its sink, for the API, and the same as metrics. */

import type { MetricSample } from '../telemetry/metrics.ts';
import type { SinkState } from './sink-health.ts';

export interface ForwarderStatus {
  readonly sink: string;
  /** held: a person has to act (hint says what); nothing is lost meanwhile and no restart is needed afterwards. */
  readonly state: SinkState;
  /** What the server said or what failed; empty while ok. */
  readonly reason: string;
  readonly hint: string;
  readonly lastSuccessMs: number | null;
  readonly backlogPoints: number;
  readonly backlogBytes: number;
  readonly backlogOldestMs: number | null;
  /** Seconds until the backlog is gone; null when unknown. */
  readonly backlogEtaS: number | null;
  readonly deliveredPoints: number;
  readonly deadLetteredPoints: number;
  readonly requests: number;
  readonly retries: number;
}

/** @param nowMs wall clock */
export function forwarderMetrics(status: ForwarderStatus, nowMs: number): MetricSample[] {
  const labels = { sink: status.sink };
  const ageMs = status.backlogOldestMs === null ? 0 : Math.max(0, nowMs - status.backlogOldestMs);
  const settled = (outcome: string, value: number): MetricSample => ({
    name: 'millwright_forward_points_total',
    labels: { ...labels, outcome },
    value,
  });
  const samples: MetricSample[] = [
    settled('delivered', status.deliveredPoints),
    settled('dead_lettered', status.deadLetteredPoints),
    { name: 'millwright_forward_requests_total', labels, value: status.requests },
    { name: 'millwright_forward_retries_total', labels, value: status.retries },
    { name: 'millwright_forward_up', labels, value: status.state === 'ok' ? 1 : 0 },
    { name: 'millwright_forward_held', labels, value: status.state === 'held' ? 1 : 0 },
    { name: 'millwright_forward_backlog_points', labels, value: status.backlogPoints },
    { name: 'millwright_forward_backlog_bytes', labels, value: status.backlogBytes },
    { name: 'millwright_forward_backlog_age_seconds', labels, value: ageMs / 1000 },
  ];
  if (status.backlogEtaS === null) return samples;
  return [...samples, { name: 'millwright_forward_backlog_eta_seconds', labels, value: status.backlogEtaS }];
}
