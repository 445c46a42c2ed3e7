/**
 * The pipeline thread: drains the ring, runs the path, commits, and lets the forwarders work.
 *
 * Everything here happens on one event loop: a tick every `commitWindowMs` (or at once when a sender waits), and
 * computing in slices between ticks, so that a burst of closing windows never holds back an acknowledgement for
 * longer than a slice.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { describeError, GatewayError } from '../errors.ts';
import { createLogger } from '../telemetry/logger.ts';
import { buildPipeline, type PipelineAssembly } from './pipeline-assembly.ts';
import type { FromPipeline, IngestSummary, PipelineInput, ToPipeline } from './pipeline-messages.ts';
import { gatewayPoint, pipelineStatus } from './pipeline-status.ts';
import { RingReader } from './record-ring.ts';
import { keepYoungGenerationSmall } from './young-generation.ts';

/** Records taken into one commit at most; bounds the size of a journal row. */
const MAX_COMMIT_BYTES = 4_194_304;
/** Longest stretch of computing between two looks at the ring. */
const COMPUTE_SLICE_MS = 10;
const STATUS_INTERVAL_MS = 1_000;
/** Retry pace while the store refuses to write (disk full, quota). */
const WRITE_RETRY_MS = 250;
const FORWARD_STOP_MS = 2_000;
const COMPUTE_STOP_MS = 2_000;

class PipelineThread {
  readonly #input: PipelineInput;
  readonly #assembly: PipelineAssembly;
  readonly #ring: RingReader;
  #timers: NodeJS.Timeout[] = [];
  #position = 0;
  #acknowledged = 0;
  #computing = false;
  #writeBlockedUntilMs = 0;
  #trimBelowBatch = 0;
  #ingest: IngestSummary = { connections: 0, ackLatencyP99Ms: 0 };
  #failed = false;
  #stopping = false;

  constructor(input: PipelineInput, assembly: PipelineAssembly) {
    this.#input = input;
    this.#assembly = assembly;
    this.#ring = new RingReader(input.ring);
  }

  async start(): Promise<void> {
    const { pipeline, assessor, forwarders, store } = this.#assembly;
    await assessor.start();
    pipeline.recover();
    for (const forwarder of forwarders) forwarder.start();
    const { config } = this.#input;
    this.#timers = [
      setInterval(() => this.tick(), Math.max(1, config.store.commitWindowMs)),
      setInterval(() => this.#reportStatus(), STATUS_INTERVAL_MS),
      setInterval(() => this.#emitStatusPoint(), config.statusIntervalMs),
    ];
    send({ type: 'ready', channels: store.channels() });
    this.#continueComputing();
  }

  /** One group commit. */
  tick(): void {
    if (this.#failed || performance.now() < this.#writeBlockedUntilMs) return;
    try {
      this.#take();
      if (this.#assembly.pipeline.commit(this.#trimBelowBatch)) this.#wakeForwarders();
      this.#acknowledge();
    } catch (error) {
      this.#writeFailed(error);
    }
    this.#continueComputing();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    const { pipeline, assessor, forwarders, store } = this.#assembly;
    const deadline = performance.now() + COMPUTE_STOP_MS;
    // Closed windows that are already computed should not have to be computed again after the restart.
    do {
      this.tick();
      await new Promise((resolve) => setTimeout(resolve, 20));
    } while (pipeline.waitingResults > 0 && performance.now() < deadline);
    await Promise.all(forwarders.map((forwarder) => forwarder.stop(FORWARD_STOP_MS)));
    await assessor.stop();
    store.close();
  }

  /**
   * The thread can't go on: says why and lets go of all that would keep the process alive, because a gateway that
   * neither works nor ends is one that nobody starts again.
   */
  fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    sendFailure(error);
    if (!this.#stopping) void this.#letGo();
  }

  async #letGo(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const { assessor, forwarders, store } = this.#assembly;
    await Promise.allSettled([assessor.stop(), ...forwarders.map((forwarder) => forwarder.stop(0))]);
    store.close();
    parentPort!.close();
  }

  ingestReported(summary: IngestSummary): void {
    this.#ingest = summary;
  }

  #take(): void {
    const { pipeline } = this.#assembly;
    if (!pipeline.hasRoom) return;
    const spans = this.#ring.peek(MAX_COMMIT_BYTES);
    pipeline.take(spans);
    const bytes = spans.reduce((sum, span) => sum + span.to - span.from, 0);
    if (bytes > 0) this.#position = this.#ring.release(bytes);
  }

  #acknowledge(): void {
    if (this.#position === this.#acknowledged) return;
    this.#acknowledged = this.#position;
    send({ type: 'committed', position: this.#position });
    this.#ring.wakeWriter();
  }

  #continueComputing(): void {
    if (this.#computing || this.#failed) return;
    this.#computing = true;
    const more = this.#assembly.pipeline.compute(performance.now() + COMPUTE_SLICE_MS);
    this.#computing = false;
    if (more) setImmediate(() => this.#continueComputing());
  }

  #wakeForwarders(): void {
    for (const forwarder of this.#assembly.forwarders) forwarder.wake();
  }

  #writeFailed(error: unknown): void {
    if (isRefusal(error)) {
      this.#writeBlockedUntilMs = performance.now() + WRITE_RETRY_MS;
      return;
    }
    this.fail(error);
  }

  #reportStatus(): void {
    const { windower, store } = this.#assembly;
    // What comes after this moment gets the next id or a later one.
    this.#trimBelowBatch = Math.min(windower.oldestBatchNeeded(), store.nextBatchId());
    this.#idleStep();
    const status = pipelineStatus(this.#assembly);
    send({ type: 'status', status, metrics: this.#assembly.sources.flatMap((source) => source.metrics()) });
  }

  /** Work that can wait goes on in small steps while there is some; on a full disk it waits for the next round. */
  #idleStep(): void {
    if (this.#failed) return;
    try {
      if (this.#assembly.store.idleStep()) setImmediate(() => this.#idleStep());
    } catch (error) {
      if (!isRefusal(error)) this.fail(error);
    }
  }

  #emitStatusPoint(): void {
    if (this.#assembly.forwarders.length === 0) return;
    this.#assembly.pipeline.emit([
      gatewayPoint(this.#assembly, this.#input.config.gateway.id, this.#ingest, Date.now()),
    ]);
  }
}

/** The store changed nothing and may take it later. */
function isRefusal(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'MW_STORE_WRITE';
}

function send(message: FromPipeline): void {
  parentPort!.postMessage(message);
}

function sendFailure(error: unknown): void {
  const known = error instanceof GatewayError ? error : null;
  send({
    type: 'failed',
    code: known?.code ?? 'MW_INTERNAL',
    message: describeError(error),
    hint: known?.hint ?? '',
  });
  if (!known) process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
}

async function main(): Promise<void> {
  keepYoungGenerationSmall();
  const input = workerData as PipelineInput;
  const thread = new PipelineThread(input, buildPipeline(input.config, createLogger(input.logLevel)));
  await thread.start().catch((error) => thread.fail(error));
  parentPort!.on('message', (message: ToPipeline) => {
    if (message.type === 'commit') thread.tick();
    else if (message.type === 'ingest') thread.ingestReported(message.summary);
    else
      void thread
        .stop()
        .then(() => send({ type: 'stopped' }), sendFailure)
        .finally(() => parentPort!.close());
  });
}

main().catch(sendFailure);
