/**
 * A quarantined database in; what the next start needs at once, then the backlog in small steps, out.
 *
 * Rows keep their ids, so that doing a step twice (a crash in between) changes nothing.
 */

import { basename } from 'node:path';
import type { Logger } from '../telemetry/logger.ts';
import { type Connection, faultOf } from './database.ts';
import type { DeadLetterTable, StoredDeadLetter } from './dead-letters.ts';
import { Ballast } from './disk-space.ts';
import type { HistoryWriter } from './history/history-writer.ts';
import { LogTable } from './history/log-table.ts';
import { isTaken } from './id-ranges.ts';
import { emptyLedger, expectedPending, type LedgerState } from './ledger-book.ts';
import { MachineTables } from './machine-tables.ts';
import type { Outbox } from './outbox.ts';
import { decodeHead, type OutboxHead, rowBytes } from './outbox-codec.ts';
import { type OutboxRow, remember } from './outbox-view.ts';
import { markSalvaged, pruneQuarantine, quarantineFolders, unsalvagedFolder } from './quarantine.ts';
import {
  type Essentials,
  largestId,
  openQuarantined,
  type Quarantined,
  readableDeadLetters,
  readableHistoryBlocks,
  readableJournal,
  readableOutbox,
  readEssentials,
} from './salvage.ts';
import { isReserved, type SpaceBudget } from './space-budget.ts';
import { TwinTable } from './twin-table.ts';

/** Where ids start if those of the damaged file can't be read: beyond any that were ever given. */
const UNREACHED_ID = 2 ** 40;
const JOURNAL_ROWS_PER_TRANSACTION = 1000;

export type SalvagedItem =
  | { readonly kind: 'outbox'; readonly row: OutboxRow }
  | { readonly kind: 'dead_letter'; readonly letter: StoredDeadLetter }
  | { readonly kind: 'history'; readonly block: { readonly id: number; readonly body: Buffer } };

/** Brings back the rows of one quarantined file. */
export class Salvager {
  readonly folder: string;
  /** Rows brought back, and rows there was no room for, since this start. */
  salvagedRows = 0;
  refusedRows = 0;
  readonly #source: Quarantined;
  readonly #items: Generator<SalvagedItem>;

  constructor(folder: string, source: Quarantined) {
    this.folder = folder;
    this.#source = source;
    this.#items = items(source);
  }

