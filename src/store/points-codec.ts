/**
 * Points in, one compact blob out, and back without a changed bit.
 *
 * The blob is a JSON array of `[measurement, tags, timeMs, fields]` in UTF-8: the shortest decimal that reads back as
 * the same double, with -0 kept. Above a few hundred bytes it is deflated, as names repeat from point to point.
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { FieldValue, Point, PointClass } from '../domain/point.ts';

/** Below this many bytes deflate gains less than it costs. */
const DEFLATE_ABOVE_BYTES = 512;
/** No batch comes near; an inflated size beyond it means a damaged blob. */
const MAX_INFLATED_BYTES = 256 * 1024 * 1024;

export interface EncodedPoints {
  readonly body: Buffer;
  readonly deflated: boolean;
}

function fieldText(value: FieldValue): string {
  // JSON.stringify would turn -0 into 0.
  return Object.is(value, -0) ? '-0' : JSON.stringify(value);
}

function pointText(point: Point): string {
  const fields = Object.entries(point.fields).map(
    ([name, value]) => `${JSON.stringify(name)}:${fieldText(value)}`,
  );
  const time = fieldText(point.timeMs);
  return `[${JSON.stringify(point.measurement)},${JSON.stringify(point.tags)},${time},{${fields.join(',')}}]`;
}

/** Encodes points of one class. Numbers must be finite, as the domain demands. */
export function encodePoints(
  points: readonly Point[],
  deflateAboveBytes = DEFLATE_ABOVE_BYTES,
): EncodedPoints {
  const text = Buffer.from(`[${points.map(pointText).join(',')}]`, 'utf8');
  if (text.length <= deflateAboveBytes) return { body: text, deflated: false };
  return { body: deflateRawSync(text, { level: 1 }), deflated: true };
}

/** Reads what `encodePoints` wrote; the caller has checked the checksum. @throws on bytes it did not write */
export function decodePoints(body: Uint8Array, deflated: boolean, pointClass: PointClass): Point[] {
  const raw = deflated ? inflateRawSync(body, { maxOutputLength: MAX_INFLATED_BYTES }) : Buffer.from(body);
  const rows = JSON.parse(raw.toString('utf8')) as [
    string,
    Record<string, string>,
    number,
    Record<string, FieldValue>,
  ][];
  return rows.map(([measurement, tags, timeMs, fields]) => ({
    pointClass,
    measurement,
    tags,
    fields,
    timeMs,
  }));
}
