/** Feature vectors enter, assessments leave, per machine in the order of submission and never later than agreed. */

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { InferenceConfig, MachineClassConfig } from '../config/schema.ts';
import type { AssessmentOutcome, ModelIdentity } from '../domain/assessment.ts';
import type { ContractFeature } from '../domain/feature-contract.ts';
import type { FeatureVector } from '../domain/feature-vector.ts';
import type { ModelStatus } from '../domain/model-status.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricSample, MetricSource } from '../telemetry/metrics.ts';
import { padded, paddedWidth } from './baseline.ts';
import type { Batcher, PendingRow } from './batcher.ts';
import { type HostState, InferenceHost, type RunReply } from './inference-host.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { MachineBaselines } from './machine-baselines.ts';
import { MachineQueue } from './machine-queue.ts';
import { MissedScores } from './missed-scores.ts';
import { ModelLanes } from './model-lanes.ts';
import type { ModelManifest, RulManifest } from './model-manifest.ts';
import { ModelSlot } from './model-slot.ts';
import { PendingAssessment } from './pending-assessment.ts';
import { anomalyFrom, prognosisFrom } from './results.ts';
import { WaitingRoom } from './waiting-room.ts';

export interface AssessorOptions {
  readonly classes: Readonly<Record<string, MachineClassConfig>>;
  /** As configured: looked up from the working directory, then from the installation. */
  readonly modelsDir: string;
  readonly config: InferenceConfig;
  readonly logger: Logger;
  monotonicMs(): number;
  /** What the gateway computes for a class, in any order; channels that stand for any other are not listed. */
  describeFeatures(machineClass: string): readonly ContractFeature[];
  /** Entry file of the inference process; only tests give another than the installed one. */
  readonly workerUrl?: URL;
}

/** Everything one machine class asks of inference. */
interface ClassPlan {
  readonly name: string;
  readonly config: MachineClassConfig;
  readonly rul: ModelSlot | null;
  readonly baseline: ModelSlot | null;
}

/** How long `start` waits for the models; a gateway must take data even if they never come up. */
const START_DEADLINE_MS = 5_000;
/** A request without answer for this many deadlines (and at least ten seconds) is a hang. */
const HANG_DEADLINES = 5;
const MIN_HANG_MS = 10_000;
/** Beyond this share of undefined features a baseline score would mean little. */
const MAX_MISSING_SHARE = 0.2;

export class Assessor implements MetricSource {
  readonly #options: AssessorOptions;
  readonly #host: InferenceHost;
  readonly #plans = new Map<string, ClassPlan>();
  readonly #slots: ModelSlot[] = [];
  readonly #baselines: MachineBaselines;
  readonly #queue = new MachineQueue<PendingAssessment>();
  readonly #lanes: ModelLanes;
  readonly #runSeconds = new LatencyHistogram('millwright_inference_run_seconds');
  readonly #outcomes = new Map<string, number>();
  readonly #room: WaitingRoom;
  readonly #missed: MissedScores;
  #deadlineTimer: NodeJS.Timeout | null = null;
  #modelsSettled: (() => void) | null = null;
  #rows = 0;
  #runs = 0;

