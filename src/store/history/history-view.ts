/** A database of any connection in, its history out; every call is one short read, also beside a running gateway. */

import type { HistoryAnswer, HistoryQuery, HistorySeries } from '../../domain/history.ts';
import type { Connection } from '../database.ts';
import { PAGE_BYTES } from '../schema.ts';
import { ArchiveReader } from './archive-reader.ts';
import { BlockTable } from './block-table.ts';
import { withGaps } from './consolidation.ts';
import { bytesOf, readableRows } from './geometry.ts';
import { type LogSection, LogTable } from './log-table.ts';
import { type MachineRecord, readMachineRecords } from './machine-table.ts';

/** A series and the time it has rows of. */
export interface HistoryExtent extends HistorySeries {
  /** End of the newest row of the finest archive, ms; null where there is none. */
  readonly untilMs: number | null;
}

/** What the tables take as SQLite counts it. */
export interface HistoryMeasured {
  readonly blocks: number;
  /** Pages that hold blocks. */
  readonly blockBytes: number;
  /** Pages of the tree above them. */
  readonly treeBytes: number;
  readonly logBytes: number;
}

/** Reads what `HistoryWriter` wrote. */
export class HistoryView {
  readonly #db: Connection;
  readonly #xff: number;

  /** @param xff share of a row's windows that may be missing */
  constructor(db: Connection, xff: number) {
    this.#db = db;
    this.#xff = xff;
  }

  /** Every series, by machine and name. */
  list(): HistoryExtent[] {
    return this.#consistently(() => {
      const pending = this.#pending();
      return readMachineRecords(this.#db)
        .flatMap((record) => extents(record, pending.get(record.id) ?? []))
        .sort((a, b) => compare(a.machine, b.machine) || compare(a.series, b.series));
    });
  }

  /** Rows of one series, gaps as NaN. */
  rows(query: HistoryQuery): HistoryAnswer {
    return this.#consistently(() => {
      const record = readMachineRecords(this.#db).find(({ machine }) => machine === query.machine);
      const series = record?.series.findIndex(({ name }) => name === query.series) ?? -1;
      if (record === undefined || series < 0) return { refused: { reason: 'unknown_series' } };
      const pending = this.#pending().get(record.id) ?? [];
      return this.#read(record, series, pending, query);
    });
  }

  /** What is on the disk. Cost: every page of the tables. */
  measured(): HistoryMeasured {
    const pages = this.#db
      .prepare("SELECT pagetype AS type, count(*) AS n FROM dbstat WHERE name = 'history_block' GROUP BY 1")
      .all() as { type: string; n: number }[];
    const bytes = (type: string) => (pages.find((row) => row.type === type)?.n ?? 0) * PAGE_BYTES;
    const blocks = this.#db.prepare('SELECT count(*) FROM history_block').pluck().get() as number;
    const log = this.#db.prepare('SELECT sum(length(body)) FROM history_log').pluck().get() as number | null;
    return { blocks, blockBytes: bytes('leaf'), treeBytes: bytes('internal'), logBytes: log ?? 0 };
  }

  #read(
    record: MachineRecord,
    series: number,
    pending: readonly LogSection[],
    { fromMs, toMs, stepMs, maxRows }: HistoryQuery,
  ): HistoryAnswer {
    const untilMs = newestMs(record, pending);
    const level = chooseLevel(record, untilMs, { fromMs, toMs, stepMs, maxRows });
    if (level === null)
      return {
        refused: { reason: 'unknown_resolution', stepsMs: record.levels.map((each) => each.stepMs) },
      };
    const archive = record.levels[level]!;
    const step = archive.stepMs;
    const startMs = Math.floor(Math.max(fromMs, oldestMs(archive, untilMs)) / step) * step;
    const endMs = Math.ceil(Math.min(toMs, untilMs) / step) * step;
    const n = Math.max(0, (endMs - startMs) / step);
    if (n > maxRows) return { refused: { reason: 'too_many_rows', rows: n } };
    const reader = new ArchiveReader(new BlockTable(this.#db), record, pending);
    const rows = reader.rows(series, level, startMs, n);
    return { rows: withGaps(rows, record.hopMs, this.#xff), damagedBlocks: reader.damagedBlocks };
  }

  #pending(): Map<number, LogSection[]> {
    return pendingByMachine(this.#db);
  }

  /** Log and blocks of one state of the database, whatever the gateway writes meanwhile. */
  #consistently<T>(work: () => T): T {
    return this.#db.transaction(work)();
  }
}

/** Windows of the log per machine, ascending; the last of those with the same start. */
function pendingByMachine(db: Connection): Map<number, LogSection[]> {
  const byMachine = new Map<number, Map<number, LogSection>>();
  for (const { content } of new LogTable(db).rows()) {
    for (const section of content?.sections ?? []) {
      const windows = byMachine.get(section.machineId) ?? new Map<number, LogSection>();
      windows.set(section.startMs, section);
      byMachine.set(section.machineId, windows);
    }
  }
  return new Map(
    [...byMachine].map(([id, windows]) => [id, [...windows.values()].sort((a, b) => a.startMs - b.startMs)]),
  );
}

/** End of the newest row of the finest level; -Infinity where there is none. */
function newestMs(record: MachineRecord, pending: readonly LogSection[]): number {
  const { stepMs } = record.levels[0]!;
  const last = pending.at(-1)?.startMs ?? Number.NEGATIVE_INFINITY;
  return Math.max(record.foldedUntilMs ?? Number.NEGATIVE_INFINITY, (Math.floor(last / stepMs) + 1) * stepMs);
}

function oldestMs(level: MachineRecord['levels'][number], untilMs: number): number {
  return untilMs - readableRows(level) * level.stepMs;
}

/** The level that is asked for, or the finest that reaches back and fits; null where there is none of that step. */
function chooseLevel(
  record: MachineRecord,
  untilMs: number,
  {
    fromMs,
    toMs,
    stepMs,
    maxRows,
  }: Omit<HistoryQuery, 'machine' | 'series' | 'stepMs'> & { stepMs: number | undefined },
): number | null {
  const { levels } = record;
  if (stepMs !== undefined) {
    const level = levels.findIndex((each) => each.stepMs === stepMs);
    return level < 0 ? null : level;
  }
  const level = levels.findIndex((each) => {
    const from = Math.max(fromMs, oldestMs(levels.at(-1)!, untilMs));
    // Rows at both ends may be cut.
    const rows = (Math.min(toMs, untilMs) - from) / each.stepMs + 2;
    return oldestMs(each, untilMs) <= from && rows <= maxRows;
  });
  return level < 0 ? levels.length - 1 : level;
}

function extents(record: MachineRecord, pending: readonly LogSection[]): HistoryExtent[] {
  const untilMs = newestMs(record, pending);
  const archives = record.levels.map((level) => ({
    stepMs: level.stepMs,
    rows: readableRows(level),
    bytes: bytesOf(level),
  }));
  return record.series.map(({ name }) => ({
    machine: record.machine,
    series: name,
    hopMs: record.hopMs,
    archives,
    untilMs: Number.isFinite(untilMs) ? untilMs : null,
  }));
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
