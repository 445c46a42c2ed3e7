import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  backoffMs,
  MAX_RETRY_AFTER_MS,
  parseRetryAfter,
  retryDelayMs,
} from '../../../src/forward/retry-policy.ts';

const bounds = { retryMinMs: 1000, retryMaxMs: 60_000 };

describe('backoffMs', () => {
  it('doubles the range of the delay with each attempt up to retryMaxMs', () => {
    const nearlyOne = 1 - 2 ** -30;
    expect([1, 2, 3, 6, 7, 100, 1e9].map((attempt) => backoffMs(attempt, bounds, nearlyOne))).toEqual([
      999, 1999, 3999, 31999, 59999, 59999, 59999,
    ]);
  });

  it('spreads over the whole range', () => {
    expect(backoffMs(7, bounds, 0)).toBe(0);
    expect(backoffMs(7, bounds, 0.5)).toBe(30_000);
  });

  it('stays within its bounds for any attempt and any chance', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, random) => {
          const delay = backoffMs(attempt, bounds, random);
          expect(delay).toBeGreaterThanOrEqual(0);
          expect(delay).toBeLessThan(60_000);
        },
      ),
    );
  });
});

describe('retryDelayMs', () => {
  it('is never shorter than what the server asked for', () => {
    expect(retryDelayMs(1, 120_000, bounds, 0)).toBe(120_000);
    expect(retryDelayMs(1, 120_000, bounds, 0.5)).toBe(120_500);
  });

  it('does not follow a server into next week', () => {
    expect(retryDelayMs(1, 7 * 86_400_000, bounds, 0)).toBe(MAX_RETRY_AFTER_MS);
  });
});

describe('parseRetryAfter', () => {
  const now = Date.UTC(1994, 10, 6, 8, 49, 0);

  it.each([
    ['37', 37_000],
    [' 1 ', 1000],
    ['0', 0],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 37_000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 37_000],
    ['Sun Nov  6 08:49:37 1994', 37_000],
    ['Sun, 06 Nov 1994 08:00:00 GMT', 0],
  ])('reads %j', (header, expected) => {
    expect(parseRetryAfter(header, now)).toBe(expected);
  });

  it.each(['', 'soon', '-5', '1.5', '1e9', '99999999999999', 'Sun, 99 Foo 1994'])(
    'does not guess at %j',
    (header) => {
      expect(parseRetryAfter(header, now)).toBeNull();
    },
  );
});