  /**
   * Starts on the newest quarantined file that has not been worked off, first bringing over what the pipeline needs
   * before it can start: ledger, channels, machine states, journal.
   *
   * @returns null where there is nothing to do
   */
  static begin(db: Connection, dataDir: string, logger: Logger): Salvager | null {
    const salvager = Salvager.next(dataDir, logger);
    if (salvager === null) return null;
    const { folder } = salvager;
    const meta = new TwinTable(db, 'meta');
    const isBrought = meta.loadAndRepair().values.get('salvaging') === basename(folder);
    // An older file that was not worked off before the next damage knows less than the one in use.
    if (!isBrought && folder === quarantineFolders(dataDir).at(-1)) {
      bringWithRoom(dataDir, () => bringEssentials(db, salvager.#source, logger));
      meta.write('salvaging', basename(folder));
    }
    return salvager;
  }

  /** The newest file that has not been worked off, for its backlog alone. @returns null where there is none */
  static next(dataDir: string, logger: Logger): Salvager | null {
    const folder = unsalvagedFolder(dataDir);
    if (folder === null) return null;
    const source = openQuarantined(folder);
    if (source.db === null) logger.warn({ folder }, 'the damaged database can be read only page by page');
    return new Salvager(folder, source);
  }

  /** The next rows, fewer than `limit` only at the end. */
  take(limit: number): SalvagedItem[] {
    const taken: SalvagedItem[] = [];
    while (taken.length < limit) {
      const next = this.#items.next();
      if (next.done) break;
      taken.push(next.value);
    }
    return taken;
  }

  /** Puts one row back, if there is room and somebody still wants it. Inside the caller's transaction. */
  restore(item: SalvagedItem, draft: LedgerState, target: SalvageTarget): void {
    const { outbox, deadLetters, budget, history } = target;
    if (item.kind === 'dead_letter') {
      if (deadLetters.insert(item.letter.id, item.letter)) this.salvagedRows += 1;
      return;
    }
    if (item.kind === 'history') {
      if (history?.restoreBlock(item.block.id, item.block.body)) this.salvagedRows += 1;
      return;
    }
    const { id, head } = item.row;
    if (draft.sinks.every((sink) => isTaken(sink.cursor, id))) return;
    const about = decodeHead(id, head)!;
    const bytes = rowBytes(about);
    const demand = { bytes, unreservedBytes: isReserved(about.pointClass) ? 0 : bytes };
    if (budget.missing(demand, draft.heldBytes).bytes > 0) {
      this.refusedRows += 1;
    } else if (outbox.restore(draft, item.row)) {
      adoptRow(draft, id, about);
      this.salvagedRows += 1;
    }
  }

  /** Everything readable is back: points that are still missing are lost, and booked so. */
  closeAccounts(draft: LedgerState): void {
    for (const sink of draft.sinks) {
      sink.quarantined += Math.max(0, expectedPending(sink) - sink.pendingPoints);
    }
  }

  finish(): void {
    markSalvaged(this.folder, { salvagedRows: this.salvagedRows, refusedRows: this.refusedRows });
    this.close();
  }

  close(): void {
    this.#source.db?.close();
  }
}

/** What a row is put back into. */
export interface SalvageTarget {
  readonly outbox: Outbox;
  readonly deadLetters: DeadLetterTable;
  readonly budget: SpaceBudget;
  readonly history: HistoryWriter | null;
}

function adoptRow(draft: LedgerState, id: number, head: OutboxHead): void {
  for (const sink of draft.sinks) {
    if (isTaken(sink.cursor, id)) continue;
    remember(sink, head);
    // The account was lost with the file: it starts again with what comes back.
    sink.produced += Math.max(0, sink.pendingPoints - expectedPending(sink));
  }
}

function* items(source: Quarantined): Generator<SalvagedItem> {
  for (const row of readableOutbox(source)) yield { kind: 'outbox', row };
  for (const letter of readableDeadLetters(source)) yield { kind: 'dead_letter', letter };
  for (const block of readableHistoryBlocks(source)) yield { kind: 'history', block };
}

/** On a full disk the room of older damaged files and of the ballast goes to what was acknowledged. */
function bringWithRoom(dataDir: string, bring: () => void): void {
  try {
    bring();
  } catch (error) {
    if (faultOf(error) !== 'full') throw error;
    pruneQuarantine(dataDir, 0);
    new Ballast(dataDir).drop();
    bring();
  }
}

function bringEssentials(db: Connection, source: Quarantined, logger: Logger): void {
  const essentials = readEssentials(source);
  db.transaction(() => {
    bringLedger(new TwinTable(db, 'ledger'), source.db, essentials);
    const machines = new MachineTables(db);
    machines.writeChannels(essentials.channels);
    for (const [machine, endMs] of essentials.closedUntil ?? []) machines.writeClosedUntil(machine, endMs);
    for (const state of essentials.states) machines.writeState(state);
    bringHistory(db, essentials);
  })();
  if (essentials.closedUntil === null) return;
  try {
    bringJournal(db, source);
  } catch (error) {
    if (faultOf(error) !== 'full') throw error;
    // The gateway has to start; what does not fit is booked as quarantined and stays in the folder.
    logger.error({ path: source.path }, 'no room to bring back all records of open windows');
  }
}

function bringHistory(db: Connection, { historyMachines, historyLog }: Essentials): void {
  const machines = new TwinTable(db, 'history_machine');
  for (const [id, value] of historyMachines) machines.write(id, value);
  const log = new LogTable(db);
  for (const { id, body } of historyLog) log.write(id, body);
}

function bringJournal(db: Connection, source: Quarantined): void {
  const insert = db.prepare('INSERT OR IGNORE INTO journal (id, body) VALUES (?, ?)');
  const insertAll = db.transaction((rows: readonly { id: number; body: Buffer }[]) => {
    for (const { id, body } of rows) insert.run(id, body);
  });
  let rows: { id: number; body: Buffer }[] = [];
  for (const row of readableJournal(source)) {
    rows.push(row);
    if (rows.length < JOURNAL_ROWS_PER_TRANSACTION) continue;
    insertAll(rows);
    rows = [];
  }
  insertAll(rows);
}

function bringLedger(table: TwinTable, source: Connection | null, { ledger }: Essentials): void {
  const { sinks: _none, heldBytes: _empty, ...empty } = emptyLedger();
  const totals = { ...empty, ...ledger.totals };
  const beyond = (name: 'outbox' | 'dead_letter', next: number): number => {
    const largest = largestId(source, name);
    if (largest !== null) return Math.max(next, largest + 1);
    return ledger.totals === null ? UNREACHED_ID : next;
  };
  // Totals and ids of batches follow from the journal itself.
  table.write('totals', {
    ...totals,
    nextOutboxId: beyond('outbox', totals.nextOutboxId),
    nextDeadLetterId: beyond('dead_letter', totals.nextDeadLetterId),
  });
  for (const { pendingPoints: _points, pendingBytes: _bytes, ...sink } of ledger.sinks.values()) {
    table.write(`sink/${sink.name}`, sink);
  }
}