  constructor(options: AssessorOptions) {
    this.#options = options;
    const { config, logger, workerUrl } = options;
    this.#host = new InferenceHost({
      isolation: config.isolation,
      hangMs: Math.max(MIN_HANG_MS, HANG_DEADLINES * config.deadlineMs),
      logger,
      monotonicMs: () => options.monotonicMs(),
      onUp: () => void this.#loadModels(),
      onCrash: (model) => this.#crashed(model),
      ...(workerUrl === undefined ? {} : { workerUrl }),
    });
    this.#room = new WaitingRoom(config.maxQueue, config.deadlineMs);
    this.#missed = new MissedScores(logger);
    this.#baselines = new MachineBaselines(logger);
    this.#lanes = new ModelLanes(this.#host, (rows, reply) => this.#ran(rows, reply));
    for (const [name, classConfig] of Object.entries(options.classes)) this.#plan(name, classConfig);
  }

  /** Verifies model folders, starts the inference process and waits, at most five seconds, for the models. */
  async start(): Promise<void> {
    for (const slot of this.#slots) slot.verify();
    if (this.#slots.every((slot) => slot.failed)) return;
    const settled = new Promise<void>((settle) => {
      this.#modelsSettled = settle;
    });
    const timer = setTimeout(() => this.#modelsSettled?.(), START_DEADLINE_MS);
    this.#host.start();
    await settled;
    clearTimeout(timer);
  }

  /** True if windows of this class pass through `submit`. */
  needsInference(machineClass: string): boolean {
    return this.#plans.has(machineClass);
  }

  /** False while as many vectors wait as are answered well within the deadline, or `maxQueue` of them. */
  get hasRoom(): boolean {
    return this.#queue.size < this.#room.size;
  }

  /** Vectors that leave in a second while others wait; Infinity while none ever did. */
  get vectorsPerSecond(): number {
    return this.#room.perSecond;
  }

  /** 0..1; 1 once verified or where no baseline is configured. */
  baselineProgress(machineClass: string, machine: string): number {
    const plan = this.#plans.get(machineClass);
    return plan?.baseline ? this.#baselines.progress(machine, plan.config) : 1;
  }

  /**
   * Always calls back, at once or within `deadlineMs`; the vector must not change afterwards. Without room it may go on
   * without scores, or cost the oldest one its own.
   */
  submit(vector: FeatureVector, onDone: (outcome: AssessmentOutcome) => void): void {
    const { config } = this.#options;
    const progress = this.baselineProgress(vector.machineClass, vector.machine);
    const pending = new PendingAssessment(vector, progress, this.#nowMs() + config.deadlineMs, onDone);
    while (this.#queue.size >= config.maxQueue && this.#queue.oldest)
      this.#giveUp(this.#queue.oldest, 'queue_full');
    this.#queue.add(pending);
    const plan = this.#plans.get(vector.machineClass);
    // Held open until every part is under way, so that an immediate answer of one does not finish it early.
    pending.openParts = 1;
    if (plan === undefined) pending.fail('no_model');
    else if (vector.quality === 'bad') pending.fail('bad_quality');
    else if (isStopped(plan, vector)) pending.fail('not_running');
    else this.#assess(plan, pending);
    this.#partDone(pending);
    this.#armDeadline();
  }

  /** One key of a machine's state as committed by an earlier run. */
  restore(machine: string, key: string, value: Uint8Array): void {
    this.#baselines.restore(machine, key, value);
  }

  models(): ModelStatus[] {
    return this.#slots.map((slot) => slot.status());
  }

  get hostState(): HostState {
    return this.#host.state;
  }

  /** Process id of the inference process; null in thread mode or while there is none. */
  get processId(): number | null {
    return this.#host.pid;
  }

  metrics(): MetricSample[] {
    const samples: MetricSample[] = [
      { name: 'millwright_inference_rows_total', value: this.#rows },
      { name: 'millwright_inference_runs_total', value: this.#runs },
      { name: 'millwright_inference_queue', value: this.#queue.size },
      { name: 'millwright_inference_queue_limit', value: this.#room.size },
      { name: 'millwright_inference_restarts_total', value: this.#host.restarts },
      ...this.#runSeconds.metrics(),
    ];
    for (const [reason, value] of this.#outcomes) {
      samples.push({ name: 'millwright_assessments_total', labels: { reason }, value });
    }
    for (const { machineClass, name, version, state } of this.models()) {
      const labels = { machine_class: machineClass, model: name, version };
      samples.push({ name: 'millwright_model_ready', labels, value: state === 'ready' ? 1 : 0 });
    }
    return samples;
  }

  /** What waits is delivered without scores; a run in flight is allowed to end. */
  async stop(): Promise<void> {
    while (this.#queue.oldest) this.#giveUp(this.#queue.oldest, 'stopping');
    if (this.#deadlineTimer) clearTimeout(this.#deadlineTimer);
    await this.#host.stop();
  }

  #plan(name: string, config: MachineClassConfig): void {
    const { modelsDir, logger, describeFeatures } = this.#options;
    const [use] = config.models;
    if (use === undefined && !config.baseline.enabled) return;
    const installation = fileURLToPath(new URL('../..', import.meta.url));
    const common = {
      machineClass: name,
      modelsDirs: [...new Set([resolve(modelsDir), resolve(installation, modelsDir)])],
      features: describeFeatures(name),
      window: { sizeMs: config.window.sizeMs, hopMs: config.window.hopMs ?? config.window.sizeMs },
      logger,
    };
    const rul = use ? new ModelSlot({ ...common, name: use.name, version: use.version, task: 'rul' }) : null;
    const baseline = config.baseline.enabled
      ? new ModelSlot({ ...common, name: config.baseline.model, version: 'latest', task: 'anomaly' })
      : null;
    this.#plans.set(name, { name, config, rul, baseline });
    for (const slot of [rul, baseline]) if (slot) this.#slots.push(slot);
  }

  async #loadModels(): Promise<void> {
    for (const slot of this.#slots) slot.down();
    await Promise.all(this.#slots.map((slot) => slot.load(this.#host)));
    this.#modelsSettled?.();
  }

  #crashed(model: string): void {
    for (const slot of this.#slots) {
      slot.crashed(model);
      slot.down();
    }
  }

  #assess(plan: ClassPlan, pending: PendingAssessment): void {
    if (plan.baseline) this.#assessBaseline(plan, plan.baseline, pending);
    if (plan.rul) this.#assessRul(plan.rul, pending);
  }

  #assessBaseline(plan: ClassPlan, slot: ModelSlot, pending: PendingAssessment): void {
    const { vector } = pending;
    const step = this.#baselines.of(vector.machine, plan.config).take(vector, vector.quality === 'good');
    pending.stateWrites = step.writes;
    pending.baselineProgress = step.kind === 'commissioning' ? step.progress : 1;
    if (step.kind === 'commissioning') {
      pending.commissioning = true;
      return;
    }
    if (vector.quality !== 'good') pending.fail('uncertain_quality');
    const model = slot.ready;
    if (step.missingShare > MAX_MISSING_SHARE) pending.fail('missing_feature');
    else if (model === null) pending.fail('model_down');
    else {
      const width = paddedWidth(step.row.length);
      const identity = identityOf(model.manifest);
      this.#enqueue(pending, this.#lanes.anomaly(model.manifest.sha256, width), {
        values: padded(step.row, width, 0),
        parameters: step.parameters,
        take: (reply, row) => {
          const anomaly = reply.ok ? anomalyFrom(reply.outputs, row, step.baseline, identity) : null;
          pending.anomaly = anomaly;
          return anomaly !== null;
        },
      });
    }
  }

  #assessRul(slot: ModelSlot, pending: PendingAssessment): void {
    const model = slot.ready;
    if (model === null) {
      pending.fail('model_down');
      return;
    }
    const manifest = model.manifest as RulManifest;
    if (pending.vector.coverage < manifest.minCoverage) {
      pending.fail('low_coverage');
      return;
    }
    const { values, missing, extrapolating } = this.#lanes.rowBuilder(manifest).build(pending.vector);
    pending.extrapolating ||= extrapolating;
    if (missing !== '') {
      pending.fail('missing_feature');
      return;
    }
    this.#enqueue(pending, this.#lanes.rul(manifest), {
      values,
      parameters: null,
      take: (reply, row) => {
        const prognosis = reply.ok ? prognosisFrom(reply.outputs, row, manifest, identityOf(manifest)) : null;
        pending.prognosis = prognosis;
        return prognosis !== null;
      },
    });
  }

  #enqueue(
    pending: PendingAssessment,
    batcher: Batcher,
    part: Pick<PendingRow, 'values' | 'parameters'> & { take(reply: RunReply, row: number): boolean },
  ): void {
    pending.openParts += 1;
    batcher.add({
      values: part.values,
      parameters: part.parameters,
      abandoned: () => pending.finished,
      answer: ({ reply, row }) => {
        if (pending.finished) return;
        if (!part.take(reply, row)) pending.fail(reasonOf(reply));
        this.#partDone(pending);
      },
    });
  }

  #partDone(pending: PendingAssessment): void {
    pending.openParts -= 1;
    if (pending.openParts > 0 || pending.finished) return;
    this.#leave(pending);
    this.#count(pending);
    this.#queue.finish(pending);
  }

  #giveUp(pending: PendingAssessment, reason: string): void {
    pending.fail(reason);
    this.#leave(pending);
    this.#missed.add(pending.machine, reason, this.#nowMs());
    this.#count(pending);
    this.#queue.finish(pending);
  }

  #leave({ deadlineMs }: PendingAssessment): void {
    this.#room.left(deadlineMs - this.#options.config.deadlineMs, this.#nowMs(), this.#queue.size);
  }

  #nowMs(): number {
    return this.#options.monotonicMs();
  }

  #count(pending: PendingAssessment): void {
    const reason =
      pending.reason !== '' ? pending.reason : pending.commissioning ? 'commissioning' : 'scored';
    this.#outcomes.set(reason, (this.#outcomes.get(reason) ?? 0) + 1);
  }

  /** One timer, for the oldest: deadlines are as far apart as submissions. */
  #armDeadline(): void {
    const { oldest } = this.#queue;
    if (this.#deadlineTimer !== null || oldest === undefined) return;
    const delayMs = Math.max(1, oldest.deadlineMs - this.#nowMs());
    this.#deadlineTimer = setTimeout(() => this.#expire(), delayMs);
    this.#deadlineTimer.unref();
  }

  #expire(): void {
    this.#deadlineTimer = null;
    const now = this.#nowMs();
    for (let { oldest } = this.#queue; oldest && oldest.deadlineMs <= now; { oldest } = this.#queue) {
      this.#giveUp(oldest, 'deadline');
    }
    this.#armDeadline();
  }

  #ran(rows: number, reply: RunReply): void {
    this.#runs += 1;
    this.#rows += rows;
    if (reply.ok) this.#runSeconds.observe(reply.runMs / 1000);
  }
}

function identityOf({ name, version, sha256 }: ModelManifest): ModelIdentity {
  return { name, version, sha256 };
}

function reasonOf(reply: RunReply): string {
  if (reply.ok) return 'nan_output';
  return reply.kind === 'down' ? 'model_down' : 'model_failed';
}

/** By the class's own definition of running; false where it has none or the channel has no mean in this window. */
function isStopped({ config }: ClassPlan, vector: FeatureVector): boolean {
  const { running } = config.parameters;
  if (running === undefined) return false;
  const group = vector.groups.find(({ channel }) => channel === running.channel);
  const index = group?.specs.findIndex(({ id }) => id === 'mean') ?? -1;
  return index >= 0 && group!.values[index]! <= running.above;
}
