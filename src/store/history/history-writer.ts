/**
 * Window results in, archives of fixed size out: the history's part of the store's one writer.
 *
 * A window's samples go into the log in the transaction of its result, so they are there exactly if the result is;
 * blocks are written later, in steps of their own, and only once no revision can change what goes into them. After a
 * crash the log says what is missing in the blocks: nothing is counted twice, nothing is left out.
 */

import type { HistoryConfig } from '../../config/schema.ts';
import type { WindowResult } from '../../domain/window-result.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { MetricSample } from '../../telemetry/metrics.ts';
import type { Connection } from '../database.ts';
import { PAGE_BYTES } from '../schema.ts';
import { BlockTable } from './block-table.ts';
import { fold, nextFold } from './folding.ts';
import { treeBytes } from './geometry.ts';
import { encodeLogRow, type LogContent, LogTable } from './log-table.ts';
import { type MachineRecord, MachineTable, nextFreeBlock } from './machine-table.ts';
import { PendingWindows } from './pending-windows.ts';
import { reshape } from './reshape.ts';
import { SeriesRegister } from './series-register.ts';

/** Beyond this the log is worked off although blocks are not full. */
const LOG_FOLD_BYTES = 1_048_576;
/** Beyond this, which needs a store that could not write for long, windows are left out and counted. */
const MAX_LOG_BYTES = 16_777_216;
/** Blocks reserved in one transaction, and in one round of idle work: 256 KiB, so that acknowledgements hardly wait. */
const RESERVE_BLOCKS = 256;

export interface HistoryOptions {
  readonly config: HistoryConfig;
  /** What all series together may take. */
  readonly maxBytes: number;
  readonly logger: Logger;
}

/** What a unit adds to the history, encoded before the transaction begins. */
export interface HistoryDraft {
  /** Of the row of the log and of changed machines. */
  readonly bytes: number;
  readonly logId: number;
  readonly body: Buffer;
  readonly content: LogContent;
  readonly changed: readonly MachineRecord[];
}

/** One transaction that is flushed when it returns, or throws and changes nothing. */
export type RunTransaction = (work: () => void) => void;

export class HistoryWriter {
  readonly #options: HistoryOptions;
  readonly #blocks: BlockTable;
  readonly #log: LogTable;
  readonly #machines: MachineTable;
  readonly #register: SeriesRegister;
  readonly #pending = new PendingWindows();
  /** Rows of the log, in use or not. */
  #logRows = 0;
  #nextSequence = 1;
  /** Blocks up to this id are there. */
  #reserved: number;
  #damagedBlocks = 0;
  #damagedLogRows = 0;
  #refusedWindows = 0;
  #lateWindows = 0;
  #folds = 0;

  constructor(db: Connection, options: HistoryOptions) {
    this.#options = options;
    this.#blocks = new BlockTable(db);
    this.#log = new LogTable(db);
    this.#machines = new MachineTable(db);
    const { records, lost } = this.#machines.load();
    this.#reserved = this.#blocks.largestId();
    if (lost > 0) options.logger.error({ machines: lost }, 'history of machines is lost; they start anew');
    this.#register = new SeriesRegister(options.config, options.maxBytes, records, this.#reserved);
    this.#readLog();
  }

