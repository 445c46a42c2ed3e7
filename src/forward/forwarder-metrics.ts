/** What a forwarder says about its sink, as metrics. */

import type { SinkStatus } from '../domain/gateway-status.ts';
import type { MetricSample } from '../telemetry/metrics.ts';

/** @param nowMs wall clock */
export function forwarderMetrics(status: SinkStatus, nowMs: number): MetricSample[] {
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
