/** Feature rows of a machine's commissioning enter, the parameters of its own detector leave. */

import { invertPositiveDefinite, quadraticForm, shrunkCovariance } from './dense-matrix.ts';
import { calibrateScores, type ScoreCalibration } from './score-calibration.ts';

/** A machine's baseline over its w watched features, and the scores it gave while the machine was healthy. */
export interface FittedBaseline {
  /** Positions of the watched features in the rows learned from, ascending. */
  readonly watched: readonly number[];
  /** Shape [w], in the features' units. */
  readonly center: Float64Array;
  /** Shape [w], > 0, in the features' units. */
  readonly scale: Float64Array;
  /** Shape [w, w], row-major, symmetric: inverse covariance of the robust z-scores. */
  readonly precision: Float64Array;
  readonly calibration: ScoreCalibration;
  /** Windows learned from. */
  readonly windows: number;
  /** First and last window start, ms. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** A feature whose halves differ by more than this many standard deviations was not yet stationary. */
const STATIONARITY_GATE = 0.6;
/** With few windows the halves of a stationary feature differ by chance, with standard error 2/sqrt(n): allow three. */
const CHANCE_STANDARD_ERRORS = 3;
/** A feature undefined in more than this share of the windows is not watched. */
const MAX_MISSING = 0.05;
const TRIM = 0.01;
const FOLDS = 5;
/** Consistency factor of the median absolute deviation for the normal distribution. */
const MAD_TO_SD = 1.4826;

interface Parameters {
  readonly center: Float64Array;
  readonly scale: Float64Array;
  readonly precision: Float64Array;
}

/**
 * Robust Mahalanobis baseline. Features that were constant, often undefined or drifting between the halves of the
 * commissioning are not watched. Calibration scores come from blocked cross-fitting: the rows, in time order, are cut
 * into five blocks and each is scored by parameters learned from the other four, so that no score was seen by the
 * parameters that made it; they err to the high side, since the final parameters know all rows.
 *
 * @param rows n >= 10 rows of p numbers in time order; NaN where undefined
 * @param startsMs window start of each row
 * @returns null if no feature can be watched
 */
export function fitBaseline(
  rows: readonly Float64Array[],
  startsMs: readonly number[],
): FittedBaseline | null {
  const p = rows[0]!.length;
  const watched = watchedFeatures(rows, p);
  if (watched.length === 0) return null;
  const dense = rows.map((row) => Float64Array.from(watched, (j) => row[j]!));
  const all = fitParameters(dense);
  const scores = heldOutScores(dense);
  if (all === null || scores === null) return null;
  return {
    watched,
    ...all,
    calibration: calibrateScores(scores),
    windows: rows.length,
    fromMs: startsMs[0]!,
    toMs: startsMs.at(-1)!,
  };
}

function watchedFeatures(rows: readonly Float64Array[], p: number): number[] {
  const watched: number[] = [];
  for (let j = 0; j < p; j++) {
    const values = column(rows, j);
    if (values.length < (1 - MAX_MISSING) * rows.length) continue;
    const sd = standardDeviation(values);
    const half = values.length >> 1;
    const shift = Math.abs(mean(values.slice(half)) - mean(values.slice(0, half)));
    const floor = 1e-9 * Math.max(Math.abs(mean(values)), 1e-300);
    const byChance = (CHANCE_STANDARD_ERRORS * 2) / Math.sqrt(values.length);
    if (sd > floor && shift <= Math.max(STATIONARITY_GATE, byChance) * sd) watched.push(j);
  }
  return watched;
}

/** Null if the covariance cannot be inverted, which the ridge prevents short of overflow. */
function fitParameters(rows: readonly Float64Array[]): Parameters | null {
  const p = rows[0]!.length;
  const center = new Float64Array(p);
  const scale = new Float64Array(p);
  for (let j = 0; j < p; j++) {
    const values = column(rows, j);
    const middle = median(values);
    const mad = MAD_TO_SD * median(values.map((value) => Math.abs(value - middle)));
    const sd = standardDeviation(withoutExtremes(values));
    center[j] = middle;
    // A feature that mostly repeats one value has no median deviation; its standard deviation still says something.
    scale[j] = mad > 0.1 * sd ? mad : sd > 0 ? sd : standardDeviation(values) || 1;
  }
  const standardised = trimmed(rows.map((row) => standardise(row, center, scale)));
  const precision = invertPositiveDefinite(shrunkCovariance(standardised, p).matrix, p);
  return precision === null ? null : { center, scale, precision };
}

/** Scores of every row by parameters that have not seen its block, in time order. */
function heldOutScores(rows: readonly Float64Array[]): number[] | null {
  const n = rows.length;
  const scores: number[] = [];
  for (let fold = 0; fold < FOLDS; fold++) {
    const from = Math.floor((fold * n) / FOLDS);
    const to = Math.floor(((fold + 1) * n) / FOLDS);
    const parameters = fitParameters([...rows.slice(0, from), ...rows.slice(to)]);
    if (parameters === null) return null;
    for (const row of rows.slice(from, to)) {
      scores.push(quadraticForm(parameters.precision, standardise(row, parameters.center, parameters.scale)));
    }
  }
  return scores;
}

/** Undefined features become 0, the centre. */
function standardise(row: Float64Array, center: Float64Array, scale: Float64Array): Float64Array {
  return row.map((value, j) => (Number.isNaN(value) ? 0 : (value - center[j]!) / scale[j]!));
}

/** Without the one percent of rows furthest from the centre. */
function trimmed(rows: readonly Float64Array[]): readonly Float64Array[] {
  const drop = Math.floor(TRIM * rows.length);
  if (drop === 0) return rows;
  const norms = rows.map((row) => row.reduce((sum, z) => sum + z * z, 0));
  const limit = [...norms].sort((a, b) => a - b)[rows.length - 1 - drop]!;
  return rows.filter((_, i) => norms[i]! <= limit);
}

/** Without the outer one percent on either side. */
function withoutExtremes(values: readonly number[]): readonly number[] {
  const drop = Math.ceil(TRIM * values.length);
  return values.length < 20 ? values : [...values].sort((a, b) => a - b).slice(drop, -drop);
}

function column(rows: readonly Float64Array[], j: number): number[] {
  const values: number[] = [];
  for (const row of rows) if (!Number.isNaN(row[j]!)) values.push(row[j]!);
  return values;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function standardDeviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length);
}

function median(values: readonly number[]): number {
  const ascending = [...values].sort((a, b) => a - b);
  const middle = ascending.length >> 1;
  return ascending.length % 2 === 1 ? ascending[middle]! : (ascending[middle - 1]! + ascending[middle]!) / 2;
}
