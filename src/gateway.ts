/**
 * Builds the gateway from its configuration. Start goes from the store to the sensors, stop the other way, so that
 * nothing is produced before its consumer lives and nothing accepted is left behind.
 */

import type { Config } from './config/schema.ts';
import type { GatewayHealth, GatewayStatus } from './domain/gateway-status.ts';
import type { HistoryAnswer, HistoryQuery } from './domain/history.ts';
import { CLOCK_BYTES } from './domain/record.ts';
import { describeError, type GatewayError } from './errors.ts';
import { createHttpServer, type HttpServer } from './http/server.ts';
import {
  createEmbeddedSource,
  createExternalSource,
  type IngestContext,
  type IngestSource,
} from './ingest/source.ts';
import { TopicRouter } from './ingest/topic-router.ts';
import { systemTime } from './runtime/clock/clock-evidence.ts';
import { ClockKeeper } from './runtime/clock/clock-keeper.ts';
import { createSharedClock } from './runtime/clock/shared-clock.ts';
import { PipelineHost } from './runtime/pipeline-host.ts';
import { ReadCoalescer } from './runtime/read-coalescer.ts';
import { createRing, RingWriter } from './runtime/record-ring.ts';
import { sdNotify, watchdogIntervalMs } from './runtime/sd-notify.ts';
import type { ReadOnlyStore } from './store/read-only-store.ts';
import type { Logger } from './telemetry/logger.ts';
import { type MetricSample, renderMetrics } from './telemetry/metrics.ts';
import { ProcessMetrics } from './telemetry/process-metrics.ts';
import { VERSION } from './version.ts';

export interface Gateway {
  /** Where sensors connect, `mqtt://host:port`. */
  readonly mqttAddress: string;
  /** Null if `http.enabled` is false. */
  readonly httpUrl: string | null;
  status(): GatewayStatus;
  /** Stops in order; everything acknowledged is on disk. Safe to call twice. */
  stop(): Promise<void>;
  /** Resolves after `stop`; rejects with a GatewayError if the gateway can't go on. */
  readonly done: Promise<void>;
}

export interface GatewayOptions {
  readonly logger: Logger;
}

/** @throws GatewayError if a part can't start; whatever started before is stopped again */
export async function startGateway(config: Config, options: GatewayOptions): Promise<Gateway> {
  const gateway = new RunningGateway(config, options.logger);
  try {
    await gateway.start();
  } catch (error) {
    await gateway.stop().catch(() => undefined);
    throw error;
  }
  return gateway;
}

class RunningGateway implements Gateway {
  readonly done: Promise<void>;
  readonly #config: Config;
  readonly #logger: Logger;
  readonly #clock: ClockKeeper;
  readonly #pipeline: PipelineHost;
  readonly #sink: RingWriter;
  readonly #coalescer: ReadCoalescer;
  readonly #process = new ProcessMetrics({ version: VERSION, thread: 'main' });
  #source: IngestSource | null = null;
  #http: HttpServer | null = null;
  #reader: ReadOnlyStore | null = null;
  #httpUrl: string | null = null;
  #timers: NodeJS.Timeout[] = [];
  #stopped: Promise<void> | null = null;
  #settle!: { resolve(): void; reject(error: unknown): void };

