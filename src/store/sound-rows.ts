/**
 * Stored rows in, those that are what was written out; the others are set aside where a person can look at them, and
 * counted.
 */

import type { Logger } from '../telemetry/logger.ts';
import type { DamagedRows } from './damaged-rows.ts';
import type { Connection } from './database.ts';
import { type DeadLetterFilter, listDeadLetters, type StoredDeadLetter } from './dead-letters.ts';
import { decodeBatch, type JournalBatch } from './journal.ts';
import type { MachineState } from './machine-tables.ts';
import type { StoreWriter } from './store-writer.ts';

/** What was found and done at open. */
export interface StoreRecovery {
  /** Folder the damaged files went to, and why; null where they were sound. */
  readonly quarantined: { readonly folder: string; readonly reason: string } | null;
  readonly migratedFrom: number | null;
  /** Rows made whole from their second copy, and bits of the write-ahead log put back. */
  readonly repairedRows: number;
  /** Commits of the log that could not be read, and rows that could not be believed; they are kept in the table `quarantine`. Grows while state is read. */
  lostRows: number;
  /** Journal batches that could not be replayed: damaged, or missing from the sequence. */
  lostBatches: number;
  /** Per sink: points the ledger knew and the outbox did not have. */
  readonly pendingDifference: Readonly<Record<string, number>>;
}

interface Parts {
  readonly db: Connection;
  readonly writer: StoreWriter;
  readonly damaged: DamagedRows;
  readonly recovery: StoreRecovery;
  readonly logger: Logger;
}

/** Reading what carries a checksum. */
export class SoundRows {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Machine states in key order. */
  *states(): Generator<MachineState> {
    const { writer, damaged, recovery, logger } = this.#parts;
    yield* writer.machines.states(({ machine, key, seal }) => {
      recovery.lostRows += 1;
      logger.error({ machine, key }, 'a stored state is damaged; the machine learns it anew');
      writer.writeApart(() => {
        damaged.keep('state', `${machine}/${key}`, seal);
        writer.machines.writeState({ machine, key, value: null });
      });
    });
  }

  /** Journal batches in ascending order. */
  *journal(): Generator<JournalBatch> {
    const { writer, damaged, recovery, logger } = this.#parts;
    let expected: number | null = null;
    for (let row = writer.journal.after(0); row !== undefined; row = writer.journal.after(row.id)) {
      const { id, body } = row;
      if (expected !== null) recovery.lostBatches += id - expected;
      expected = id + 1;
      const batch = decodeBatch(id, body);
      if (batch !== null) {
        yield { id, records: batch.records };
        continue;
      }
      recovery.lostBatches += 1;
      logger.error({ batch: id }, 'a journal batch is damaged and was set aside');
      writer.writeApart(() => {
        damaged.keep('journal', id, body);
        writer.journal.remove(id);
      });
    }
  }

  /** Dead letters that pass the filter. */
  deadLetters(filter: DeadLetterFilter): StoredDeadLetter[] {
    const { db, writer, damaged, recovery } = this.#parts;
    const bad: number[] = [];
    const letters = writer.transactions.read(() => listDeadLetters(db, filter, (id) => bad.push(id)));
    if (bad.length === 0) return letters;
    recovery.lostRows += bad.length;
    writer.writeApart(() => {
      for (const id of bad) {
        const row = writer.deadLetters.takeOut(id);
        if (row) damaged.keep('dead_letter', id, row.head, row.body);
      }
    });
    return letters;
  }

  /** Takes damaged batches out of the outbox; their points are booked as quarantined. */
  setBatchesAside(ids: readonly number[]): void {
    const { writer, damaged, logger } = this.#parts;
    logger.error({ batches: ids.length, first: ids[0] }, 'outbox batches are damaged and were set aside');
    writer.writeApart((draft) => {
      for (const id of ids) {
        const row = writer.outbox.quarantine(draft, id);
        if (row) damaged.keep('outbox', id, row.head, row.body);
      }
    });
  }
}
