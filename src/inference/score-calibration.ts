/** Scores of a healthy machine enter, the probability of a score at least as large leaves. */

/** What is kept of the calibration scores; finite numbers only, so that it can be stored. */
export interface ScoreCalibration {
  /** Ascending. */
  readonly scores: Float64Array;
  /** How many independent scores these are worth, 1..scores.length. */
  readonly effectiveCount: number;
  /** Score above which the tail model speaks. */
  readonly tailStart: number;
  /** Mean of (score - tailStart) over the calibration scores above it; > 0. */
  readonly meanExcess: number;
  /** Independent exceedances the mean excess rests on, > 0. */
  readonly tailCount: number;
}

/** Share of the scores that form the tail, and the fewest that may. */
const TAIL_SHARE = 0.1;
const MIN_TAIL = 5;
/** Smallest probability stated: beyond it, the model of the tail is not the weakest assumption any more. */
const MIN_P = 1e-12;

/** A window this many typical excesses into the tail was no healthy window: probability exp(-20) if it were. */
const SPOILED_EXCESSES = 20;
/** Share of the windows that may be set aside as spoiled. */
const MAX_SPOILED = 0.01;

/**
 * Up to one percent of the scores are set aside if they lie absurdly far out (a sensor that dropped out for a moment
 * during commissioning): they would otherwise make every later fault look normal. Anything less extreme counts.
 *
 * @param heldOut scores of healthy windows in time order by parameters that have not seen them, finite, at least two
 */
export function calibrateScores(heldOut: readonly number[]): ScoreCalibration {
  const scores = withoutSpoiled(heldOut);
  const n = scores.length;
  const effectiveCount = Math.max(1, n * independence(scores));
  const ascending = Float64Array.from(scores).sort();
  const tailSize = Math.min(n - 1, Math.max(MIN_TAIL, Math.ceil(n * TAIL_SHARE)));
  const tailStart = ascending[n - 1 - tailSize]!;
  let sum = 0;
  for (let i = n - tailSize; i < n; i++) sum += ascending[i]! - tailStart;
  const meanExcess = Math.max(sum / tailSize, 1e-9 * Math.max(1, Math.abs(tailStart)));
  return {
    scores: ascending,
    effectiveCount,
    tailStart,
    meanExcess,
    tailCount: Math.max(1, (tailSize * effectiveCount) / n),
  };
}

/**
 * Probability that a healthy window scores at least this much.
 *
 * Up to `tailStart` the split-conformal value (1 + k) / (n + 1), with k of the n calibration scores at least as
 * large and both counted as independent ones. It can never be below 1 / (n + 1); an alarm budget of one a month needs
 * far less. Beyond, excesses are taken as exponential with the mean seen: the predictive probability of an excess x
 * then is that of F(2, 2m) at x / mean, (1 + x / (m mean))^-m for m exceedances. Its power tail states what m
 * observations can support: with few, a large score stays only moderately improbable. Bounded below by 1e-12.
 *
 * @param score >= 0; larger is less healthy
 * @returns 0 < p <= 1, non-increasing in score
 */
export function pValue(score: number, calibration: ScoreCalibration): number {
  const { scores, effectiveCount, tailStart, meanExcess, tailCount } = calibration;
  const weight = effectiveCount / scores.length;
  if (score <= tailStart) return empirical(countAtLeast(scores, score) * weight, effectiveCount);
  const atStart = empirical(countAtLeast(scores, tailStart) * weight, effectiveCount);
  const beyond = (1 + (score - tailStart) / (tailCount * meanExcess)) ** -tailCount;
  return Math.max(MIN_P, atStart * beyond);
}

/**
 * Share of the values that count as independent, (1 - r)/(1 + r) with their lag-1 autocorrelation r >= 0
 * (Bayley, Hammersley: The effective number of independent observations, 1946).
 *
 * @returns 0 < share <= 1; 1 for fewer than three values or constant ones
 */
export function independence(values: readonly number[]): number {
  const n = values.length;
  if (n < 3) return 1;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  let variance = 0;
  let covariance = 0;
  for (let i = 0; i < n; i++) {
    const deviation = values[i]! - mean;
    variance += deviation * deviation;
    if (i > 0) covariance += deviation * (values[i - 1]! - mean);
  }
  if (variance === 0) return 1;
  const r = Math.min(0.99, Math.max(0, covariance / variance));
  return (1 - r) / (1 + r);
}

function withoutSpoiled(scores: readonly number[]): readonly number[] {
  const ascending = Float64Array.from(scores).sort();
  const n = ascending.length;
  const tailSize = Math.max(MIN_TAIL, Math.ceil(n * TAIL_SHARE));
  if (n <= 2 * tailSize) return scores;
  const start = ascending[n - 1 - tailSize]!;
  // Half of the excesses lie below mean x ln 2, whatever the largest few are.
  const typical = (ascending[n - 1 - (tailSize >> 1)]! - start) / Math.LN2;
  const limit = start + SPOILED_EXCESSES * typical;
  const spoiled = ascending.reduce((count, score) => count + (score > limit ? 1 : 0), 0);
  return spoiled <= MAX_SPOILED * n ? scores.filter((score) => score <= limit) : scores;
}

function empirical(atLeast: number, n: number): number {
  return Math.min(1, (1 + atLeast) / (n + 1));
}

function countAtLeast(ascending: Float64Array, score: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! < score) low = middle + 1;
    else high = middle;
  }
  return ascending.length - low;
}
