/**
 * Record batches in, the same batches back after a crash: what was acknowledged and is not yet part of a stored window.
 *
 * Body of a row, little-endian:
 *
 * | offset | type   | field                                                                          |
 * |--------|--------|--------------------------------------------------------------------------------|
 * | 0      | u32    | CRC-32C over the batch id (f64) and everything from offset 4                   |
 * | 4      | u32    | format: 1 records as they are, 2 deflated                                      |
 * | 8      | f64[7] | totals with this row: accepted, windowed, late, duplicate, evicted,            |
 * |        |        | quarantined, volatileAccepted                                                  |
 * | 64     | ...    | records (`domain/record.ts`)                                                   |
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { RecordKind } from '../domain/record.ts';
import { crc32c } from './crc32c.ts';
import { type Connection, nextInOrder } from './database.ts';
import type { SampleTotals } from './ledger-book.ts';

const HEAD_BYTES = 64;
const FORMAT = { plain: 1, deflated: 2 } as const;
/** No commit takes as many records; an inflated size beyond it means a damaged row. */
const MAX_INFLATED_BYTES = 64 * 1024 * 1024;

/** Bytes of a row beside the records. */
export const JOURNAL_ROW_OVERHEAD = HEAD_BYTES + 12;

export interface JournalBatch {
  readonly id: number;
  /** Whole records in a buffer of their own, 8-byte aligned. */
  readonly records: Uint8Array;
}

const idBytes = new Uint8Array(8);
const idView = new DataView(idBytes.buffer);

/** Checksum of `bytes` as they stand in the row with this id. */
export function crcInRow(id: number, bytes: Uint8Array): number {
  idView.setFloat64(0, id, true);
  return crc32c(bytes, crc32c(idBytes));
}

/** The blob of one row. */
export function encodeBatch(id: number, totals: SampleTotals, records: Uint8Array, compress = false): Buffer {
  const content = compress ? deflateRawSync(records, { level: 1 }) : records;
  const out = Buffer.allocUnsafe(HEAD_BYTES + content.length);
  out.writeUInt32LE(compress ? FORMAT.deflated : FORMAT.plain, 4);
  const { accepted, windowed, late, duplicate, evicted, quarantined, volatileAccepted } = totals;
  const numbers = [accepted, windowed, late, duplicate, evicted, quarantined, volatileAccepted];
  for (const [i, n] of numbers.entries()) out.writeDoubleLE(n, 8 + 8 * i);
  out.set(content, HEAD_BYTES);
  out.writeUInt32LE(crcInRow(id, out.subarray(4)), 0);
  return out;
}

/** Totals and records of a row, or null where it is not what was written. */
export function decodeBatch(id: number, body: unknown): { totals: SampleTotals; records: Uint8Array } | null {
  if (!Buffer.isBuffer(body) || body.length < HEAD_BYTES) return null;
  const format = body.readUInt32LE(4);
  if (body.readUInt32LE(0) !== crcInRow(id, body.subarray(4))) return null;
  if (format !== FORMAT.plain && format !== FORMAT.deflated) return null;
  const at = (i: number) => body.readDoubleLE(8 + 8 * i);
  const totals = {
    accepted: at(0),
    windowed: at(1),
    late: at(2),
    duplicate: at(3),
    evicted: at(4),
    quarantined: at(5),
    volatileAccepted: at(6),
  };
  const content = body.subarray(HEAD_BYTES);
  const records =
    format === FORMAT.plain ? content : inflateRawSync(content, { maxOutputLength: MAX_INFLATED_BYTES });
  return { totals, records: new Uint8Array(records) };
}

/** The `journal` table. Every write runs inside the caller's transaction. */
export class Journal {
  readonly #insert;
  readonly #trim;
  readonly #bytesBelow;
  readonly #next;
  readonly #last;
  readonly #remove;
  readonly #db: Connection;

  constructor(db: Connection) {
    this.#db = db;
    this.#insert = db.prepare('INSERT INTO journal (id, body) VALUES (?, ?)');
    this.#trim = db.prepare('DELETE FROM journal WHERE id < ?');
    this.#bytesBelow = db.prepare('SELECT coalesce(sum(length(body)), 0) FROM journal WHERE id < ?').pluck();
    // Rowid order; one row at a time, so that no cursor stays open across the caller's work.
    this.#next = db.prepare('SELECT id, body FROM journal WHERE id > ? ORDER BY id LIMIT 1');
    this.#last = db.prepare('SELECT id, body FROM journal WHERE id < ? ORDER BY id DESC LIMIT 1');
    this.#remove = db.prepare('DELETE FROM journal WHERE id = ?');
  }

  append(id: number, body: Buffer): void {
    this.#insert.run(id, body);
  }

  /** Deletes the batches before `id`; returns the bytes of their bodies. */
  trimBelow(id: number): number {
    const bytes = this.#bytesBelow.get(id) as number;
    this.#trim.run(id);
    return bytes;
  }

  remove(id: number): void {
    this.#remove.run(id);
  }

  /** The row after `id`, or undefined at the end. */
  after(id: number): { id: number; body: Buffer } | undefined {
    const row = this.#next.get(id) as { id: number; body: Buffer } | undefined;
    if (row !== undefined) nextInOrder(row.id, row.id > id);
    return row;
  }

  /** Number, bytes and ids of what is there. Reads no blob. */
  extent(): { batches: number; bytes: number; firstId: number | null; lastId: number | null } {
    return this.#db
      .prepare(
        'SELECT count(*) AS batches, coalesce(sum(length(body)), 0) AS bytes, min(id) AS firstId, max(id) AS lastId FROM journal',
      )
      .get() as { batches: number; bytes: number; firstId: number | null; lastId: number | null };
  }

  /** The row with the largest id. */
  newestRow(): { id: number; body: Buffer } | undefined {
    return this.#last.get(Number.MAX_SAFE_INTEGER) as { id: number; body: Buffer } | undefined;
  }

  /** The newest row with sound totals, looking at no more than `tries` rows from the end. */
  newestTotals(tries: number): { id: number; totals: SampleTotals } | null {
    let before = Number.MAX_SAFE_INTEGER;
    for (let n = 0; n < tries; n += 1) {
      const row = this.#last.get(before) as { id: number; body: Buffer } | undefined;
      if (row === undefined) return null;
      const batch = decodeBatch(row.id, row.body);
      if (batch !== null) return { id: row.id, totals: batch.totals };
      before = row.id;
    }
    return null;
  }
}

/** Samples in whole records: one per scalar, n per waveform. */
export function countSamples(records: Uint8Array): number {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  let samples = 0;
  for (let at = 0; at < records.length; at += view.getUint32(at, true)) {
    const kind = records[at + 4]!;
    if (kind === RecordKind.SCALAR) samples += 1;
    else if (kind === RecordKind.WAVEFORM) samples += view.getUint32(at + 32, true);
  }
  return samples;
}
