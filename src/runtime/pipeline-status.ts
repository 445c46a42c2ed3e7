/** The pipeline's parts enter, its share of the API's snapshot and the gateway's own status point leave. */

import type { Assessment } from '../domain/assessment.ts';
import type {
  AnomalyStatus,
  MachineStatus,
  ModelStatus,
  SinkStatus,
  StoreStatus,
} from '../domain/gateway-status.ts';
import type { AlarmEvent } from '../domain/health.ts';
import type { Point } from '../domain/point.ts';
import { gatewayStatusPoint } from '../domain/points-of.ts';
import type { Store } from '../store/store.ts';
import { damageText } from './damage-alarm.ts';
import { type BoardEntry, featureRows } from './machine-board.ts';
import type { PipelineAssembly } from './pipeline-assembly.ts';
import type { IngestSummary } from './pipeline-messages.ts';

export interface PipelineStatus {
  /** Those that changed since the last status: posting all of 10,000 machines costs a third of a second. */
  readonly changedMachines: readonly MachineStatus[];
  readonly store: StoreStatus;
  /** Records that wait for the gateway's clock to be set. */
  readonly held: { readonly samples: number; readonly bytes: number };
  readonly sinks: readonly SinkStatus[];
  readonly models: readonly ModelStatus[];
  readonly alarms: readonly AlarmEvent[];
}

/** Plain data, safe to post to another thread. Each call hands out the changes since the one before. */
export function pipelineStatus(assembly: PipelineAssembly): PipelineStatus {
  const { pipeline, store, forwarders, assessor, config } = assembly;
  return {
    changedMachines: pipeline.board.takeChanged().map((entry) => machineStatus(entry, assembly)),
    store: {
      status: store.status,
      bytes: store.bytes,
      maxBytes: config.store.maxBytes,
      ledger: store.ledger(),
      wear: wearStatus(store.wear),
      reasons: assembly.ledgerWatch.reasons(),
      notices: store.damage === null ? [] : [`store: ${damageText(store.damage)}`],
    },
    held: pipeline.held,
    sinks: forwarders.map((forwarder) => forwarder.status()),
    models: modelStatuses(assessor.models()),
    alarms: [...pipeline.board.recentAlarms()].reverse(),
  };
}

/** JSON knows no Infinity: nothing written has no end, so no life. */
function wearStatus({ lifeDays, ...wear }: Store['wear']): StoreStatus['wear'] {
  return { ...wear, lifeDays: lifeDays !== null && Number.isFinite(lifeDays) ? lifeDays : null };
}

/** The gateway about itself, for dashboards far away. */
export function gatewayPoint(
  { store, forwarders }: PipelineAssembly,
  gateway: string,
  ingest: IngestSummary,
  nowMs: number,
): Point {
  const ledger = store.ledger();
  const backlogs = forwarders.map((forwarder) => forwarder.status());
  const oldestMs = Math.min(...backlogs.map((backlog) => backlog.backlogOldestMs ?? nowMs), nowMs);
  const sum = (of: (account: (typeof ledger.points)[number]) => number) =>
    ledger.points.reduce((total, account) => total + of(account), 0);
  return gatewayStatusPoint(
    gateway,
    {
      accepted_samples: ledger.samples.accepted,
      late_samples: ledger.samples.late,
      duplicate_samples: ledger.samples.duplicate,
      dead_letters: ledger.deadLetteredMessages + sum((account) => account.deadLettered),
      outbox_pending_points: sum((account) => account.pending),
      outbox_oldest_age_s: (nowMs - oldestMs) / 1000,
      delivered_points: sum((account) => account.delivered),
      connections: ingest.connections,
      rss_bytes: process.memoryUsage.rss(),
      ack_latency_p99_ms: ingest.ackLatencyP99Ms,
      store_bytes: store.bytes,
    },
    nowMs,
  );
}

function machineStatus(
  { machine, machineClass, lastWindow, vector, assessment, health }: BoardEntry,
  assembly: PipelineAssembly,
): MachineStatus {
  return {
    machine,
    machineClass,
    state: health?.state ?? 'unknown',
    healthIndex: health && Number.isFinite(health.healthIndex) ? health.healthIndex : null,
    advice: health?.advice ?? '',
    scoreState: assessment?.scoreState ?? 'none',
    reason: assessment?.reason ?? (vector === null ? 'no_window_yet' : 'no_model'),
    baselineProgress:
      assessment?.baselineProgress ?? assembly.assessor.baselineProgress(machineClass, machine),
    anomaly: anomalyStatus(assessment, assembly),
    prognosis: assessment?.prognosis ?? null,
    lastWindow: {
      startMs: lastWindow.startMs,
      endMs: lastWindow.endMs,
      coverage: vector?.coverage ?? null,
      quality: vector?.quality ?? null,
    },
    features: vector === null ? [] : featureRows(vector),
  };
}

function anomalyStatus(assessment: Assessment | null, { health }: PipelineAssembly): AnomalyStatus | null {
  if (!assessment?.anomaly) return null;
  const pLimit = health.pLimit(assessment.machineClass);
  return { ...assessment.anomaly, surpriseLimit: pLimit === null ? null : -Math.log10(pLimit) };
}

/** One row per model, with the classes that use it. */
function modelStatuses(slots: ReturnType<PipelineAssembly['assessor']['models']>): ModelStatus[] {
  const rows = new Map<string, ModelStatus>();
  for (const { machineClass, name, version, sha256, state, reason } of slots) {
    const key = `${name}@${version}:${state}:${reason}`;
    const known = rows.get(key);
    rows.set(key, {
      name,
      version,
      sha256,
      machineClasses: [...(known?.machineClasses ?? []), machineClass],
      state: state === 'failed' ? 'disabled' : state,
      reason,
    });
  }
  return [...rows.values()];
}
