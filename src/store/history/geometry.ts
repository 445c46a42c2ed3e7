/**
 * Configured archives in, their places in blocks of fixed size out. Pure.
 *
 * A block holds 48 rows of one archive and fills one page of the database; an archive is a ring of blocks. A block is
 * written when its time is complete, so each is written once a turn.
 */

import { PAGE_BYTES } from '../schema.ts';

/** Rows in a block: 48 rows of 20 bytes, a header and SQLite's own bytes just fit into a page. */
export const BLOCK_ROWS = 48;

/** One archive of every series of a machine. */
export interface ArchiveLevel {
  readonly stepMs: number;
  readonly blocks: number;
}

interface ConfiguredArchive {
  readonly stepMs: number;
  readonly rows: number;
}

/** Time a block covers. */
export function blockSpanMs(level: ArchiveLevel): number {
  return level.stepMs * BLOCK_ROWS;
}

/** Blocks of one series over all levels. */
export function blocksPerSeries(levels: readonly ArchiveLevel[]): number {
  return levels.reduce((sum, { blocks }) => sum + blocks, 0);
}

/** Rows a level can always give back: the block being replaced is not one of them. */
export function readableRows(level: ArchiveLevel): number {
  return (level.blocks - 1) * BLOCK_ROWS;
}

export function bytesOf(level: ArchiveLevel): number {
  return level.blocks * PAGE_BYTES;
}

/**
 * The levels of a class of machines, finest first. A step shorter than the distance of windows says nothing more:
 * steps grow to the next multiple of their own that holds a window, and to a multiple of the level below; levels that
 * become equal are one, as long as the longest. Each level reaches back at least one block of the next, which is made
 * from it.
 */
export function levelsFor(archives: readonly ConfiguredArchive[], hopMs: number): ArchiveLevel[] {
  const spans = new Map<number, number>();
  let below = 1;
  for (const { stepMs, rows } of archives) {
    const holding = Math.ceil(hopMs / stepMs) * stepMs;
    const effectiveMs = holding % below === 0 ? holding : Math.ceil(holding / below) * below;
    below = effectiveMs;
    spans.set(effectiveMs, Math.max(spans.get(effectiveMs) ?? 0, stepMs * rows));
  }
  const steps = [...spans];
  return steps.map(([stepMs, spanMs], i) => {
    const nextStepMs = steps[i + 1]?.[0] ?? 0;
    const rows = Math.ceil(Math.max(spanMs, nextStepMs * BLOCK_ROWS) / stepMs);
    return { stepMs, blocks: Math.ceil(rows / BLOCK_ROWS) + 1 };
  });
}

/**
 * Bytes of the tree above `blocks` pages, at most. Appending fills its pages to 98 children or more (measured up to
 * ids of three bytes), and every page of them needs one above.
 */
export function treeBytes(blocks: number): number {
  let pages = 0;
  for (let level = blocks; level > 1; ) {
    level = Math.ceil(level / 90);
    pages += level;
  }
  return (pages + 1) * PAGE_BYTES;
}

/** Number of the block that holds a time; consecutive ones have consecutive numbers. */
export function blockAt(level: ArchiveLevel, timeMs: number): number {
  return Math.floor(timeMs / blockSpanMs(level));
}

/** Place of a block number in the ring of its level. */
export function placeOf(level: ArchiveLevel, block: number): number {
  return ((block % level.blocks) + level.blocks) % level.blocks;
}
