/** One new value and the previous state -> the next state of a recursive statistic. */

/**
 * Exponentially weighted moving average, one step: lambda x + (1 - lambda) previous.
 * @param lambda 0..1; 2 / (span + 1) for a span in steps
 * Source: NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.4.
 */
export function ewmaStep(previous: number, value: number, lambda: number): number {
  return lambda * value + (1 - lambda) * previous;
}
