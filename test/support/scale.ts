/**
 * How much a fault test does: a share of the time in the suite that runs with every change, the whole of it in
 * `npm run fault:nightly`. A test with a long form takes its counts from here and from nowhere else.
 */

/** True in `npm run fault:nightly`; set MILLWRIGHT_NIGHTLY=1 to run one file in its long form. */
export const IS_NIGHTLY = process.env['MILLWRIGHT_NIGHTLY'] === '1';

/** The value of the suite in use. */
export function scaled<T>(ciValue: T, nightlyValue: T): T {
  return IS_NIGHTLY ? nightlyValue : ciValue;
}

/** Longest time a test may take: `ciMs` in the short form, hours in the long one. */
export function scaledTimeoutMs(ciMs: number, nightlyMs = 8 * 3_600_000): number {
  return scaled(ciMs, nightlyMs);
}

/**
 * A count that the environment overrides, for reproducing and for a run of one's own: `KILLS=500 npx vitest ...`.
 *
 * @throws Error if the variable is no positive whole number
 */
export function scaledCount(variable: string, ciValue: number, nightlyValue: number): number {
  const text = process.env[variable];
  if (text === undefined || text === '') return scaled(ciValue, nightlyValue);
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new Error(`${variable}: ${text} is no count`);
  return count;
}
