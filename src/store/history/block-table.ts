/**
 * Rows of archives in, blocks of one database page each out, and back.
 *
 * | offset | type | field                                                     |
 * |--------|------|-----------------------------------------------------------|
 * | 0      | u32  | CRC-32C (`seal.ts`)                                       |
 * | 4      | f64  | start of the first row, ms; NaN: never written            |
 * | 12     | 48 × | f32 average, min, max, last; u32 count; zero is a gap     |
 */

import type { HistoryRows } from '../../domain/history.ts';
import type { Connection } from '../database.ts';
import { sealBytes, unsealBytes } from '../seal.ts';
import { emptyRows } from './consolidation.ts';
import { BLOCK_ROWS } from './geometry.ts';

const HEADER_BYTES = 8;
const ROW_BYTES = 20;
const CONTENT_BYTES = HEADER_BYTES + BLOCK_ROWS * ROW_BYTES;

function tagOf(id: number): string {
  return `history_block\0${id}`;
}

/** What stands in a block's place. */
export type BlockRead =
  | { readonly state: 'rows'; readonly startMs: number; readonly view: DataView }
  /** Not there (yet), or what stands there is not what was written. */
  | { readonly state: 'absent' | 'damaged' };

/** Content of a block, checked. */
export function decodeBlock(id: number, body: unknown): BlockRead {
  const content = unsealBytes(tagOf(id), body);
  if (content === null || content.length !== CONTENT_BYTES) return { state: 'damaged' };
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  return { state: 'rows', startMs: view.getFloat64(0, true), view };
}

/** Takes the rows of a block over into `rows`, as far as those reach. */
export function copyBlock(startMs: number, view: DataView, rows: HistoryRows): void {
  const shift = (startMs - rows.startMs) / rows.stepMs;
  const end = Math.min(BLOCK_ROWS, rows.count.length - shift);
  for (let i = Math.max(0, -shift); i < end; i += 1) {
    const at = HEADER_BYTES + i * ROW_BYTES;
    const count = view.getUint32(at + 16, true);
    if (count === 0) continue;
    rows.average[i + shift] = view.getFloat32(at, true);
    rows.min[i + shift] = view.getFloat32(at + 4, true);
    rows.max[i + shift] = view.getFloat32(at + 8, true);
    rows.last[i + shift] = view.getFloat32(at + 12, true);
    rows.count[i + shift] = count;
  }
}

/** The table `history_block`. Writes run inside the caller's transaction. */
export class BlockTable {
  readonly #get;
  readonly #put;
  readonly #append;
  readonly #delete;
  readonly #largest;

  constructor(db: Connection) {
    this.#get = db.prepare('SELECT body FROM history_block WHERE id = ?').pluck();
    this.#put = db.prepare('INSERT OR REPLACE INTO history_block (id, body) VALUES (?, ?)');
    this.#append = db.prepare('INSERT OR IGNORE INTO history_block (id, body) VALUES (?, ?)');
    this.#delete = db.prepare('DELETE FROM history_block WHERE id >= ? AND id < ?');
    this.#largest = db.prepare('SELECT max(id) FROM history_block').pluck();
  }

  read(id: number): BlockRead {
    const body = this.#get.get(id);
    return body === undefined ? { state: 'absent' } : decodeBlock(id, body);
  }

  /** @param rows exactly one block */
  write(id: number, rows: HistoryRows): void {
    const content = new Uint8Array(CONTENT_BYTES);
    const view = new DataView(content.buffer);
    view.setFloat64(0, rows.startMs, true);
    for (let i = 0; i < BLOCK_ROWS; i += 1) {
      const count = rows.count[i]!;
      if (count === 0) continue;
      const at = HEADER_BYTES + i * ROW_BYTES;
      view.setFloat32(at, rows.average[i]!, true);
      view.setFloat32(at + 4, rows.min[i]!, true);
      view.setFloat32(at + 8, rows.max[i]!, true);
      view.setFloat32(at + 12, rows.last[i]!, true);
      view.setUint32(at + 16, count, true);
    }
    this.#put.run(id, sealBytes(tagOf(id), content));
  }

  /** Puts an unwritten block where there is none. */
  reserve(id: number): void {
    const content = new Uint8Array(CONTENT_BYTES);
    new DataView(content.buffer).setFloat64(0, Number.NaN, true);
    this.#append.run(id, sealBytes(tagOf(id), content));
  }

  /** Puts back a block of a damaged file. @returns false if its place is taken */
  restore(id: number, body: Uint8Array): boolean {
    return this.#append.run(id, body).changes > 0;
  }

  /** Removes the ids in [from, to). */
  remove(from: number, to: number): void {
    this.#delete.run(from, to);
  }

  /** 0 in an empty table. */
  largestId(): number {
    return (this.#largest.get() as number | null) ?? 0;
  }
}

/** One block of gaps. */
export function emptyBlock(startMs: number, stepMs: number): HistoryRows {
  return emptyRows(startMs, stepMs, BLOCK_ROWS);
}
