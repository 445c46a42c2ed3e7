/** Feature vectors, assessments, health and alarms as points: the one place that names measurements and tags. */

import type { Assessment } from './assessment.ts';
import type { FeatureVector } from './feature-vector.ts';
import type { AlarmEvent, MachineHealth } from './health.ts';
import type { FieldValue, Point } from './point.ts';

/** Measurement names as the database and the dashboards see them. */
export const MEASUREMENTS = {
  features: 'machine_features',
  assessment: 'machine_assessment',
  health: 'machine_health',
  alarm: 'machine_alarm',
  gateway: 'gateway_status',
} as const;

/**
 * One point per channel group with at least one defined feature: tags machine, machine_class, channel; fields are
 * the feature ids plus `coverage`, `quality` and `revision`. Time is the window start. Undefined features are absent.
 */
export function featurePoints(vector: FeatureVector): Point[] {
  const points: Point[] = [];
  for (const group of vector.groups) {
    const fields: Record<string, FieldValue> = {};
    group.specs.forEach((spec, i) => {
      const value = group.values[i];
      if (value !== undefined && Number.isFinite(value)) fields[spec.id] = value;
    });
    if (Object.keys(fields).length === 0) continue;
    fields['coverage'] = group.coverage;
    fields['quality'] = group.quality;
    fields['revision'] = vector.revision;
    const tags: Record<string, string> = { machine: vector.machine, machine_class: vector.machineClass };
    if (group.channel !== '') tags['channel'] = group.channel;
    points.push({
      pointClass: 'aggregate',
      measurement: MEASUREMENTS.features,
      tags,
      fields,
      timeMs: vector.startMs,
    });
  }
  return points;
}

/** True for a point that replaces an earlier one of the same identity, so that the two must not overtake each other. */
export function isRevision({ fields }: Point): boolean {
  const { revision } = fields;
  return typeof revision === 'number' && revision > 0;
}

/** One point: score state, anomaly and RUL fields that exist for this window. Time is the window start. */
export function assessmentPoint(assessment: Assessment): Point {
  const fields: Record<string, FieldValue> = {
    score_state: assessment.scoreState,
    baseline_progress: assessment.baselineProgress,
    extrapolating: assessment.extrapolating,
    revision: assessment.revision,
  };
  if (assessment.reason !== '') fields['reason'] = assessment.reason;
  const { anomaly, prognosis } = assessment;
  if (anomaly) {
    fields['anomaly_score'] = anomaly.score;
    fields['anomaly_p_value'] = anomaly.pValue;
    fields['anomaly_surprise'] = anomaly.surprise;
    fields['anomaly_model'] = `${anomaly.model.name}@${anomaly.model.version}`;
    const top = anomaly.contributions[0];
    if (top) {
      fields['anomaly_top_feature'] = top.featureId;
      fields['anomaly_top_z'] = top.z;
    }
  }
  if (prognosis) {
    fields['rul'] = prognosis.rul;
    fields['rul_low'] = prognosis.rulLow;
    fields['rul_high'] = prognosis.rulHigh;
    fields['rul_unit'] = prognosis.unit;
    fields['rul_confidence'] = prognosis.confidence;
    fields['rul_censored'] = prognosis.censored;
    fields['rul_model'] = `${prognosis.model.name}@${prognosis.model.version}`;
    fields['failure_mode'] = prognosis.failureMode;
  }
  return {
    pointClass: 'assessment',
    measurement: MEASUREMENTS.assessment,
    tags: { machine: assessment.machine, machine_class: assessment.machineClass },
    fields,
    timeMs: assessment.startMs,
  };
}

/** One point: the state as a word and as its severity index, the health index and the advice. */
export function healthPoint(health: MachineHealth, severityIndex: number): Point {
  const fields: Record<string, FieldValue> = { state: health.state, state_index: severityIndex };
  if (Number.isFinite(health.healthIndex)) fields['health_index'] = health.healthIndex;
  if (health.advice !== '') fields['advice'] = health.advice;
  return {
    pointClass: 'assessment',
    measurement: MEASUREMENTS.health,
    tags: { machine: health.machine, machine_class: health.machineClass },
    fields,
    timeMs: health.startMs,
  };
}

/** One point per alarm transition. */
export function alarmPoint(event: AlarmEvent): Point {
  return {
    pointClass: 'alarm',
    measurement: MEASUREMENTS.alarm,
    tags: { machine: event.machine, machine_class: event.machineClass, condition: event.condition },
    fields: { transition: event.transition, severity: event.severity, message: event.message },
    timeMs: event.timeMs,
  };
}

/** What the gateway says about itself, once per `statusIntervalMs`; the names are the fields of the point. */
export interface GatewayCounts {
  readonly accepted_samples: number;
  readonly late_samples: number;
  readonly duplicate_samples: number;
  /** Messages kept verbatim because they could not be used, and points a sink refused. */
  readonly dead_letters: number;
  /** Over all sinks. */
  readonly outbox_pending_points: number;
  /** Age of the oldest point that waits for a sink, seconds; 0 when none waits. */
  readonly outbox_oldest_age_s: number;
  readonly delivered_points: number;
  /** Open MQTT connections. */
  readonly connections: number;
  readonly rss_bytes: number;
  /** From the arrival of a QoS 1 message to its acknowledgement; NaN while there was none. */
  readonly ack_latency_p99_ms: number;
  readonly store_bytes: number;
}

/** One point, tag `gateway`; counts that are not finite are left out. */
export function gatewayStatusPoint(gateway: string, counts: GatewayCounts, timeMs: number): Point {
  const fields: Record<string, FieldValue> = {};
  for (const [name, value] of Object.entries(counts)) if (Number.isFinite(value)) fields[name] = value;
  return { pointClass: 'aggregate', measurement: MEASUREMENTS.gateway, tags: { gateway }, fields, timeMs };
}
