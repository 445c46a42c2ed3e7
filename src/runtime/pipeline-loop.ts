/**
 * What the pipeline thread does, again and again: drains the ring, runs the path, commits, lets the forwarders work.
 *
 * Everything here happens on one event loop: a tick every `commitWindowMs` (or at once when a sender waits), and
 * computing in slices between ticks, so that a burst of closing windows never holds back an acknowledgement for
 * longer than a slice.
 */

import type { CancelTimer, Clock } from '../domain/clock.ts';
import { alarmPoint } from '../domain/points-of.ts';
import { GatewayError } from '../errors.ts';
import type { PipelineAssembly } from './pipeline-assembly.ts';
import type { FromPipeline, IngestSummary, PipelineInput } from './pipeline-messages.ts';
import { gatewayPoint, pipelineStatus } from './pipeline-status.ts';
import { forwarderStage, type StageSilence } from './progress.ts';
import { RingReader } from './record-ring.ts';

/** Records taken into one commit at most; bounds the size of a journal row. */
const MAX_COMMIT_BYTES = 4_194_304;
/** Longest stretch of computing between two looks at the ring. */
const COMPUTE_SLICE_MS = 10;
/** Until the next look whether the models have answered. */
const ANSWER_PAUSE_MS = 2;
const STATUS_INTERVAL_MS = 1_000;
/** Retry pace while the store refuses to write (disk full, quota). */
const WRITE_RETRY_MS = 250;
const FORWARD_STOP_MS = 2_000;
const COMPUTE_STOP_MS = 2_000;
const STOP_TICK_MS = 20;

/** The other side: the MQTT thread, and whatever keeps this thread alive. */
export interface PipelinePort {
  send(message: FromPipeline): void;
  /** The path can't go on because of this error. */
  failed(error: unknown): void;
  /** Nothing more will be sent or done. */
  close(): void;
}

export class PipelineLoop {
  readonly #input: PipelineInput;
  readonly #assembly: PipelineAssembly;
  readonly #clock: Clock;
  readonly #port: PipelinePort;
  readonly #ring: RingReader;
  #timers: CancelTimer[] = [];
  #position = 0;
  #acknowledged = 0;
  #computing = false;
  #isAwaiting = false;
  #writeBlockedUntilMs = 0;
  #trimBelowBatch = 0;
  #ingest: IngestSummary = { connections: 0, ackLatencyP99Ms: 0 };
  #failed = false;
  #stopping = false;
  /** When the last tick wrote, found nothing to write, or was refused in good order. */
  #writerMovedMs: number;

  constructor(input: PipelineInput, assembly: PipelineAssembly, clock: Clock, port: PipelinePort) {
    this.#input = input;
    this.#assembly = assembly;
    this.#clock = clock;
    this.#port = port;
    this.#ring = new RingReader(input.ring);
    this.#writerMovedMs = clock.monotonicMs();
  }

