/**
 * Points in, one compact blob out, and back without a changed bit.
 *
 * The blob is a JSON array of `[measurement, tags, timeMs, fields]` in UTF-8: the shortest decimal that reads back as
 * the same double, with -0 kept. Names repeat from point to point and from row to row: it is deflated, with a dictionary.
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { FieldValue, Point, PointClass } from '../domain/point.ts';
import { POINTS_DICTIONARY } from './points-dictionary.ts';

/** How a blob is to be read; the numbers stand on disk. */
export const Packing = { plain: 0, deflated: 1, deflatedWithDictionary: 2 } as const;
export type Packing = (typeof Packing)[keyof typeof Packing];

/** Below this many bytes deflate gains less than it costs. */
const DEFLATE_ABOVE_BYTES = 128;
/** Up to here the bytes matter more than the 20 µs that a thorough search costs: such rows come one machine at a time. */
const THOROUGH_UP_TO_BYTES = 8_192;
/** No batch comes near; an inflated size beyond it means a damaged blob. */
const MAX_INFLATED_BYTES = 256 * 1024 * 1024;

export interface EncodedPoints {
  readonly body: Buffer;
  readonly packing: Packing;
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
  if (text.length <= deflateAboveBytes) return { body: text, packing: Packing.plain };
  const level = text.length <= THOROUGH_UP_TO_BYTES ? 6 : 1;
  return {
    body: deflateRawSync(text, { level, dictionary: POINTS_DICTIONARY }),
    packing: Packing.deflatedWithDictionary,
  };
}

/** Reads what `encodePoints` wrote; the caller has checked the checksum. @throws on bytes it did not write */
export function decodePoints(body: Uint8Array, packing: Packing, pointClass: PointClass): Point[] {
  const raw = packing === Packing.plain ? Buffer.from(body) : inflated(body, packing);
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

function inflated(body: Uint8Array, packing: Packing): Buffer {
  const options = { maxOutputLength: MAX_INFLATED_BYTES };
  if (packing === Packing.deflated) return inflateRawSync(body, options);
  return inflateRawSync(body, { ...options, dictionary: POINTS_DICTIONARY });
}
