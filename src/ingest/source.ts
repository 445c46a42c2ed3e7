/** MQTT in, records and acknowledgements out: the two ways messages reach the gateway, behind one interface. */

import type { IngestConfig } from '../config/schema.ts';
import type { DeviceClock, StampClock } from '../domain/gateway-clock.ts';
import type { RecordSink } from '../domain/record-sink.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricSource } from '../telemetry/metrics.ts';
import { EmbeddedSource } from './embedded-source.ts';
import { ExternalSource } from './external-source.ts';
import type { TopicRouter } from './topic-router.ts';

/** What a source works with. */
export interface IngestContext {
  readonly sink: RecordSink;
  readonly router: TopicRouter;
  /** Time of day, ms since the epoch; does not step. */
  now(): number;
  readonly clock: StampClock;
  /** Never steps, ms. */
  monotonicMs(): number;
  readonly logger: Logger;
  /** Asks the pipeline to commit now: a sender waits with its in-flight allowance used up. */
  requestCommit(): void;
  /** An earlier run received messages: an external broker should know us. */
  readonly hasRunBefore?: boolean;
  /** Something was read from a client; the thread may rest before it reads again. */
  onRead?(): void;
  /** A connection arrived and there may be more: they are taken one a turn, so the thread should not rest now. */
  onConnection?(): void;
}

/** Times at which the external broker had forgotten our session: what was published meanwhile is lost. */
export interface SessionGaps {
  readonly count: number;
  /** Time of day, ms; null before the first. */
  readonly lastMs: number | null;
}

export interface IngestSource extends MetricSource {
  /** Resolves once clients can connect (embedded), or once connecting has begun (external). @throws GatewayError */
  start(): Promise<void>;
  /** Reads nothing more, lets what was read be committed and acknowledged (at most 2 s), then closes. */
  stop(): Promise<void>;
  /** Where clients connect, or the broker we connect to: `mqtt://host:port`. */
  readonly address: string;
  /** Everything written before this position is durable: writes the acknowledgements that waited for it. */
  onCommitted(position: number): void;
  readonly connections: number;
  /** `reason` is empty while ok. */
  readonly health: { readonly ok: boolean; readonly reason: string };
  /** None with the built-in broker. */
  readonly sessionGaps: SessionGaps;
  /** QoS 1 messages acknowledged since the start. */
  readonly acknowledgedMessages: number;
  /** Messages received and not yet durable. */
  readonly pendingAcks: number;
  /** 99th percentile from receiving a message to its PUBACK; null before the first. */
  readonly ackLatencyP99Ms: number | null;
  /** Machines whose clocks are off by more than `ingest.clockGuard.warnOffsetMs`, worst first, at most 20. */
  skewedClocks(): DeviceClock[];
}

/** The built-in broker. @throws GatewayError MW_CONFIG_INVALID if it were open to the network without users */
export function createEmbeddedSource(config: IngestConfig, context: IngestContext): IngestSource {
  return new EmbeddedSource(config, context);
}

/** A subscriber at the plant's own broker. @throws GatewayError MW_CONFIG_INVALID for a URL it cannot speak */
export function createExternalSource(
  config: IngestConfig,
  context: IngestContext,
  topicFilters: string[],
): IngestSource {
  return new ExternalSource(config, context, topicFilters);
}
