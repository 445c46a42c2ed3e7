/** The MQTT thread's handle on the pipeline thread: start, commit positions, status, stop. */

import { Worker } from 'node:worker_threads';
import type { MachineStatus } from '../domain/gateway-status.ts';
import type { ChannelRef } from '../domain/machine.ts';
import { GatewayError } from '../errors.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import { MachineList } from './machine-list.ts';
import type { FromPipeline, IngestSummary, PipelineInput, ToPipeline } from './pipeline-messages.ts';
import type { PipelineStatus } from './pipeline-status.ts';
import { MAX_SILENCE_MS, type StageSilence, stuckStages } from './progress.ts';

export interface PipelineHostOptions {
  readonly input: PipelineInput;
  onCommitted(position: number): void;
  /** The thread ended or reported an error it can't go on with. Called once. */
  onFailed(error: GatewayError): void;
}

/** What earlier runs left. */
export interface PipelineStart {
  readonly channels: readonly ChannelRef[];
  /** Newest time of day they believed in, ms; 0 if there were none. */
  readonly lastKnownMs: number;
}

/** How long the pipeline may take to commit and hand over when the gateway stops. */
const STOP_DEADLINE_MS = 8_000;

export class PipelineHost {
  readonly #options: PipelineHostOptions;
  readonly #worker: Worker;
  #status: PipelineStatus | null = null;
  #metrics: MetricSample[] = [];
  #statusAtMs = 0;
  #silences: readonly StageSilence[] = [];
  readonly #machines = new MachineList();
  #stopping = false;
  #failed = false;
  #ended = false;
  #onReady: ((start: PipelineStart) => void) | null = null;
  #onStartFailed: ((error: GatewayError) => void) | null = null;
  #onStopped: (() => void) | null = null;

  constructor(options: PipelineHostOptions) {
    this.#options = options;
    const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
    this.#worker = new Worker(new URL(`./pipeline-worker${extension}`, import.meta.url), {
      workerData: options.input,
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.on('message', (message: FromPipeline) => this.#receive(message));
    this.#worker.on('error', (error) => this.#fail(this.#died(error)));
    this.#worker.on('exit', (code) => this.#exited(code));
  }

  /**
   * Resolves with what earlier runs left once the store is open and the open windows are rebuilt.
   * @throws GatewayError with the pipeline's own code
   */
  ready(): Promise<PipelineStart> {
    return new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.#onStartFailed = reject;
    });
  }

  requestCommit(): void {
    this.#post({ type: 'commit' });
  }

  /** The time of day moved by this much more than time passed, ms. */
  clockMoved(movedByMs: number): void {
    this.#post({ type: 'clock', movedByMs });
  }

  reportIngest(summary: IngestSummary): void {
    this.#post({ type: 'ingest', summary });
  }

  /** Latest status, at most about a second old; null before the first. */
  get status(): PipelineStatus | null {
    return this.#status;
  }

  get metrics(): readonly MetricSample[] {
    return this.#metrics;
  }

  /** Every machine seen since the start, by name. */
  get machines(): readonly MachineStatus[] {
    return this.#machines.sorted();
  }

  /** Parts of the path that make no progress; empty while all do. See `progress.ts`. */
  get stuck(): string[] {
    const ageMs = performance.now() - this.#statusAtMs;
    // The thread itself does not answer: what it last said of its parts counts no more.
    return ageMs > MAX_SILENCE_MS ? ['pipeline'] : stuckStages(this.#silences, ageMs);
  }

  /** Cooperative: a thread inside a native call must never be terminated. One that failed ends by itself. */
  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#stopping = true;
    const stopped = new Promise<void>((resolve) => {
      this.#onStopped = resolve;
    });
    if (!this.#failed) this.#post({ type: 'stop' });
    const timer = setTimeout(() => this.#onStopped?.(), STOP_DEADLINE_MS);
    await stopped;
    clearTimeout(timer);
  }

  #post(message: ToPipeline): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromPipeline): void {
    if (message.type === 'committed') {
      this.#options.onCommitted(message.position);
    } else if (message.type === 'status') {
      this.#status = message.status;
      this.#metrics = message.metrics;
      this.#silences = message.silences;
      this.#machines.update(message.status.changedMachines);
      this.#statusAtMs = performance.now();
    } else if (message.type === 'ready') {
      this.#statusAtMs = performance.now();
      this.#onReady?.(message);
    } else if (message.type === 'failed') {
      this.#fail(
        new GatewayError(message.code as ConstructorParameters<typeof GatewayError>[0], message.message, {
          hint: message.hint,
        }),
      );
    } else {
      this.#onStopped?.();
    }
  }

  #died(cause: unknown): GatewayError {
    return new GatewayError('MW_WORKER_DIED', 'the pipeline thread ended', { cause });
  }

  #exited(code: number): void {
    this.#ended = true;
    this.#onStopped?.();
    if (!this.#stopping) this.#fail(this.#died(`exit code ${code}`));
  }

  #fail(error: GatewayError): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#onStartFailed?.(error);
    this.#options.onFailed(error);
  }
}
