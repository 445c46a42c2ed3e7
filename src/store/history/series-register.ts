/** Window results in, sections that name their series by number out; bounds how many series there may be. */

import type { HistoryConfig } from '../../config/schema.ts';
import type { HistoryWindow } from '../../domain/history.ts';
import type { WindowResult } from '../../domain/window-result.ts';
import { PAGE_BYTES } from '../schema.ts';
import { type ArchiveLevel, blocksPerSeries, levelsFor } from './geometry.ts';
import type { LogSection } from './log-table.ts';
import { type MachineRecord, nextFreeBlock, type SeriesPlace } from './machine-table.ts';

/** Names of refused series that are remembered, so that each is counted once. */
const MAX_REMEMBERED = 65_536;
const MAX_SERIES_PER_MACHINE = 65_535;
/** Share of the blocks that the tree above them takes at most. */
const TREE_SHARE = 1.02;

/** Every known series. */
export class SeriesRegister {
  /** Series beyond `history.maxSeries`, and beyond the bytes history may take; since the start. */
  refusedSeries = 0;
  refusedForBytes = 0;
  readonly #config: HistoryConfig;
  readonly #maxBlocks: number;
  readonly #records = new Map<number, MachineRecord>();
  readonly #ids = new Map<string, number>();
  readonly #numbers = new Map<number, Map<string, number>>();
  readonly #refused = new Set<string>();
  readonly #levels = new Map<number, readonly ArchiveLevel[]>();
  /** First id beyond every block that is in use or was before. */
  #nextBlock = 1;
  #nextId = 1;

  constructor(
    config: HistoryConfig,
    maxBytes: number,
    records: readonly MachineRecord[],
    largestBlock: number,
  ) {
    this.#config = config;
    this.#maxBlocks = Math.floor(maxBytes / PAGE_BYTES / TREE_SHARE);
    for (const record of records) this.adopt(record);
    this.#nextBlock = Math.max(this.#nextBlock, largestBlock + 1);
  }

  get nextBlock(): number {
    return this.#nextBlock;
  }

  get count(): number {
    return this.records().reduce((sum, { series }) => sum + series.length, 0);
  }

  /** Blocks of all series. */
  get blocks(): number {
    return this.records().reduce(
      (sum, { series, levels }) => sum + series.length * blocksPerSeries(levels),
      0,
    );
  }

  /** The first `n` ids of blocks of known series above `id`. */
  blockIdsAfter(id: number, n: number): number[] {
    const ids: number[] = [];
    const ranges = this.records().flatMap(({ levels, series }) => {
      const each = blocksPerSeries(levels);
      return series.map(({ firstBlock }) => ({ firstBlock, end: firstBlock + each }));
    });
    for (const { firstBlock, end } of ranges.sort((a, b) => a.firstBlock - b.firstBlock)) {
      for (let next = Math.max(firstBlock, id + 1); next < end; next += 1) {
        if (ids.length === n) return ids;
        ids.push(next);
      }
    }
    return ids;
  }

