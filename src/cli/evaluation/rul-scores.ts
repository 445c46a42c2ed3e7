/** Predicted and true remaining useful life enter, the field's scores leave. */

export interface RulPrediction {
  readonly machine: string;
  readonly rul: number;
  /** Ends of the stated interval; NaN where none was stated. */
  readonly rulLow: number;
  readonly rulHigh: number;
}

export interface RulScores {
  /** Machines scored. */
  readonly machines: number;
  readonly rmse: number;
  readonly mae: number;
  /** Sum over machines; late answers cost more than early ones. */
  readonly nasaScore: number;
  /** Mean of predicted - true; > 0 is late. */
  readonly bias: number;
  /** Share of truths inside the stated interval; NaN without intervals. */
  readonly picp: number;
  /** Mean width of the stated intervals; NaN without intervals. */
  readonly mpiw: number;
}

/**
 * The asymmetric score of the field for d = predicted - true: exp(-d/13) - 1 if d < 0, exp(d/10) - 1 if d >= 0.
 *
 * Source: Saxena et al., PHM 2008, by its text ("late predictions more heavily penalized"); its printed equation 11
 * has the two constants the other way round. score(-13) = score(10) = e - 1.
 */
export function nasaScore(d: number): number {
  return d < 0 ? Math.expm1(-d / 13) : Math.expm1(d / 10);
}

/**
 * Scores predictions against the truth of the same machines.
 * @param capAt truths above are taken as this (papers differ: say which); Infinity for raw truth
 * @returns NaN in every score if nothing was predicted
 */
export function scoreRul(
  predictions: readonly RulPrediction[],
  truth: ReadonlyMap<string, number>,
  capAt: number,
): RulScores {
  const pairs = predictions
    .filter(({ machine }) => truth.has(machine))
    .map((prediction) => ({ prediction, actual: Math.min(truth.get(prediction.machine)!, capAt) }));
  const errors = pairs.map(({ prediction, actual }) => prediction.rul - actual);
  const stated = pairs.filter(({ prediction }) => prediction.rulHigh >= prediction.rulLow);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    machines: pairs.length,
    rmse: Math.sqrt(mean(errors.map((d) => d * d))),
    mae: mean(errors.map(Math.abs)),
    nasaScore: errors.length === 0 ? Number.NaN : errors.reduce((sum, d) => sum + nasaScore(d), 0),
    bias: mean(errors),
    picp: mean(
      stated.map(({ prediction, actual }) =>
        actual >= prediction.rulLow && actual <= prediction.rulHigh ? 1 : 0,
      ),
    ),
    mpiw: mean(stated.map(({ prediction }) => prediction.rulHigh - prediction.rulLow)),
  };
}
