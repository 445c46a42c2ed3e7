/** What the MQTT thread and the pipeline thread say to each other besides the ring. */

import type { Config } from '../config/schema.ts';
import type { ChannelRef } from '../domain/machine.ts';
import type { LogLevel } from '../telemetry/logger.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import type { PipelineStatus } from './pipeline-status.ts';
import type { StageSilence } from './progress.ts';

/** Given to the pipeline thread when it starts. */
export interface PipelineInput {
  readonly config: Config;
  readonly ring: SharedArrayBuffer;
  /** `clock/shared-clock.ts`. */
  readonly clock: SharedArrayBuffer;
  readonly logLevel: LogLevel;
}

/** Numbers of the MQTT thread that belong into the gateway's status point. */
export interface IngestSummary {
  readonly connections: number;
  readonly ackLatencyP99Ms: number;
}

export type ToPipeline =
  /** Commit now: a sender waits with its in-flight allowance used up. */
  | { readonly type: 'commit' }
  | { readonly type: 'ingest'; readonly summary: IngestSummary }
  /** The time of day moved by this much more than time passed, ms. */
  | { readonly type: 'clock'; readonly movedByMs: number }
  | { readonly type: 'stop' };

export type FromPipeline =
  | {
      readonly type: 'ready';
      readonly channels: readonly ChannelRef[];
      /** Newest time of day that was believed in an earlier run, ms; 0 if there was none. */
      readonly lastKnownMs: number;
    }
  /** Everything up to this ring position is durable. */
  | { readonly type: 'committed'; readonly position: number }
  | {
      readonly type: 'status';
      readonly status: PipelineStatus;
      readonly metrics: MetricSample[];
      readonly silences: readonly StageSilence[];
    }
  | { readonly type: 'failed'; readonly code: string; readonly message: string; readonly hint: string }
  | { readonly type: 'stopped' };
