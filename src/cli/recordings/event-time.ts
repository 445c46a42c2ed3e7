/** A time as text enters, ms since the epoch leaves. */

export const TIME_UNITS = ['s', 'ms', 'us', 'ns', 'iso8601'] as const;
export type TimeUnit = (typeof TIME_UNITS)[number];

const ZONE = /(?:Z|[+-]\d\d:?\d\d)$/i;

/**
 * `2020-03-01 15:44:06`, `2020-03-01T15:44:06.5Z` or a number in `unit`. A date without a zone is UTC, so that
 * two computers agree. NaN if it is no time.
 */
export function parseEventTime(text: string, unit: TimeUnit): number {
  const trimmed = text.trim();
  if (trimmed === '') return Number.NaN;
  switch (unit) {
    case 's':
      return Number(trimmed) * 1e3;
    case 'ms':
      return Number(trimmed);
    case 'us':
      return Number(trimmed) / 1e3;
    case 'ns':
      return Number(trimmed) / 1e6;
    case 'iso8601':
      break;
  }
  const iso = trimmed.replace(' ', 'T');
  // A bare date is UTC by the language's own rule; a date with a time would be local.
  return Date.parse(ZONE.test(iso) || !iso.includes('T') ? iso : `${iso}Z`);
}
