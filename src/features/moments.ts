/**
 * Numbers -> moments and amplitude statistics, from which the time-domain features follow.
 *
 * Population moments (divided by n) as in numpy; two passes, in index order, so that equal samples give equal bits
 * wherever and in whatever batch they are computed.
 */

/** Sums over one record of n >= 1 numbers. */
export interface Moments {
  readonly n: number;
  readonly mean: number;
  /** Central moments (1/n) sum (x - mean)^k. */
  readonly m2: number;
  readonly m3: number;
  readonly m4: number;
  readonly min: number;
  readonly max: number;
}

/**
 * @param x shape [>= n], finite
 * @param n 1 or more
 */
export function momentsOf(x: Float64Array, n: number): Moments {
  const mean = meanOf(x, n);
  let m2 = 0;
  let m3 = 0;
  let m4 = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < n; i++) {
    const value = x[i]!;
    const d = value - mean;
    const d2 = d * d;
    m2 += d2;
    m3 += d2 * d;
    m4 += d2 * d2;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { n, mean, m2: m2 / n, m3: m3 / n, m4: m4 / n, min, max };
}

/** Arithmetic mean of the first n >= 1 numbers of x. */
export function meanOf(x: Float64Array | Float32Array, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[i]!;
  return sum / n;
}

/**
 * True where the spread is rounding noise around the mean rather than signal: m2 <= 1e-24 max(1, mean^2). Shape
 * statistics are undefined there.
 */
export function isFlat(m2: number, mean: number): boolean {
  return m2 <= 1e-24 * Math.max(1, mean * mean);
}

/** m3 / m2^1.5, biased (scipy.stats.skew); NaN for a flat record. */
export function skewness(moments: Moments): number {
  if (isFlat(moments.m2, moments.mean)) return Number.NaN;
  return moments.m3 / (moments.m2 * Math.sqrt(moments.m2));
}

/** m4 / m2^2, biased, Pearson: 3 for a normal distribution, 1.5 for a sine; NaN for a flat record. */
export function kurtosis(moments: Moments): number {
  if (isFlat(moments.m2, moments.mean)) return Number.NaN;
  return moments.m4 / (moments.m2 * moments.m2);
}

/** Statistics of the distance from zero. */
export interface Amplitudes {
  /** max |x| */
  readonly peak: number;
  /** sqrt(mean x^2) */
  readonly rms: number;
  /** mean |x| */
  readonly meanAbs: number;
  /** (mean sqrt |x|)^2, the denominator of the clearance factor */
  readonly squaredMeanRoot: number;
}

/**
 * @param x shape [>= n], finite
 * @param n 1 or more
 */
export function amplitudesOf(x: Float64Array, n: number): Amplitudes {
  let peak = 0;
  let squares = 0;
  let absolutes = 0;
  let roots = 0;
  for (let i = 0; i < n; i++) {
    const value = x[i]!;
    const absolute = value < 0 ? -value : value;
    if (absolute > peak) peak = absolute;
    squares += value * value;
    absolutes += absolute;
    roots += Math.sqrt(absolute);
  }
  const meanRoot = roots / n;
  return { peak, rms: Math.sqrt(squares / n), meanAbs: absolutes / n, squaredMeanRoot: meanRoot * meanRoot };
}
