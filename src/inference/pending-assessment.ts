/** The assessment of one vector while its models are still at work. */

import type { AnomalyResult, Assessment, AssessmentOutcome, Prognosis } from '../domain/assessment.ts';
import type { FeatureVector } from '../domain/feature-vector.ts';
import type { StateWrite } from '../domain/state-write.ts';
import type { Ordered } from './machine-queue.ts';

/** Collects the parts; whatever is there when it is delivered is what the assessment says. */
export class PendingAssessment implements Ordered {
  readonly machine: string;
  readonly vector: FeatureVector;
  readonly deadlineMs: number;
  readonly #onDone: (outcome: AssessmentOutcome) => void;
  finished = false;
  /** Models that have not answered yet. */
  openParts = 0;
  /** First reason why a configured model gave no usable answer; empty if none. */
  reason = '';
  commissioning = false;
  /** 0..1; 1 where no baseline is configured. */
  baselineProgress: number;
  extrapolating = false;
  anomaly: AnomalyResult | null = null;
  prognosis: Prognosis | null = null;
  stateWrites: readonly StateWrite[] = [];

  /** @param baselineProgress as of the windows before */
  constructor(
    vector: FeatureVector,
    baselineProgress: number,
    deadlineMs: number,
    onDone: (outcome: AssessmentOutcome) => void,
  ) {
    this.baselineProgress = baselineProgress;
    this.machine = vector.machine;
    this.vector = vector;
    this.deadlineMs = deadlineMs;
    this.#onDone = onDone;
  }

  fail(reason: string): void {
    if (this.reason === '') this.reason = reason;
  }

  deliver(): void {
    const { machineClass, machine, startMs, endMs, revision } = this.vector;
    const failed = this.reason !== '';
    const assessment: Assessment = {
      machineClass,
      machine,
      startMs,
      endMs,
      revision,
      scoreState: failed ? 'none' : this.commissioning ? 'commissioning' : 'scored',
      reason: failed ? this.reason : this.commissioning ? 'commissioning' : '',
      baselineProgress: this.baselineProgress,
      anomaly: this.anomaly,
      prognosis: this.prognosis,
      extrapolating: this.extrapolating,
    };
    this.#onDone({ assessment, stateWrites: this.stateWrites });
  }
}
