/**
 * Point -> one line of InfluxDB line protocol, time in milliseconds.
 *
 * Pure and byte-stable: the same point always gives the same line, so that a resend overwrites instead of adding.
 * Source: InfluxDB v2 line protocol reference, and what InfluxDB 2.7.12 does where the reference is silent.
 */

import type { FieldValue, Point } from '../domain/point.ts';

/**
 * One line without line end, or '' where nothing can be written: no measurement, a time that is not finite, or no
 * field left. Tags are sorted by key, fields keep their order.
 *
 * - Numbers are floats in the shortest form that reads back to the same double (`1e+21`, `-0`); those that are not
 *   finite are left out, as are fields and tags with an empty key, and tags with an empty value: line protocol has
 *   no word for them.
 * - Outside string fields a line break has no word either; it is written as backslash and letter (`\n`, `\r`).
 * - A backslash at the end of a name would escape the separator, and one before a comma, `=`, space or quote is read
 *   differently by every server; a measurement that starts with `#` would turn the line into a comment, which
 *   is dropped without a word. They get a look-alike (U+29F5, U+FF03): leaving them out could merge two series.
 * - String fields are exact, lone surrogates (not encodable as UTF-8) excepted.
 */
export function encodeLine(point: Point): string {
  const measurement = escapeMeasurement(point.measurement);
  const fields = encodeFields(point.fields);
  if (measurement === '' || fields === '' || !Number.isFinite(point.timeMs)) return '';
  return `${measurement}${encodeTags(point.tags)} ${fields} ${Math.round(point.timeMs)}`;
}

function encodeTags(tags: Readonly<Record<string, string>>): string {
  let text = '';
  for (const key of Object.keys(tags).sort()) {
    const value = tags[key]!;
    if (key !== '' && value !== '') text += `,${escapeKey(key)}=${escapeKey(value)}`;
  }
  return text;
}

function encodeFields(fields: Readonly<Record<string, FieldValue>>): string {
  let text = '';
  for (const key of Object.keys(fields)) {
    const value = encodeValue(fields[key]!);
    if (key === '' || value === '') continue;
    text += text === '' ? `${escapeKey(key)}=${value}` : `,${escapeKey(key)}=${value}`;
  }
  return text;
}

function encodeValue(value: FieldValue): string {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return '';
    return Object.is(value, -0) ? '-0' : String(value);
  }
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

function escapeMeasurement(text: string): string {
  if (!NEEDS_CARE.test(text)) return text;
  const named = text.startsWith('#') ? `\uFF03${text.slice(1)}` : text;
  return withoutTraps(named).replace(/[, ]/g, '\\$&');
}

/** Tag keys, tag values and field keys share one rule. */
function escapeKey(text: string): string {
  return NEEDS_CARE.test(text) ? withoutTraps(text).replace(/[,= ]/g, '\\$&') : text;
}

/** Almost no name has any of these; one look spares the rest. */
const NEEDS_CARE = /[,= \\\n\r#]/;

function withoutTraps(text: string): string {
  return text
    .replace(/\n/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(/\\(?=[,= "]|$)/g, '\u29F5');
}
