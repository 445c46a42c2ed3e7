/**
 * What the gateway says about itself: the JSON of `/api/v1`, plain data only.
 *
 * The pipeline posts a snapshot every second; http adds nothing to it. Numbers that are not known are null (JSON has
 * no NaN), times are ms since the epoch, names carry their units.
 */

import type { Contribution, ModelIdentity, Prognosis, ScoreState } from './assessment.ts';
import type { ClockState, DeviceClock } from './gateway-clock.ts';
import type { AlarmEvent, MachineState } from './health.ts';
import type { Ledger } from './ledger.ts';
import type { Quality } from './record.ts';

/** One feature of the last window. */
export interface FeatureRow {
  /** Full id, `<channel>.<feature>`. */
  readonly id: string;
  readonly unit: string;
  /** Finite; undefined features have no row. */
  readonly value: number;
}

export interface AnomalyStatus {
  readonly score: number;
  /** 0 < p <= 1. */
  readonly pValue: number;
  /** -log10(pValue). */
  readonly surprise: number;
  /** -log10 of the p-value below which a window counts against the machine; null while there is no limit. */
  readonly surpriseLimit: number | null;
  /** Largest first, at most five. */
  readonly contributions: readonly Contribution[];
  readonly model: ModelIdentity;
}

export interface MachineStatus {
  readonly machine: string;
  readonly machineClass: string;
  readonly state: MachineState;
  /** 1 as commissioned, 0 worst; null while unknown. */
  readonly healthIndex: number | null;
  /** One line a person can act on; empty while healthy. */
  readonly advice: string;
  readonly scoreState: ScoreState;
  /** Why there is no score; empty when scored; `no_window_yet` until the first window after a start. */
  readonly reason: string;
  /** 0..1; 1 once verified or where no baseline is configured. */
  readonly baselineProgress: number;
  readonly anomaly: AnomalyStatus | null;
  readonly prognosis: Prognosis | null;
  readonly lastWindow: {
    readonly startMs: number;
    readonly endMs: number;
    /** 0..1; null, as the quality, for a window before the start. */
    readonly coverage: number | null;
    readonly quality: Quality | null;
  } | null;
  readonly features: readonly FeatureRow[];
}

export interface IngestStatus {
  /** Where sensors connect, `mqtt://host:port`, or the broker we subscribe to. */
  readonly address: string;
  readonly mode: 'embedded' | 'external';
  readonly ok: boolean;
  /** Why not ok; empty otherwise. */
  readonly reason: string;
  readonly connections: number;
  /** Messages acknowledged to their senders since the start. */
  readonly acknowledgedMessages: number;
  /** Messages received and not yet durable. */
  readonly pendingAcks: number;
  /** Times the external broker had forgotten our session, since the start: what was published meanwhile is lost. */
  readonly sessionGaps: number;
  /** ms; null while there was none. */
  readonly lastSessionGapMs: number | null;
  /** 99th percentile from receiving a message to acknowledging it; null before the first. */
  readonly ackLatencyP99Ms: number | null;
}

export interface ClockStatus {
  readonly state: ClockState;
  /** Why not synced; empty otherwise. */
  readonly reason: string;
  /** What to do about it; empty while synced. */
  readonly hint: string;
  /** System clock minus the time the gateway goes by, ms. */
  readonly systemOffsetMs: number;
  /** Steps of the system clock since the start. */
  readonly steps: number;
  /** Samples that wait for the clock to be set; they are durable. */
  readonly heldSamples: number;
  /** Machines whose clocks are off, worst first, at most 20. */
  readonly devices: readonly DeviceClock[];
}

export interface StoreStatus {
  readonly status: 'ok' | 'read_only' | 'full' | 'locked' | 'failing' | 'suspect';
  readonly bytes: number;
  readonly maxBytes: number;
  readonly ledger: Ledger;
  /** Bytes written over all runs, while watched for `observedMs`; the rest is null in the first ten minutes. */
  readonly wear: {
    readonly writtenBytes: number;
    readonly observedMs: number;
    readonly bytesPerDay: number | null;
    /** Days a new medium of `store.flash` bears that. */
    readonly lifeDays: number | null;
  };
  /** What is wrong with the store beside its status, one line each: accounts that do not balance. */
  readonly reasons: readonly string[];
  /** What the gateway got over by itself and a person should look at, one line each. */
  readonly notices: readonly string[];
}

export interface SinkStatus {
  readonly sink: string;
  /** held: a person has to act (hint says what); nothing is lost meanwhile and no restart is needed afterwards. */
  readonly state: 'ok' | 'retrying' | 'held' | 'stopped';
  /** What the server said or what failed; empty while ok. */
  readonly reason: string;
  /** What to do about it; empty while ok. */
  readonly hint: string;
  readonly lastSuccessMs: number | null;
  readonly backlogPoints: number;
  readonly backlogBytes: number;
  /** Commit time of the oldest point still waiting; null when none waits. */
  readonly backlogOldestMs: number | null;
  /** Estimated seconds until the backlog is gone; null when unknown. */
  readonly backlogEtaS: number | null;
  readonly deliveredPoints: number;
  readonly deadLetteredPoints: number;
  readonly requests: number;
  readonly retries: number;
}

export interface ModelStatus {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** Machine classes that use it. */
  readonly machineClasses: readonly string[];
  readonly state: 'ready' | 'loading' | 'disabled';
  /** Why it is not ready; empty otherwise. */
  readonly reason: string;
}

export interface GatewayStatus {
  readonly gateway: string;
  readonly version: string;
  /** When this snapshot was taken. */
  readonly atMs: number;
  readonly startedMs: number;
  readonly uptimeS: number;
  readonly ready: boolean;
  /** Why not ready, and what a person should look at although it is; one line each. */
  readonly reasons: readonly string[];
  /** By name. */
  readonly machines: readonly MachineStatus[];
  readonly ingest: IngestStatus;
  readonly clock: ClockStatus;
  readonly store: StoreStatus;
  readonly sinks: readonly SinkStatus[];
  readonly models: readonly ModelStatus[];
  /** Transitions since the start and the alarms that stood at it, newest first, bounded. */
  readonly alarms: readonly AlarmEvent[];
}

/** Whether the process makes progress, and whether it does all of its work. */
export interface GatewayHealth {
  /** False: restart it. */
  readonly live: boolean;
  /** False: it runs, but something it needs is missing. */
  readonly ready: boolean;
  readonly reasons: readonly string[];
}
