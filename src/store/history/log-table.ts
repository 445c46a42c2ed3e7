/**
 * Windows whose time no block holds yet, one row per commit: they travel in the transaction of their window's result
 * and are what the history is rebuilt from after a crash.
 *
 * Rows are not deleted: one that holds nothing of use any more is written over, which touches one page instead of four.
 * A row is sealed (`seal.ts`) and holds the number of its commit (f64) and sections, one per window, little-endian:
 * u32 machine, u16 plain values, u16 channel values, f64 window start, f64 final mark, then plain values
 * (u16 series, f32) and channel values (u16 series, f32 average, min, max, last).
 */

import type { Connection } from '../database.ts';
import { sealBytes, unsealBytes } from '../seal.ts';

const HEADER_BYTES = 8;
const SECTION_BYTES = 24;
const PLAIN_BYTES = 6;
const CHANNEL_BYTES = 18;

/** One window of one machine. */
export interface LogSection {
  readonly machineId: number;
  readonly startMs: number;
  /** Windows of the machine that end at or before this never come again. */
  readonly finalMs: number;
  /** Index into the machine's series. */
  readonly series: Uint16Array;
  /** Four values per series: average, min, max, last; exact 32-bit floats. */
  readonly values: Float32Array;
}

export interface LogRow {
  readonly id: number;
  readonly bytes: number;
  /** Null where the row is not what was written. */
  readonly content: LogContent | null;
}

export interface LogContent {
  /** Rises with every commit: of windows with the same start the one of the highest counts. */
  readonly sequence: number;
  readonly sections: readonly LogSection[];
}

function tagOf(id: number): string {
  return `history_log\0${id}`;
}

function isPlain(values: Float32Array, i: number): boolean {
  const average = values[4 * i];
  return average === values[4 * i + 1] && average === values[4 * i + 2] && average === values[4 * i + 3];
}

function plainCount({ series, values }: LogSection): number {
  return series.reduce((sum, _id, i) => sum + (isPlain(values, i) ? 1 : 0), 0);
}

/** Body of a row. */
export function encodeLogRow(id: number, { sequence, sections }: LogContent): Buffer {
  const counts = sections.map(plainCount);
  const bytes = sections.reduce(
    (sum, { series }, i) =>
      sum + SECTION_BYTES + counts[i]! * PLAIN_BYTES + (series.length - counts[i]!) * CHANNEL_BYTES,
    HEADER_BYTES,
  );
  const content = new Uint8Array(bytes);
  const view = new DataView(content.buffer);
  view.setFloat64(0, sequence, true);
  let at = HEADER_BYTES;
  sections.forEach((section, i) => {
    at = encodeSection(view, at, section, counts[i]!);
  });
  return sealBytes(tagOf(id), content);
}

function encodeSection(view: DataView, from: number, section: LogSection, plain: number): number {
  const { machineId, startMs, finalMs, series, values } = section;
  view.setUint32(from, machineId, true);
  view.setUint16(from + 4, plain, true);
  view.setUint16(from + 6, series.length - plain, true);
  view.setFloat64(from + 8, startMs, true);
  view.setFloat64(from + 16, finalMs, true);
  let [plainAt, channelAt] = [from + SECTION_BYTES, from + SECTION_BYTES + plain * PLAIN_BYTES];
  for (let i = 0; i < series.length; i += 1) {
    const width = isPlain(values, i) ? 1 : 4;
    let at = width === 1 ? plainAt : channelAt;
    view.setUint16(at, series[i]!, true);
    at += 2;
    for (let j = 0; j < width; j += 1, at += 4) view.setFloat32(at, values[4 * i + j]!, true);
    if (width === 1) plainAt = at;
    else channelAt = at;
  }
  return channelAt;
}

/** Content of a row, or null where it is not what was written. */
export function decodeLogRow(id: number, body: unknown): LogContent | null {
  const content = unsealBytes(tagOf(id), body);
  if (content === null || content.length < HEADER_BYTES) return null;
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const sections: LogSection[] = [];
  for (let at = HEADER_BYTES; at < content.length; ) {
    const [plain, channel] = [view.getUint16(at + 4, true), view.getUint16(at + 6, true)];
    sections.push(decodeSection(view, at, plain, channel));
    at += SECTION_BYTES + plain * PLAIN_BYTES + channel * CHANNEL_BYTES;
  }
  return { sequence: view.getFloat64(0, true), sections };
}

function decodeSection(view: DataView, from: number, plain: number, channel: number): LogSection {
  const series = new Uint16Array(plain + channel);
  const values = new Float32Array(4 * series.length);
  let at = from + SECTION_BYTES;
  for (let i = 0; i < series.length; i += 1) {
    series[i] = view.getUint16(at, true);
    at += 2;
    if (i < plain) {
      values.fill(view.getFloat32(at, true), 4 * i, 4 * i + 4);
      at += 4;
    } else {
      for (let j = 0; j < 4; j += 1, at += 4) values[4 * i + j] = view.getFloat32(at, true);
    }
  }
  return {
    machineId: view.getUint32(from, true),
    startMs: view.getFloat64(from + 8, true),
    finalMs: view.getFloat64(from + 16, true),
    series,
    values,
  };
}

/** The table `history_log`. Writes run inside the caller's transaction. */
export class LogTable {
  readonly #insert;
  readonly #all;

  constructor(db: Connection) {
    this.#insert = db.prepare('INSERT OR REPLACE INTO history_log (id, body) VALUES (?, ?)');
    this.#all = db.prepare('SELECT id, body FROM history_log');
  }

  write(id: number, body: Uint8Array): void {
    this.#insert.run(id, body);
  }

  /** Every row, in the order they were written; damaged ones first. */
  rows(): LogRow[] {
    return (this.#all.all() as { id: number; body: unknown }[])
      .map(({ id, body }) => ({
        id,
        bytes: body instanceof Uint8Array ? body.length : 0,
        content: decodeLogRow(id, body),
      }))
      .sort((a, b) => (a.content?.sequence ?? 0) - (b.content?.sequence ?? 0));
  }
}
