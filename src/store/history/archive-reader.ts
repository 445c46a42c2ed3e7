/**
 * Blocks and windows that no block holds yet in, rows of one archive out.
 *
 * A coarse row whose block is not complete is made from the next finer level on the way, so that nothing has to be
 * written twice and a reader sees every window that is stored.
 */

import type { HistoryRows } from '../../domain/history.ts';
import { type BlockTable, copyBlock } from './block-table.ts';
import { consolidate, emptyRows, overlay, RowAccumulator } from './consolidation.ts';
import { BLOCK_ROWS, blockAt, blockSpanMs, placeOf } from './geometry.ts';
import type { LogSection } from './log-table.ts';
import type { MachineRecord } from './machine-table.ts';

/** Id of the block of a series that holds block number `block` of a level. */
export function blockId(record: MachineRecord, series: number, level: number, block: number): number {
  const before = record.levels.slice(0, level).reduce((sum, { blocks }) => sum + blocks, 0);
  return record.series[series]!.firstBlock + before + placeOf(record.levels[level]!, block);
}

/**
 * Rows of the finest level from windows in ascending order of their start.
 * @param only index of the one series that is wanted; all without it
 */
export function rowsOfSections(
  sections: readonly LogSection[],
  place: { readonly startMs: number; readonly stepMs: number; readonly rows: number },
  only?: number,
): Map<number, HistoryRows> {
  const out = new Map<number, HistoryRows>();
  let open = new Map<number, RowAccumulator>();
  let row = -1;
  const finish = () => {
    for (const [series, accumulator] of open) {
      let rows = out.get(series);
      if (rows === undefined) {
        rows = emptyRows(place.startMs, place.stepMs, place.rows);
        out.set(series, rows);
      }
      accumulator.finish(rows, row);
    }
    open = new Map();
  };
  for (const { startMs, series, values } of sections) {
    const at = Math.floor((startMs - place.startMs) / place.stepMs);
    if (at < 0 || at >= place.rows) continue;
    if (at !== row) finish();
    row = at;
    for (let i = 0; i < series.length; i += 1) {
      const id = series[i]!;
      if (only !== undefined && id !== only) continue;
      let accumulator = open.get(id);
      if (accumulator === undefined) {
        accumulator = new RowAccumulator();
        open.set(id, accumulator);
      }
      accumulator.add(values[4 * i]!, values[4 * i + 1]!, values[4 * i + 2]!, values[4 * i + 3]!, 1);
    }
  }
  finish();
  return out;
}

/** Reads the archives of one machine. */
export class ArchiveReader {
  /** Blocks met that are not what was written: their rows are gaps. */
  damagedBlocks = 0;
  readonly #blocks: Pick<BlockTable, 'read'>;
  readonly #record: MachineRecord;
  readonly #pending: readonly LogSection[];

  /** @param pending windows no block holds yet, ascending */
  constructor(blocks: Pick<BlockTable, 'read'>, record: MachineRecord, pending: readonly LogSection[]) {
    this.#blocks = blocks;
    this.#record = record;
    this.#pending = pending;
  }

  /** `n` rows from `startMs`, a multiple of the level's step. */
  rows(series: number, level: number, startMs: number, n: number): HistoryRows {
    const { stepMs } = this.#record.levels[level]!;
    const rows = emptyRows(startMs, stepMs, n);
    if (n === 0) return rows;
    const endMs = startMs + n * stepMs;
    const archive = this.#record.levels[level]!;
    const span = blockSpanMs(archive);
    for (let block = blockAt(archive, startMs); block * span < endMs; block += 1) {
      if (level > 0 || this.#isStored(level, block, span)) this.#copy(series, level, block, rows);
      if (level > 0 && !this.#isStored(level, block, span)) {
        const from = Math.max(startMs, block * span);
        this.#consolidate(series, level, from, Math.min(endMs, (block + 1) * span), rows);
      }
    }
    if (level === 0) this.#addPending(series, rows);
    return rows;
  }

  /** One block of a coarse level, made from the level below over what its place holds of the same time. */
  made(series: number, level: number, block: number): HistoryRows {
    const archive = this.#record.levels[level]!;
    const span = blockSpanMs(archive);
    const rows = emptyRows(block * span, archive.stepMs, BLOCK_ROWS);
    this.#copy(series, level, block, rows);
    this.#consolidate(series, level, block * span, (block + 1) * span, rows);
    return rows;
  }

  /** Blocks of the finest level are written as far as they are known, those of the others when complete. */
  #isStored(level: number, block: number, span: number): boolean {
    const mark = this.#record.foldedUntilMs ?? Number.NEGATIVE_INFINITY;
    return level === 0 ? block * span < mark : (block + 1) * span <= mark;
  }

  #copy(series: number, level: number, block: number, rows: HistoryRows): void {
    const read = this.#blocks.read(blockId(this.#record, series, level, block));
    if (read.state === 'damaged') this.damagedBlocks += 1;
    // Another start: the place was last written in an earlier turn of the ring.
    if (read.state !== 'rows' || read.startMs !== block * blockSpanMs(this.#record.levels[level]!)) return;
    copyBlock(read.startMs, read.view, rows);
  }

  #consolidate(series: number, level: number, fromMs: number, toMs: number, rows: HistoryRows): void {
    const fineStepMs = this.#record.levels[level - 1]!.stepMs;
    const fine = this.rows(series, level - 1, fromMs, (toMs - fromMs) / fineStepMs);
    overlay(consolidate(fine, rows.stepMs), rows);
  }

  #addPending(series: number, rows: HistoryRows): void {
    const mark = this.#record.foldedUntilMs;
    const sections = mark === null ? this.#pending : this.#pending.filter(({ startMs }) => startMs >= mark);
    const place = { startMs: rows.startMs, stepMs: rows.stepMs, rows: rows.count.length };
    const pending = rowsOfSections(sections, place, series).get(series);
    if (pending !== undefined) overlay(pending, rows);
  }
}