  async start(): Promise<void> {
    const { pipeline, assessor, forwarders, store } = this.#assembly;
    await assessor.start();
    pipeline.recover();
    for (const forwarder of forwarders) forwarder.start();
    const { config } = this.#input;
    this.#timers = [
      this.#clock.every(Math.max(1, config.store.commitWindowMs), () => this.tick()),
      this.#clock.every(STATUS_INTERVAL_MS, () => this.#reportStatus()),
      this.#clock.every(config.statusIntervalMs, () => this.#emitStatusPoint()),
    ];
    this.#assembly.ledgerWatch.look(this.#clock.monotonicMs());
    this.#port.send({ type: 'ready', channels: store.channels(), lastKnownMs: store.lastKnownMs });
    this.#continueComputing();
  }

  /** One group commit. */
  tick(): void {
    if (this.#failed || this.#clock.monotonicMs() < this.#writeBlockedUntilMs) return;
    try {
      const took = this.#take();
      const wrote = this.#assembly.pipeline.commit(this.#trimBelowBatch);
      if (wrote) this.#wakeForwarders();
      this.#acknowledge();
      if (took || wrote) this.#writerMovedMs = this.#clock.monotonicMs();
      this.#assembly.ledgerWatch.look(this.#clock.monotonicMs());
    } catch (error) {
      this.#writeFailed(error);
    }
    this.#continueComputing();
  }

  /** Lets what is computed be committed and sent, for a few seconds at most, and closes the store. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const cancel of this.#timers) cancel();
    const { pipeline, assessor, forwarders, store } = this.#assembly;
    const deadline = this.#clock.monotonicMs() + COMPUTE_STOP_MS;
    // Closed windows that are already computed should not have to be computed again after the restart.
    do {
      this.tick();
      await new Promise<void>((resolve) => this.#clock.after(STOP_TICK_MS, resolve));
    } while (pipeline.waitingResults > 0 && this.#clock.monotonicMs() < deadline);
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
    this.#port.failed(error);
    if (!this.#stopping) void this.#letGo();
  }

  async #letGo(): Promise<void> {
    for (const cancel of this.#timers) cancel();
    const { assessor, forwarders, store } = this.#assembly;
    await Promise.allSettled([assessor.stop(), ...forwarders.map((forwarder) => forwarder.stop(0))]);
    store.close();
    this.#port.close();
  }

  /** The time of day moved by this much more than time passed: nothing in the outbox is older for it. */
  clockMoved(byMs: number): void {
    this.#assembly.store.clockMoved(byMs);
  }

  ingestReported(summary: IngestSummary): void {
    this.#ingest = summary;
  }

  /** False while what was taken before leaves no room for more. */
  #take(): boolean {
    const { pipeline } = this.#assembly;
    if (!pipeline.hasRoom) {
      pipeline.wait();
      return false;
    }
    const spans = this.#ring.peek(MAX_COMMIT_BYTES);
    pipeline.take(spans);
    const bytes = spans.reduce((sum, span) => sum + span.to - span.from, 0);
    if (bytes > 0) this.#position = this.#ring.release(bytes);
    return true;
  }

  #acknowledge(): void {
    if (this.#position === this.#acknowledged) return;
    this.#acknowledged = this.#position;
    this.#port.send({ type: 'committed', position: this.#position });
    this.#ring.wakeWriter();
  }

  #continueComputing(): void {
    if (this.#computing || this.#failed) return;
    this.#computing = true;
    const next = this.#assembly.pipeline.compute(this.#clock.monotonicMs() + COMPUTE_SLICE_MS);
    this.#computing = false;
    if (next === 'now') this.#clock.nextTurn(() => this.#continueComputing());
    else if (next === 'answered') this.#awaitAnswers();
  }

  #awaitAnswers(): void {
    if (this.#isAwaiting) return;
    this.#isAwaiting = true;
    this.#clock.after(ANSWER_PAUSE_MS, () => {
      this.#isAwaiting = false;
      this.#continueComputing();
    });
  }

  #wakeForwarders(): void {
    for (const forwarder of this.#assembly.forwarders) forwarder.wake();
  }

  #writeFailed(error: unknown): void {
    if (isRefusal(error)) {
      this.#writerMovedMs = this.#clock.monotonicMs();
      this.#writeBlockedUntilMs = this.#writerMovedMs + WRITE_RETRY_MS;
      return;
    }
    this.fail(error);
  }

  #reportStatus(): void {
    const { pipeline, store } = this.#assembly;
    // What comes after this moment gets the next id or a later one.
    this.#trimBelowBatch = Math.min(pipeline.oldestBatchNeeded(), store.nextBatchId());
    this.#idleStep();
    this.#raiseDamage();
    const status = pipelineStatus(this.#assembly);
    const metrics = this.#assembly.sources.flatMap((source) => source.metrics());
    this.#port.send({ type: 'status', status, metrics, silences: this.#silences() });
  }

  #silences(): StageSilence[] {
    const nowMs = this.#clock.monotonicMs();
    return [
      { stage: 'writer', silentMs: nowMs - this.#writerMovedMs },
      ...this.#assembly.forwarders.map((forwarder) => ({
        stage: forwarderStage(forwarder.sink),
        silentMs: forwarder.overdueMs,
      })),
    ];
  }

  /** Work that can wait goes on in small steps while there is some; on a full disk it waits for the next round. */
  #idleStep(): void {
    if (this.#failed) return;
    try {
      if (this.#assembly.store.idleStep()) this.#clock.nextTurn(() => this.#idleStep());
    } catch (error) {
      if (!isRefusal(error)) this.fail(error);
    }
  }

  #raiseDamage(): void {
    const { pipeline, store, damageAlarm } = this.#assembly;
    const events = damageAlarm.look(store.damage, this.#clock.now());
    if (events.length === 0) return;
    pipeline.board.note(events);
    pipeline.emit(events.map(alarmPoint));
  }

  #emitStatusPoint(): void {
    // A point of the gateway itself is of no use at a time that is not known.
    if (this.#assembly.forwarders.length === 0 || this.#clock.isSet?.() === false) return;
    this.#assembly.pipeline.emit([
      gatewayPoint(this.#assembly, this.#input.config.gateway.id, this.#ingest, this.#clock.now()),
    ]);
  }
}

/** The store changed nothing and may take it later. */
function isRefusal(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'MW_STORE_WRITE';
}
