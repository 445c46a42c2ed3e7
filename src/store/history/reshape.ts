/**
 * Archives of one shape in, archives of another out, after the configuration changed. A resolution that is kept keeps
 * its rows as far back as the new archive reaches; a new resolution starts empty.
 */

import type { HistoryRows } from '../../domain/history.ts';
import { ArchiveReader, blockId } from './archive-reader.ts';
import type { BlockTable } from './block-table.ts';
import { BLOCK_ROWS, blockAt, blockSpanMs, blocksPerSeries } from './geometry.ts';
import type { MachineRecord } from './machine-table.ts';

/** Copies what both shapes have and removes the old blocks; in the caller's transaction. @returns damaged blocks met */
export function reshape(blocks: BlockTable, from: MachineRecord, to: MachineRecord): number {
  const reader = new ArchiveReader(blocks, from, []);
  const [oldBlocks, newBlocks] = [blocksPerSeries(from.levels), blocksPerSeries(to.levels)];
  from.series.forEach(({ firstBlock }, series) => {
    const kept = from.foldedUntilMs === null ? [] : keptBlocks(reader, from, to, series);
    // Old pages first, so that the new ones stand in their room.
    blocks.remove(firstBlock, firstBlock + oldBlocks);
    const first = to.series[series]!.firstBlock;
    for (let i = 0; i < newBlocks; i += 1) blocks.reserve(first + i);
    for (const { id, rows } of kept) blocks.write(id, rows);
  });
  return reader.damagedBlocks;
}

function keptBlocks(
  reader: ArchiveReader,
  from: MachineRecord,
  to: MachineRecord,
  series: number,
): { id: number; rows: HistoryRows }[] {
  return to.levels.flatMap((level, index) => {
    const old = from.levels.findIndex(({ stepMs }) => stepMs === level.stepMs);
    if (old < 0) return [];
    const newest = blockAt(level, from.foldedUntilMs! - 0.5);
    const reach = Math.min(level.blocks, from.levels[old]!.blocks);
    return Array.from({ length: reach }, (_, i) => newest - reach + 1 + i)
      .map((block) => ({
        id: blockId(to, series, index, block),
        rows: reader.rows(series, old, block * blockSpanMs(level), BLOCK_ROWS),
      }))
      .filter(({ rows }) => rows.count.some((count) => count > 0));
  });
}