  records(): MachineRecord[] {
    return [...this.#records.values()];
  }

  record(id: number): MachineRecord | null {
    return this.#records.get(id) ?? null;
  }

  /** An id that stands in the log and must not be given again. */
  avoidId(id: number): void {
    this.#nextId = Math.max(this.#nextId, id + 1);
  }

  /** Takes over a record that is stored. */
  adopt(record: MachineRecord): void {
    this.avoidId(record.id);
    this.#records.set(record.id, record);
    this.#ids.set(record.machine, record.id);
    this.#numbers.set(record.id, new Map(record.series.map(({ name }, i) => [name, i])));
    this.#nextBlock = Math.max(this.#nextBlock, nextFreeBlock([record]));
  }

  /** The levels a machine with this distance of windows should have. */
  levelsFor(hopMs: number): readonly ArchiveLevel[] {
    let levels = this.#levels.get(hopMs);
    if (levels === undefined) {
      levels = levelsFor(this.#config.archives, hopMs);
      this.#levels.set(hopMs, levels);
    }
    return levels;
  }

  /** True if the machine's archives are not of the shape that is configured and there is room for that. */
  isOutgrown(record: MachineRecord): boolean {
    const wanted = this.levelsFor(record.hopMs);
    const isSame =
      wanted.length === record.levels.length &&
      wanted.every(({ stepMs, blocks }, i) => {
        const level = record.levels[i]!;
        return stepMs === level.stepMs && blocks === level.blocks;
      });
    if (isSame) return false;
    const growth = record.series.length * (blocksPerSeries(wanted) - blocksPerSeries(record.levels));
    return this.blocks + growth <= this.#maxBlocks;
  }

  /** The record with archives of the shape that is configured now, behind all blocks there are. */
  reshaped(record: MachineRecord): MachineRecord {
    const levels = this.levelsFor(record.hopMs);
    const each = blocksPerSeries(levels);
    const { stepMs } = levels[0]!;
    const mark = record.foldedUntilMs;
    return {
      ...record,
      levels,
      foldedUntilMs: mark === null ? null : Math.ceil(mark / stepMs) * stepMs,
      series: record.series.map(({ name }, i) => ({ name, firstBlock: this.#nextBlock + i * each })),
    };
  }

  /** Sections of the log for the windows, and the machines that are new or have new series. Changes no record. */
  sections(results: readonly WindowResult[]): {
    sections: LogSection[];
    changed: MachineRecord[];
  } {
    const drafted = new Map<string, MachineRecord>();
    const place = { nextBlock: this.#nextBlock, nextId: this.#nextId };
    const room = { series: this.#config.maxSeries - this.count, blocks: this.#maxBlocks - this.blocks };
    const sections: LogSection[] = [];
    for (const { machine, closedUntilMs, history } of results) {
      const window = history!;
      const known = drafted.get(machine) ?? this.#records.get(this.#ids.get(machine) ?? -1);
      const record = this.#withSeries(known ?? this.#newRecord(machine, window, place), window, place, room);
      if (record !== known && record.series.length > 0) drafted.set(machine, record);
      const section = this.#section(record, window, closedUntilMs);
      if (section !== null) sections.push(section);
    }
    return { sections, changed: [...drafted.values()] };
  }

  #newRecord(machine: string, window: HistoryWindow, place: { nextId: number }): MachineRecord {
    const { hopMs, sizeMs } = window;
    const record = { hopMs, sizeMs, levels: this.levelsFor(hopMs), foldedUntilMs: null, series: [] };
    place.nextId += 1;
    return { ...record, id: place.nextId - 1, machine };
  }

  #withSeries(
    record: MachineRecord,
    window: HistoryWindow,
    place: { nextBlock: number },
    room: { series: number; blocks: number },
  ): MachineRecord {
    const names = new Set(record.series.map(({ name }) => name));
    const added: SeriesPlace[] = [];
    const each = blocksPerSeries(record.levels);
    for (const { series } of window.samples) {
      if (names.has(series) || !this.#admit(record, series, added.length, each, room)) continue;
      names.add(series);
      added.push({ name: series, firstBlock: place.nextBlock });
      place.nextBlock += each;
      room.series -= 1;
      room.blocks -= each;
    }
    const isSame = window.hopMs === record.hopMs && window.sizeMs === record.sizeMs;
    if (added.length === 0 && isSame) return record;
    return {
      ...record,
      hopMs: window.hopMs,
      sizeMs: window.sizeMs,
      series: [...record.series, ...added],
    };
  }

  #admit(
    record: MachineRecord,
    series: string,
    added: number,
    blocks: number,
    room: { series: number; blocks: number },
  ): boolean {
    const isFull = room.series <= 0 || record.series.length + added >= MAX_SERIES_PER_MACHINE;
    if (!isFull && room.blocks >= blocks) return true;
    const key = `${record.machine}\0${series}`;
    if (this.#refused.has(key)) return false;
    if (this.#refused.size < MAX_REMEMBERED) this.#refused.add(key);
    if (isFull) this.refusedSeries += 1;
    else this.refusedForBytes += 1;
    return false;
  }

  #section(record: MachineRecord, window: HistoryWindow, finalMs: number): LogSection | null {
    const numbers = this.#numbersOf(record);
    const found: number[] = [];
    const values: number[] = [];
    for (const { series, average, min, max, last } of window.samples) {
      const number = numbers.get(series);
      // Adding 0 makes one zero of the two, so that equal values are equal in every bit.
      const four = [average, min, max, last].map((value) => Math.fround(value) + 0);
      if (number === undefined || !four.every(Number.isFinite)) continue;
      found.push(number);
      values.push(...four);
    }
    if (found.length === 0) return null;
    return {
      machineId: record.id,
      startMs: window.startMs,
      finalMs,
      series: Uint16Array.from(found),
      values: Float32Array.from(values),
    };
  }

  #numbersOf(record: MachineRecord): ReadonlyMap<string, number> {
    if (this.#records.get(record.id) === record) return this.#numbers.get(record.id)!;
    return new Map(record.series.map(({ name }, i) => [name, i]));
  }
}
