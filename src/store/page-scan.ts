/**
 * A damaged database file in, every row that stands in some leaf page of some table out, whether or not the tree still
 * leads there. Rows that were deleted may come along, as may nonsense: the caller trusts checksums only.
 *
 * Reads the format of SQLite itself (sqlite.org/fileformat2.html §1.5, §1.6, §2.1), as no SQL reaches such pages.
 */

import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { PAGE_BYTES } from './schema.ts';

const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const TABLE_LEAF = 0x0d;
const LEAF_HEADER_BYTES = 8;
/** Largest payload that stands in a leaf whole, and smallest local part of one that does not. */
const MAX_LOCAL_BYTES = PAGE_BYTES - 35;
const MIN_LOCAL_BYTES = Math.floor(((PAGE_BYTES - 12) * 32) / 255) - 23;
/** No blob of ours is larger; more means nonsense. */
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

export interface ScannedRow {
  readonly id: number;
  /** The columns after the row id; only rows whose columns are all blobs are reported. */
  readonly blobs: readonly Buffer[];
}

/** Pages of a database with its write-ahead log: the newest version of each. */
class Pages {
  readonly #file: number;
  readonly #wal: number | null;
  readonly #frames = new Map<number, number>();
  readonly count: number;

  constructor(path: string) {
    this.#file = openSync(path, 'r');
    const walPath = `${path}-wal`;
    this.#wal = existsSync(walPath) ? openSync(walPath, 'r') : null;
    if (this.#wal !== null) this.#indexLog(this.#wal);
    this.count = Math.max(Math.floor(fstatSync(this.#file).size / PAGE_BYTES), ...this.#frames.keys());
  }

  #indexLog(wal: number): void {
    const salts = readAt(wal, 16, 8);
    const end = fstatSync(wal).size - PAGE_BYTES - FRAME_HEADER_BYTES;
    for (let at = WAL_HEADER_BYTES; at <= end; at += FRAME_HEADER_BYTES + PAGE_BYTES) {
      const head = readAt(wal, at, FRAME_HEADER_BYTES);
      // Frames of an earlier round of the log carry other salts.
      if (head.subarray(8, 16).equals(salts)) this.#frames.set(head.readUInt32BE(0), at + FRAME_HEADER_BYTES);
    }
  }

  /** Page `n`, from 1. */
  read(n: number): Buffer {
    const inLog = this.#frames.get(n);
    return inLog === undefined
      ? readAt(this.#file, (n - 1) * PAGE_BYTES, PAGE_BYTES)
      : readAt(this.#wal!, inLog, PAGE_BYTES);
  }

  close(): void {
    closeSync(this.#file);
    if (this.#wal !== null) closeSync(this.#wal);
  }
}

function readAt(file: number, at: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  readSync(file, buffer, 0, bytes, at);
  return buffer;
}

/** Every row that can be made out. Never throws for what the file holds; I/O errors pass. */
export function* scanPages(path: string): Generator<ScannedRow> {
  const pages = new Pages(path);
  try {
    for (let n = 2; n <= pages.count; n += 1) {
      const page = pages.read(n);
      if (page[0] === TABLE_LEAF) yield* leafRows(pages, page);
    }
  } finally {
    pages.close();
  }
}

function* leafRows(pages: Pages, page: Buffer): Generator<ScannedRow> {
  const cells = Math.min(page.readUInt16BE(3), (PAGE_BYTES - LEAF_HEADER_BYTES) >> 1);
  for (let i = 0; i < cells; i += 1) {
    const row = cellRow(pages, page, page.readUInt16BE(LEAF_HEADER_BYTES + 2 * i));
    if (row !== null) yield row;
  }
}

/** The row of the cell at `at`, or null where there is none of ours. */
function cellRow(pages: Pages, page: Buffer, at: number): ScannedRow | null {
  const size = readVarint(page, at);
  const id = size === null ? null : readVarint(page, size.next);
  if (size === null || id === null || size.value > MAX_PAYLOAD_BYTES) return null;
  const payload = readPayload(pages, page, id.next, size.value);
  const blobs = payload === null ? null : blobColumns(payload);
  return blobs === null ? null : { id: id.value, blobs };
}

function readPayload(pages: Pages, page: Buffer, at: number, bytes: number): Buffer | null {
  if (bytes <= MAX_LOCAL_BYTES) return at + bytes <= PAGE_BYTES ? page.subarray(at, at + bytes) : null;
  const surplus = MIN_LOCAL_BYTES + ((bytes - MIN_LOCAL_BYTES) % (PAGE_BYTES - 4));
  const local = surplus <= MAX_LOCAL_BYTES ? surplus : MIN_LOCAL_BYTES;
  if (at + local + 4 > PAGE_BYTES) return null;
  const parts = [page.subarray(at, at + local)];
  let [left, next] = [bytes - local, page.readUInt32BE(at + local)];
  // A chain of overflow pages; its length bounds the walk should it run in a circle.
  while (left > 0) {
    if (next < 2 || next > pages.count) return null;
    const overflow = pages.read(next);
    const part = overflow.subarray(4, 4 + Math.min(left, PAGE_BYTES - 4));
    parts.push(part);
    left -= part.length;
    next = overflow.readUInt32BE(0);
  }
  return Buffer.concat(parts);
}

/** Columns of a record whose first is NULL (the row id) and whose others are blobs; null for any other record. */
function blobColumns(payload: Buffer): Buffer[] | null {
  const headSize = readVarint(payload, 0);
  if (headSize === null || headSize.value > payload.length) return null;
  const lengths: number[] = [];
  for (let at = headSize.next; at < headSize.value; ) {
    const serial = readVarint(payload, at);
    if (serial === null) return null;
    const isFirst = at === headSize.next;
    const isBlob = serial.value >= 12 && serial.value % 2 === 0;
    if (isFirst ? serial.value !== 0 : !isBlob) return null;
    if (!isFirst) lengths.push((serial.value - 12) / 2);
    at = serial.next;
  }
  let at = headSize.value;
  const blobs = lengths.map((length) => {
    at += length;
    return payload.subarray(at - length, at);
  });
  return at === payload.length ? blobs : null;
}

/** Big-endian base 128, at most nine bytes; null beyond the buffer or beyond 2^53. */
function readVarint(bytes: Buffer, from: number): { value: number; next: number } | null {
  let value = 0;
  for (let i = 0; i < 8; i += 1) {
    const byte = bytes[from + i];
    if (byte === undefined) return null;
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? { value, next: from + i + 1 } : null;
  }
  return null;
}
