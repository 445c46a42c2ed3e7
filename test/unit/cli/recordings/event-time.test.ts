import { describe, expect, it } from 'vitest';
import { parseEventTime } from '../../../../src/cli/recordings/event-time.ts';

describe('parseEventTime', () => {
  it('takes a date without zone as UTC wherever it runs', () => {
    const expected = Date.UTC(2020, 2, 1, 15, 44, 6);
    for (const text of [
      '2020-03-01 15:44:06',
      '2020-03-01T15:44:06',
      '2020-03-01T15:44:06Z',
      '2020-03-01T16:44:06+01:00',
    ]) {
      expect(parseEventTime(text, 'iso8601')).toBe(expected);
    }
    expect(parseEventTime('2020-03-01', 'iso8601')).toBe(Date.UTC(2020, 2, 1));
  });

  it('converts numbers by unit, exactly for whole milliseconds', () => {
    expect(parseEventTime('1700000000.123', 's')).toBe(1_700_000_000_123);
    expect(parseEventTime('1700000000123', 'ms')).toBe(1_700_000_000_123);
    expect(parseEventTime('1700000000123000', 'us')).toBe(1_700_000_000_123);
    expect(parseEventTime('1700000000123000000', 'ns')).toBe(1_700_000_000_123);
  });

  it('answers NaN to what is no time', () => {
    expect(parseEventTime('', 's')).toBeNaN();
    expect(parseEventTime('yesterday', 'iso8601')).toBeNaN();
  });
});
