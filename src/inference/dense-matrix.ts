/** The little linear algebra a baseline needs: covariance with shrinkage, inverse of a positive definite matrix. */

/** A covariance estimate that can be inverted, and how it came about. */
export interface ShrunkCovariance {
  /** Shape [p, p], row-major, symmetric, positive definite. */
  readonly matrix: Float64Array;
  /** Weight of the scaled identity, 0..1. */
  readonly shrinkage: number;
}

/** Keeps the matrix invertible where features are exact copies of each other; z-scores have variance about 1. */
const RIDGE = 1e-3;

/**
 * Ledoit-Wolf covariance: (1 - s) S + s m I with m = tr(S)/p and the s that minimises the expected squared error
 * (Ledoit, Wolf: A well-conditioned estimator for large-dimensional covariance matrices, 2004), plus 1e-3 I.
 * Second moments about zero: the rows are centred already.
 *
 * @param rows n rows of p finite numbers, n >= 1
 */
export function shrunkCovariance(rows: readonly Float64Array[], p: number): ShrunkCovariance {
  const n = rows.length;
  const matrix = new Float64Array(p * p);
  let fourth = 0;
  for (const row of rows) {
    let norm = 0;
    for (let i = 0; i < p; i++) {
      const xi = row[i]!;
      norm += xi * xi;
      for (let j = 0; j <= i; j++) matrix[i * p + j]! += (xi * row[j]!) / n;
    }
    fourth += norm * norm;
  }
  let trace = 0;
  let square = 0;
  for (let i = 0; i < p; i++) {
    trace += matrix[i * p + i]!;
    for (let j = 0; j < i; j++) matrix[j * p + i] = matrix[i * p + j]!;
  }
  for (const value of matrix) square += value * value;
  const mean = trace / p;
  const distance = square - p * mean * mean;
  const error = (fourth / n - square) / n;
  const shrinkage = distance <= 0 ? 1 : Math.min(1, Math.max(0, error / distance));
  for (let i = 0; i < p * p; i++) matrix[i]! *= 1 - shrinkage;
  for (let i = 0; i < p; i++) matrix[i * p + i]! += shrinkage * mean + RIDGE;
  return { matrix, shrinkage };
}

/**
 * Inverse by Cholesky factorisation.
 *
 * @param matrix shape [p, p], symmetric positive definite (not checked beyond the pivots)
 * @returns shape [p, p], exactly symmetric; null if a pivot is not positive
 */
export function invertPositiveDefinite(matrix: Float64Array, p: number): Float64Array | null {
  const lower = cholesky(matrix, p);
  if (lower === null) return null;
  const inverse = new Float64Array(p * p);
  const column = new Float64Array(p);
  for (let c = 0; c < p; c++) {
    column.fill(0);
    column[c] = 1;
    for (let i = c; i < p; i++) {
      let sum = column[i]!;
      for (let k = c; k < i; k++) sum -= lower[i * p + k]! * column[k]!;
      column[i] = sum / lower[i * p + i]!;
    }
    for (let i = p - 1; i >= c; i--) {
      let sum = column[i]!;
      for (let k = i + 1; k < p; k++) sum -= lower[k * p + i]! * column[k]!;
      column[i] = sum / lower[i * p + i]!;
    }
    for (let i = c; i < p; i++) {
      inverse[i * p + c] = column[i]!;
      inverse[c * p + i] = column[i]!;
    }
  }
  return inverse;
}

/** z' M z for a symmetric matrix of shape [p, p]. */
export function quadraticForm(matrix: Float64Array, z: Float64Array): number {
  const p = z.length;
  let total = 0;
  for (let i = 0; i < p; i++) {
    let sum = 0;
    for (let j = 0; j < p; j++) sum += matrix[i * p + j]! * z[j]!;
    total += z[i]! * sum;
  }
  return total;
}

function cholesky(matrix: Float64Array, p: number): Float64Array | null {
  const lower = new Float64Array(p * p);
  for (let i = 0; i < p; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * p + j]!;
      for (let k = 0; k < j; k++) sum -= lower[i * p + k]! * lower[j * p + k]!;
      if (i === j) {
        if (!(sum > 0)) return null;
        lower[i * p + i] = Math.sqrt(sum);
      } else {
        lower[i * p + j] = sum / lower[j * p + j]!;
      }
    }
  }
  return lower;
}
