/** A data directory in, a look at its backlog, dead letters and ledger out, also beside a running gateway. */

import { join } from 'node:path';
import type { Ledger } from '../domain/ledger.ts';
import type { ChannelRef } from '../domain/machine.ts';
import type { OutboxBacklog, OutboxBatch } from '../domain/outbox.ts';
import { describeError, GatewayError } from '../errors.ts';
import { type Connection, openReader, schemaVersion } from './database.ts';
import { type DeadLetterFilter, listDeadLetters, type StoredDeadLetter } from './dead-letters.ts';
import { HistoryView } from './history/history-view.ts';
import { decodeBatch, Journal } from './journal.ts';
import { emptyLedger, type LedgerState, ledgerFrom, ledgerOf } from './ledger-book.ts';
import { readChannels } from './machine-tables.ts';
import { OutboxView } from './outbox-view.ts';
import { DATABASE_FILE } from './quarantine.ts';
import { SCHEMA_VERSION } from './schema.ts';
import { readTwins } from './twin-table.ts';
import type { Wear } from './wear-meter.ts';

/** Every call is one short read, so that the running gateway's log can be folded back in between. */
export class ReadOnlyStore {
  readonly #db: Connection;

  /** @throws GatewayError MW_STORE_OPEN, MW_STORE_SCHEMA_NEWER */
  constructor(dataDir: string) {
    const path = join(dataDir, DATABASE_FILE);
    let db: Connection | null = null;
    try {
      db = openReader(path);
      const version = schemaVersion(db);
      if (version > SCHEMA_VERSION)
        throw new GatewayError('MW_STORE_SCHEMA_NEWER', `the store has schema ${version}`);
      this.#db = db;
    } catch (error) {
      db?.close();
      if (error instanceof GatewayError) throw error;
      throw new GatewayError('MW_STORE_OPEN', `cannot read the store: ${describeError(error)}`, {
        cause: error,
        details: { path },
      });
    }
  }

  channels(): ChannelRef[] {
    return readChannels(this.#db).sort((a, b) => a.index - b.index);
  }

  /**
   * The on-device history.
   * @param xff share of a row's windows that may be missing before it is a gap
   * @throws GatewayError MW_STORE_OPEN where the file is of a gateway that kept none
   */
  history(xff: number): HistoryView {
    if (schemaVersion(this.#db) < 2) {
      throw new GatewayError('MW_STORE_OPEN', 'the store was written by a gateway without history', {
        hint: 'start this version of the gateway once, so that it brings the store up to date',
      });
    }
    return new HistoryView(this.#db, xff);
  }

  /** Dead letters in id order; damaged ones are passed over. */
  deadLetters(filter: DeadLetterFilter = {}): StoredDeadLetter[] {
    return listDeadLetters(this.#db, filter, () => {});
  }

  /** Names of the sinks that have an account. */
  sinks(): string[] {
    return this.#state().sinks.map(({ name }) => name);
  }

  /** The accounts as of the last save; `pending` is counted from the rows. */
  ledger(): Ledger {
    const state = this.#state();
    new OutboxView(this.#db).count(state.sinks);
    return ledgerOf(state);
  }

  /** Bytes written over all runs, as of the last save. */
  wear(): Wear {
    const { writtenBytes, observedMs } = this.#state();
    return { writtenBytes, observedMs };
  }

  /** What the sink has not taken; null where there is no such sink. */
  backlog(sink: string): OutboxBacklog | null {
    const state = this.#state().sinks.find(({ name }) => name === sink);
    if (state === undefined) return null;
    const view = new OutboxView(this.#db);
    view.count([state]);
    return { points: state.pendingPoints, bytes: state.pendingBytes, oldestMs: view.oldestMs(state) };
  }

  /** Batches of the outbox after `afterId`, whether taken or not, up to `maxPoints` but at least one. */
  outboxBatches(afterId: number, maxPoints: number): OutboxBatch[] {
    const everything = { name: '', cursor: { floor: afterId, taken: [] } };
    return new OutboxView(this.#db).read(everything, maxPoints, 'backlog').batches;
  }

  close(): void {
    this.#db.close();
  }

  #state(): LedgerState {
    const { totals, sinks } = ledgerFrom(readTwins(this.#db, 'ledger').values);
    const state: LedgerState = { ...emptyLedger(), ...totals, sinks: [...sinks.values()] };
    const last = new Journal(this.#db).newestRow();
    const batch = last === undefined ? null : decodeBatch(last.id, last.body);
    if (last !== undefined && batch !== null && last.id >= state.nextBatchId) state.samples = batch.totals;
    return state;
  }
}
