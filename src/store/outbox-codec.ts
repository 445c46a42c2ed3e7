/**
 * Points of one class in, the two blobs of an outbox row out. The head is checked on its own, so that counting and
 * evicting never read a body.
 *
 * Head, little-endian:
 *
 * | offset | type | field                                             |
 * |--------|------|---------------------------------------------------|
 * | 0      | u32  | CRC-32C over the row id (f64) and offsets 4 to 47 |
 * | 4      | u8   | format, 1                                         |
 * | 5      | u8   | class (index into POINT_CLASSES)                  |
 * | 6      | u8   | packing of the body (`Packing`)                   |
 * | 7      | u8   | times the series in it were halved to make room   |
 * | 8      | u32  | points                                            |
 * | 12     | u32  | bytes of the body                                 |
 * | 16     | u32  | CRC-32C over the row id (f64) and the body        |
 * | 20     | u32  | reserved, 0                                       |
 * | 24     | f64  | createdMs                                         |
 * | 32     | f64  | smallest timeMs of the points                     |
 * | 40     | f64  | largest timeMs of the points                      |
 */

import { POINT_CLASSES, type Point, type PointClass } from '../domain/point.ts';
import { crcInRow } from './journal.ts';
import { decodePoints, encodePoints, Packing } from './points-codec.ts';

const HEAD_BYTES = 48;
const FORMAT = 1;

/** Bytes of a row beside the body. */
export const OUTBOX_ROW_OVERHEAD = HEAD_BYTES + 16;

/** Stands for a commit made while the clock was not set. */
export const UNKNOWN_TIME_MS = 0;

export interface OutboxHead {
  readonly pointClass: PointClass;
  readonly packing: Packing;
  /** 0 as produced; n: about one in 2^n windows of each series is left. */
  readonly halvings: number;
  readonly points: number;
  readonly bodyBytes: number;
  readonly bodyCrc: number;
  /** Time of day of the commit, ms; `UNKNOWN_TIME_MS` where it was not known. */
  readonly createdMs: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
}

export interface EncodedRow {
  readonly pointClass: PointClass;
  readonly points: number;
  readonly packing: Packing;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly body: Buffer;
}

/** Encodes points of one class; at least one. The row id is not known yet. */
export function encodeRow(pointClass: PointClass, points: readonly Point[]): EncodedRow {
  let [minTimeMs, maxTimeMs] = [Infinity, -Infinity];
  for (const { timeMs } of points) {
    minTimeMs = Math.min(minTimeMs, timeMs);
    maxTimeMs = Math.max(maxTimeMs, timeMs);
  }
  return { pointClass, points: points.length, minTimeMs, maxTimeMs, ...encodePoints(points) };
}

/** The head of the row under its id. */
export function encodeHead(id: number, row: EncodedRow, createdMs: number, halvings = 0): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(FORMAT, 4);
  head.writeUInt8(POINT_CLASSES.indexOf(row.pointClass), 5);
  head.writeUInt8(row.packing, 6);
  head.writeUInt8(halvings, 7);
  head.writeUInt32LE(row.points, 8);
  head.writeUInt32LE(row.body.length, 12);
  head.writeUInt32LE(crcInRow(id, row.body), 16);
  head.writeDoubleLE(createdMs, 24);
  head.writeDoubleLE(row.minTimeMs, 32);
  head.writeDoubleLE(row.maxTimeMs, 40);
  head.writeUInt32LE(crcInRow(id, head.subarray(4)), 0);
  return head;
}

/** What the head says, or null where it is not what was written. */
export function decodeHead(id: number, head: unknown): OutboxHead | null {
  if (!Buffer.isBuffer(head) || head.length !== HEAD_BYTES) return null;
  if (head.readUInt32LE(0) !== crcInRow(id, head.subarray(4)) || head[4] !== FORMAT) return null;
  const pointClass = POINT_CLASSES[head[5]!];
  const packing = head[6]!;
  if (pointClass === undefined || !isPacking(packing)) return null;
  return {
    pointClass,
    packing,
    halvings: head[7]!,
    points: head.readUInt32LE(8),
    bodyBytes: head.readUInt32LE(12),
    bodyCrc: head.readUInt32LE(16),
    createdMs: head.readDoubleLE(24),
    minTimeMs: head.readDoubleLE(32),
    maxTimeMs: head.readDoubleLE(40),
  };
}

/** What the row takes on disk, about. */
export function rowBytes({ bodyBytes }: { readonly bodyBytes: number }): number {
  return bodyBytes + OUTBOX_ROW_OVERHEAD;
}

function isPacking(value: number): value is Packing {
  return value <= Packing.deflatedWithDictionary;
}

/** Points of a row whose head is sound, or null where the body is not what was written. */
export function decodeBody(id: number, head: OutboxHead, body: unknown): Point[] | null {
  if (!Buffer.isBuffer(body) || body.length !== head.bodyBytes || crcInRow(id, body) !== head.bodyCrc)
    return null;
  return decodePoints(body, head.packing, head.pointClass);
}