  constructor(config: Config, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
    this.done = new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // A caller that only awaits start() must not see an unhandled rejection of `done`.
    this.done.catch(() => undefined);
    const ring = createRing(config.ingest.ringBytes);
    this.#sink = new RingWriter(ring);
    this.#coalescer = new ReadCoalescer(this.#sink.commits, config.store.commitWindowMs);
    const system = systemTime(config.clock.syncedFile);
    const clock = createSharedClock(system.wallMs() - system.monotonicMs());
    this.#clock = new ClockKeeper({
      config: config.clock,
      system,
      shared: clock,
      logger,
      writeMark: (mark) => {
        if (!this.#sink.hasRoom(CLOCK_BYTES)) return false;
        this.#sink.clock(mark);
        return true;
      },
      held: () => this.#pipeline.status?.held ?? { samples: 0, bytes: 0 },
      onMoved: (byMs) => this.#pipeline.clockMoved(byMs),
    });
    this.#pipeline = new PipelineHost({
      input: { config, ring, clock, logLevel: config.log.level },
      onCommitted: (position) => {
        this.#source?.onCommitted(position);
        this.#coalescer.committed();
      },
      onFailed: (error) => this.#pipelineFailed(error),
    });
  }

  get mqttAddress(): string {
    return this.#source?.address ?? '';
  }

  get httpUrl(): string | null {
    return this.#httpUrl;
  }

  async start(): Promise<void> {
    const { channels, lastKnownMs } = await this.#pipeline.ready();
    this.#clock.start(lastKnownMs);
    await this.#startHttp();
    const { ingest, machineClasses } = this.#config;
    const context: IngestContext = {
      sink: this.#sink,
      router: new TopicRouter(machineClasses, channels, { maxChannels: ingest.limits.maxChannels }),
      now: this.#clock.now,
      clock: this.#clock.clock,
      monotonicMs: () => performance.now(),
      hasRunBefore: channels.length > 0,
      logger: this.#logger,
      requestCommit: () => {
        if (!this.#config.store.adaptiveCommit) return;
        this.#coalescer.hurry();
        this.#pipeline.requestCommit();
      },
      onRead: this.#coalescer.onRead,
      onConnection: this.#coalescer.onConnection,
    };
    this.#source =
      ingest.mode === 'embedded'
        ? createEmbeddedSource(ingest, context)
        : createExternalSource(ingest, context, context.router.topicFilters());
    await this.#source.start();
    this.#startTimers();
    sdNotify('READY=1');
    this.#logger.info({ mqtt: this.mqttAddress, page: this.#httpUrl ?? 'off', version: VERSION }, 'ready');
  }

  status(): GatewayStatus {
    const pipeline = this.#pipeline.status;
    const nowMs = this.#clock.now();
    const { uptimeMs } = this.#clock;
    const { ready, reasons } = this.#health();
    return {
      gateway: this.#config.gateway.id,
      version: VERSION,
      atMs: nowMs,
      startedMs: Math.round(nowMs - uptimeMs),
      uptimeS: Math.round(uptimeMs / 1000),
      ready,
      reasons,
      machines: this.#pipeline.machines,
      ingest: this.#ingestStatus(),
      clock: this.#clock.status(this.#source?.skewedClocks() ?? []),
      store: pipeline?.store ?? EMPTY_STORE,
      sinks: pipeline?.sinks ?? [],
      models: pipeline?.models ?? [],
      alarms: pipeline?.alarms ?? [],
    };
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopInOrder();
    return this.#stopped;
  }

  async #startHttp(): Promise<void> {
    if (!this.#config.http.enabled) return;
    this.#http = createHttpServer({
      config: this.#config.http,
      status: () => this.status(),
      metricsText: () => Promise.resolve(renderMetrics(this.#metrics())),
      health: () => this.#health(),
      history: this.#config.history.enabled ? (query) => this.#history(query) : null,
      logger: this.#logger,
    });
    this.#httpUrl = await this.#http.start();
  }

  /** Reads beside the pipeline thread; the store is loaded on this thread only once somebody asks. */
  async #history(query: HistoryQuery): Promise<HistoryAnswer> {
    this.#reader ??= (await import('./store/store.ts')).openStoreReadOnly(this.#config.dataDir);
    return this.#reader.history(this.#config.history.xff).rows(query);
  }

  #startTimers(): void {
    const report = setInterval(
      () => {
        this.#pipeline.reportIngest({
          connections: this.#source?.connections ?? 0,
          ackLatencyP99Ms: this.#source?.ackLatencyP99Ms ?? Number.NaN,
        });
      },
      Math.min(this.#config.statusIntervalMs, 5_000),
    );
    this.#timers = [report];
    const watchdogMs = watchdogIntervalMs();
    if (watchdogMs === null) return;
    this.#timers.push(
      setInterval(() => {
        if (this.#health().live) sdNotify('WATCHDOG=1');
      }, watchdogMs),
    );
  }

  #ingestStatus(): GatewayStatus['ingest'] {
    const source = this.#source;
    return {
      address: this.mqttAddress,
      mode: this.#config.ingest.mode,
      ok: source?.health.ok ?? false,
      reason: source?.health.reason ?? 'starting',
      connections: source?.connections ?? 0,
      acknowledgedMessages: source?.acknowledgedMessages ?? 0,
      pendingAcks: source?.pendingAcks ?? 0,
      sessionGaps: source?.sessionGaps.count ?? 0,
      lastSessionGapMs: source?.sessionGaps.lastMs ?? null,
      ackLatencyP99Ms: source?.ackLatencyP99Ms ?? null,
    };
  }

  /**
   * Live means: every part makes progress (`runtime/progress.ts`); ingest shows its own by answering this question on
   * its event loop. Ready means: sensors can deliver and what they deliver reaches every sink that a person has not to
   * repair.
   */
  #health(): GatewayHealth {
    const stuck = this.#pipeline.stuck;
    const live = stuck.length === 0;
    const reasons = stuck.map((part) => `no progress: ${part}`);
    if (this.#source === null) reasons.push('starting');
    else if (!this.#source.health.ok) reasons.push(`ingest: ${this.#source.health.reason}`);
    if (this.#clock.trouble !== '') reasons.push(this.#clock.trouble);
    const status = this.#pipeline.status;
    if (status && status.store.status !== 'ok') reasons.push(`store: ${status.store.status}`);
    reasons.push(...(status?.store.reasons ?? []));
    for (const sink of status?.sinks ?? []) {
      if (sink.state === 'held') reasons.push(`sink ${sink.sink}: ${sink.reason} (${sink.hint})`);
    }
    for (const model of status?.models ?? []) {
      if (model.state === 'disabled') reasons.push(`model ${model.name}: ${model.reason}`);
    }
    const ready = reasons.length === 0;
    return { live, ready, reasons: [...reasons, ...(status?.store.notices ?? [])] };
  }

  #metrics(): MetricSample[] {
    return [
      ...(this.#source?.metrics() ?? []),
      ...(this.#http?.metrics() ?? []),
      ...this.#clock.metrics(),
      { name: 'millwright_ring_fill_ratio', value: this.#sink.fill },
      ...this.#pipeline.metrics,
      ...this.#process.metrics(),
    ];
  }

  #pipelineFailed(error: GatewayError): void {
    this.#logger.error(
      {
        code: error.code,
        hint: error.hint,
        ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
      },
      error.message,
    );
    this.#settle.reject(error);
    void this.stop();
  }

  async #stopInOrder(): Promise<void> {
    sdNotify('STOPPING=1');
    for (const timer of this.#timers) clearInterval(timer);
    this.#clock.stop();
    await this.#source?.stop();
    await this.#pipeline.stop();
    await this.#http?.stop();
    this.#reader?.close();
    this.#process.stop();
    this.#settle.resolve();
  }
}

const EMPTY_STORE: GatewayStatus['store'] = {
  status: 'ok',
  bytes: 0,
  maxBytes: 0,
  reasons: [],
  wear: { writtenBytes: 0, observedMs: 0, bytesPerDay: null, lifeDays: null },
  notices: [],
  ledger: {
    samples: { accepted: 0, open: 0, windowed: 0, late: 0, duplicate: 0, evicted: 0, quarantined: 0 },
    points: [],
    deadLetteredMessages: 0,
  },
};
