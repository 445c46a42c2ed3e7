/** What the models say about one feature vector: state detection and prognosis of ISO 13374. */

import type { StateWrite } from './state-write.ts';

export interface ModelIdentity {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the ONNX file, lower-case hex. */
  readonly sha256: string;
}

export interface Contribution {
  /** Full feature id. */
  readonly featureId: string;
  /** Robust z-score of the feature against the machine's own baseline, signed. */
  readonly z: number;
  /** Share of the score this feature explains; shares sum to 1 (single ones may be negative). */
  readonly share: number;
}

export interface AnomalyResult {
  /** Detector statistic, >= 0 (squared Mahalanobis distance for the baseline detector). */
  readonly score: number;
  /** Probability of a score at least this large on a healthy machine, 0 < p <= 1. */
  readonly pValue: number;
  /** -log10(pValue), so that detectors compare. */
  readonly surprise: number;
  /** Largest first, at most five. */
  readonly contributions: readonly Contribution[];
  readonly model: ModelIdentity;
}

export interface Prognosis {
  readonly failureMode: string;
  /** Unit of the three numbers: `cycles`, `h`. */
  readonly unit: string;
  /** Remaining useful life: point estimate and the two ends of the calibrated interval, low <= rul <= high. */
  readonly rul: number;
  readonly rulLow: number;
  readonly rulHigh: number;
  /** Nominal coverage of [rulLow, rulHigh] as calibrated, 0..1. */
  readonly confidence: number;
  /** True where the model answers "beyond its horizon": the numbers are a lower bound, not an estimate. */
  readonly censored: boolean;
  readonly model: ModelIdentity;
}

export type ScoreState =
  /** Every configured model answered. */
  | 'scored'
  /** The machine's own baseline is still being learned. */
  | 'commissioning'
  /** No model applies, or it could not run; `reason` says why. */
  | 'none';

export interface Assessment {
  readonly machineClass: string;
  readonly machine: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly revision: number;
  readonly scoreState: ScoreState;
  /** Empty when scored; otherwise a fixed word: `bad_quality`, `deadline`, `model_down`, `missing_feature`, ... */
  readonly reason: string;
  /** Commissioning progress 0..1; 1 once verified or where no baseline is configured. */
  readonly baselineProgress: number;
  readonly anomaly: AnomalyResult | null;
  readonly prognosis: Prognosis | null;
  /** A feature lies outside the range the model was trained on. */
  readonly extrapolating: boolean;
}

/** One assessed vector and the machine's own state that changed with it: both go into the window's transaction. */
export interface AssessmentOutcome {
  readonly assessment: Assessment;
  readonly stateWrites: readonly StateWrite[];
}