  #readLog(): void {
    for (const { id, bytes, content } of this.#log.rows()) {
      this.#logRows = Math.max(this.#logRows, id);
      if (content === null) {
        this.#damagedLogRows += 1;
        this.#pending.free(id);
        continue;
      }
      this.#nextSequence = content.sequence + 1;
      // Windows of a machine that was forgotten must not become those of the next one.
      for (const { machineId } of content.sections) this.#register.avoidId(machineId);
      const known = content.sections.filter(({ machineId }) => this.#register.record(machineId) !== null);
      this.#pending.add(id, bytes, known, (machine) => this.#markOf(machine));
    }
    if (this.#damagedLogRows > 0)
      this.#options.logger.error({ rows: this.#damagedLogRows }, 'rows of the history log are damaged');
  }

  #markOf(machineId: number): number {
    return this.#register.record(machineId)?.foldedUntilMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Bytes the database will still grow by for series that are known. */
  get unreservedBytes(): number {
    const missing = Math.min(this.#register.blocks, this.#register.nextBlock - 1 - this.#reserved);
    return missing === 0 ? 0 : missing * PAGE_BYTES + treeBytes(missing);
  }

  /** What all archives take once they are reserved. */
  get bytes(): number {
    return this.#register.blocks * PAGE_BYTES + treeBytes(this.#register.blocks);
  }

  /** What the results add, or null if nothing. Changes nothing. */
  draft(results: readonly WindowResult[]): HistoryDraft | null {
    const windows = results.filter(({ history }) => history !== undefined && history.samples.length > 0);
    if (windows.length === 0) return null;
    if (this.#pending.bytes > MAX_LOG_BYTES) {
      this.#refusedWindows += windows.length;
      return null;
    }
    const { sections, changed } = this.#register.sections(windows);
    if (sections.length === 0) return null;
    const logId = this.#pending.freeRow() ?? this.#logRows + 1;
    const content = { sequence: this.#nextSequence, sections };
    const body = encodeLogRow(logId, content);
    const recordBytes = changed.reduce((sum, { series }) => sum + 128 + series.length * 96, 0);
    return { bytes: body.length + recordBytes, logId, body, content, changed };
  }

  /** Inside the transaction of the results. */
  write({ logId, body, changed }: HistoryDraft): void {
    for (const record of changed) this.#machines.write(record);
    this.#log.write(logId, body);
  }

  /** The transaction is flushed. */
  adopt({ logId, body, content, changed }: HistoryDraft): void {
    for (const record of changed) this.#register.adopt(record);
    this.#logRows = Math.max(this.#logRows, logId);
    this.#nextSequence = content.sequence + 1;
    const { sections } = content;
    this.#lateWindows += this.#pending.add(logId, body.length, sections, (machine) => this.#markOf(machine));
  }

  /**
   * One bounded piece of the work that can wait: filling blocks that are reserved.
   * @returns true if there is more to do at once
   */
  step(run: RunTransaction): boolean {
    return this.#reshapeOne(run) || this.#foldOne(run);
  }

  /** Reserves a few blocks of series that are known; to be called once in a round of idle work. */
  reserve(run: RunTransaction): void {
    if (this.#reserved >= this.#register.nextBlock - 1) return;
    const ids = this.#register.blockIdsAfter(this.#reserved, RESERVE_BLOCKS);
    run(() => {
      for (const id of ids) this.#blocks.reserve(id);
    });
    this.#reserved = ids.length < RESERVE_BLOCKS ? this.#register.nextBlock - 1 : ids.at(-1)!;
  }

  /** Gives a machine whose windows or archives were configured anew archives of the new shape. */
  #reshapeOne(run: RunTransaction): boolean {
    if (this.unreservedBytes > 0) return false;
    const record = this.#register.records().find((each) => this.#register.isOutgrown(each));
    if (record === undefined) return false;
    const wanted = this.#register.reshaped(record);
    run(() => {
      this.#damagedBlocks += reshape(this.#blocks, record, wanted);
      this.#machines.write(wanted);
    });
    this.#register.adopt(wanted);
    this.#pending.settled(record.id, wanted.foldedUntilMs ?? Number.NEGATIVE_INFINITY);
    this.#reserved = Math.max(this.#reserved, this.#register.nextBlock - 1);
    return true;
  }

  #foldOne(run: RunTransaction): boolean {
    const partly = this.#pending.bytes > LOG_FOLD_BYTES;
    for (const record of this.#register.records()) {
      const oldestMs = this.#pending.oldestMs(record.id);
      if (!Number.isFinite(oldestMs) || nextFreeBlock([record]) - 1 > this.#reserved) continue;
      const finalStartMs = this.#pending.finalMs(record.id) - record.sizeMs;
      const next = nextFold(record, oldestMs, finalStartMs, partly);
      if (next === null) continue;
      this.#fold(run, next.record, next.untilMs);
      return true;
    }
    return false;
  }

  #fold(run: RunTransaction, record: MachineRecord, untilMs: number): void {
    const sections = this.#pending.before(record.id, untilMs);
    let folded = { record, damagedBlocks: 0 };
    run(() => {
      folded = fold(this.#blocks, { record, untilMs, sections });
      this.#machines.write(folded.record);
    });
    this.#register.adopt(folded.record);
    this.#pending.settled(record.id, untilMs);
    this.#damagedBlocks += folded.damagedBlocks;
    this.#folds += 1;
  }

  /** Puts back a block of a damaged file. Inside the caller's transaction. @returns false if it is not wanted */
  restoreBlock(id: number, body: Uint8Array): boolean {
    return id < this.#register.nextBlock && this.#blocks.restore(id, body);
  }

  /** The blocks of a damaged file are back: what is missing is reserved anew. */
  salvaged(): void {
    this.#reserved = 0;
  }

  metrics(): MetricSample[] {
    const refused = (reason: string, value: number): MetricSample => ({
      name: 'millwright_history_refused_total',
      labels: { reason },
      value,
    });
    return [
      { name: 'millwright_history_series', value: this.#register.count },
      { name: 'millwright_history_bytes', labels: { part: 'archives' }, value: this.bytes },
      { name: 'millwright_history_bytes', labels: { part: 'unreserved' }, value: this.unreservedBytes },
      { name: 'millwright_history_bytes', labels: { part: 'log' }, value: this.#pending.bytes },
      { name: 'millwright_history_folds_total', value: this.#folds },
      { name: 'millwright_history_damaged_total', labels: { part: 'block' }, value: this.#damagedBlocks },
      { name: 'millwright_history_damaged_total', labels: { part: 'log' }, value: this.#damagedLogRows },
      refused('max_series', this.#register.refusedSeries),
      refused('max_bytes', this.#register.refusedForBytes),
      refused('log_full', this.#refusedWindows),
      refused('late', this.#lateWindows),
    ];
  }
}
