/** A time stamp as a sender wrote it enters, ms since the epoch leaves. */

import type { PayloadConfig } from '../config/schema.ts';

/** The units a payload may declare. */
export type TimeUnit = Extract<PayloadConfig, { format: 'json' }>['timeUnit'];

/** ms of a number in `unit`; NaN for iso8601, which is no number. */
export function msFromNumber(value: number, unit: TimeUnit): number {
  switch (unit) {
    case 's':
      return value * 1000;
    case 'ms':
      return value;
    case 'us':
      return value / 1000;
    case 'ns':
      return value / 1e6;
    case 'iso8601':
      return Number.NaN;
  }
}

const ISO_8601 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?:[Zz]|([+-])(\d\d):?(\d\d))$/;

/**
 * ms of an ISO 8601 date and time with a zone (`2026-11-23T08:15:30.125Z`, `...+01:00`); NaN for anything else.
 * Without a zone the instant would depend on where the gateway stands, so it is refused. Up to nine decimals count.
 */
export function msFromIso8601(text: string): number {
  const match = ISO_8601.exec(text);
  if (match === null) return Number.NaN;
  const [, year, month, day, hour, minute, second, decimals, sign, zoneHour, zoneMinute] = match;
  const wholeMs = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  // Date.UTC carries 30 February into March, and reads the years 0-99 as 1900-1999.
  const expected = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  if (!Number.isFinite(wholeMs) || new Date(wholeMs).toISOString().slice(0, 19) !== expected)
    return Number.NaN;
  const zoneMs = sign === undefined ? 0 : (Number(zoneHour) * 60 + Number(zoneMinute)) * 60_000;
  const fractionMs = decimals === undefined ? 0 : Number(`0.${decimals}`) * 1000;
  return wholeMs + fractionMs - (sign === '-' ? -zoneMs : zoneMs);
}
