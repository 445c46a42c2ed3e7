/**
 * Windows of one machine in, blocks out: the finest level from the windows, every coarser one from the level below it
 * once its block is complete. Runs inside the caller's transaction; nothing but the database changes.
 */

import { ArchiveReader, blockId, rowsOfSections } from './archive-reader.ts';
import { type BlockTable, copyBlock, emptyBlock } from './block-table.ts';
import { overlay } from './consolidation.ts';
import { BLOCK_ROWS, blockAt, blockSpanMs } from './geometry.ts';
import type { LogSection } from './log-table.ts';
import type { MachineRecord } from './machine-table.ts';

/** A stretch of time of one machine that can go into blocks: within one block of the finest level. */
export interface Fold {
  readonly record: MachineRecord;
  /** A multiple of the finest step; no window that starts before it will come any more. */
  readonly untilMs: number;
  /** Windows before `untilMs` that no block holds, ascending; at least one. */
  readonly sections: readonly LogSection[];
}

/** The next stretch, or null where there is none. @param finalMs before this no window starts any more */
export function nextFold(
  record: MachineRecord,
  oldestMs: number,
  finalMs: number,
  partly: boolean,
): Omit<Fold, 'sections'> | null {
  const finest = record.levels[0]!;
  const blockEndMs = (blockAt(finest, oldestMs) + 1) * blockSpanMs(finest);
  const known = Math.floor(finalMs / finest.stepMs) * finest.stepMs;
  const untilMs = partly ? Math.min(blockEndMs, known) : blockEndMs;
  return untilMs <= known && untilMs > oldestMs ? { record, untilMs } : null;
}

/** Writes the blocks. @returns the record as it stands then, not yet written; and blocks that could not be read */
export function fold(blocks: BlockTable, { record, untilMs, sections }: Fold) {
  const finest = record.levels[0]!;
  const firstMs = blockAt(finest, sections[0]!.startMs) * blockSpanMs(finest);
  let damagedBlocks = 0;
  const after = { ...record, foldedUntilMs: untilMs };
  const reader = new ArchiveReader(blocks, after, []);
  const complete = (level: number, block: number) => {
    for (let series = 0; series < record.series.length; series += 1) {
      writeCoarse(blocks, reader, after, { series, level, block });
    }
  };
  const mark = record.foldedUntilMs;
  // Time was skipped: what was left open before ends there.
  if (mark !== null && firstMs > mark)
    for (const [level, block] of closedBetween(record, mark, firstMs)) complete(level, block);
  damagedBlocks += writeFinest(blocks, record, firstMs, sections);
  for (const [level, block] of closedBetween(record, untilMs - 1, untilMs)) complete(level, block);
  return { record: after, damagedBlocks: damagedBlocks + reader.damagedBlocks };
}

/** Coarse blocks that hold time just before `afterMs` and end in (afterMs, untilMs], finest level first. */
function* closedBetween(
  record: MachineRecord,
  afterMs: number,
  untilMs: number,
): Generator<[level: number, block: number]> {
  for (let level = 1; level < record.levels.length; level += 1) {
    const archive = record.levels[level]!;
    const block = blockAt(archive, afterMs - 0.5);
    const endMs = (block + 1) * blockSpanMs(archive);
    if (endMs > afterMs && endMs <= untilMs) yield [level, block];
  }
}

function writeFinest(
  blocks: BlockTable,
  record: MachineRecord,
  firstMs: number,
  sections: readonly LogSection[],
): number {
  const finest = record.levels[0]!;
  const place = { startMs: firstMs, stepMs: finest.stepMs, rows: BLOCK_ROWS };
  let damaged = 0;
  for (const [series, rows] of rowsOfSections(sections, place)) {
    const id = blockId(record, series, 0, blockAt(finest, firstMs));
    const before = blocks.read(id);
    const block = emptyBlock(firstMs, finest.stepMs);
    if (before.state === 'rows' && before.startMs === firstMs) copyBlock(before.startMs, before.view, block);
    else if (before.state === 'damaged') damaged += 1;
    overlay(rows, block);
    blocks.write(id, block);
  }
  return damaged;
}

interface CoarseBlock {
  readonly series: number;
  readonly level: number;
  readonly block: number;
}

function writeCoarse(
  blocks: BlockTable,
  reader: ArchiveReader,
  record: MachineRecord,
  { series, level, block }: CoarseBlock,
): void {
  const rows = reader.made(series, level, block);
  // Nothing was measured: what stands in the place is of an earlier turn and reads as a gap.
  if (rows.count.some((count) => count > 0)) blocks.write(blockId(record, series, level, block), rows);
}
