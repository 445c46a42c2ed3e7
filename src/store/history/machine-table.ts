/** Which series there are and where their blocks stand: one small row per machine, kept twice (`twin-table.ts`). */

import type { Connection } from '../database.ts';
import { readTwins, TwinTable } from '../twin-table.ts';
import { type ArchiveLevel, blocksPerSeries } from './geometry.ts';

/** One machine with its series. */
export interface MachineRecord {
  readonly id: number;
  readonly machine: string;
  readonly hopMs: number;
  readonly sizeMs: number;
  readonly levels: readonly ArchiveLevel[];
  /** Rows of the finest level before this stand in blocks, later ones in the log; null: none yet. */
  readonly foldedUntilMs: number | null;
  readonly series: readonly SeriesPlace[];
}

export interface SeriesPlace {
  readonly name: string;
  /** Id of the first block; those of all levels follow each other. */
  readonly firstBlock: number;
}

/** What a row holds; keys are short because there are hundreds of series. */
interface StoredMachine {
  readonly machine: string;
  readonly hopMs: number;
  readonly sizeMs: number;
  readonly levels: readonly (readonly [stepMs: number, blocks: number])[];
  readonly foldedUntilMs: number | null;
  readonly series: readonly (readonly [name: string, firstBlock: number])[];
}

function fromStored(id: number, stored: StoredMachine): MachineRecord {
  return {
    ...stored,
    id,
    levels: stored.levels.map(([stepMs, blocks]) => ({ stepMs, blocks })),
    series: stored.series.map(([name, firstBlock]) => ({ name, firstBlock })),
  };
}

function toStored({ id: _id, levels, series, ...rest }: MachineRecord): StoredMachine {
  return {
    ...rest,
    levels: levels.map(({ stepMs, blocks }) => [stepMs, blocks]),
    series: series.map(({ name, firstBlock }) => [name, firstBlock]),
  };
}

/** First id beyond the blocks of these machines. */
export function nextFreeBlock(records: Iterable<MachineRecord>): number {
  let next = 1;
  for (const { levels, series } of records) {
    const each = blocksPerSeries(levels);
    for (const { firstBlock } of series) next = Math.max(next, firstBlock + each);
  }
  return next;
}

/** Records of any connection, by id. @throws SqliteError where pages are damaged */
export function readMachineRecords(db: Connection): MachineRecord[] {
  const { values } = readTwins(db, 'history_machine');
  return [...values].map(([id, stored]) => fromStored(id as number, stored as StoredMachine));
}

/** The table `history_machine`. Writes run inside the caller's transaction. */
export class MachineTable {
  readonly #rows: TwinTable;

  constructor(db: Connection) {
    this.#rows = new TwinTable(db, 'history_machine');
  }

  write(record: MachineRecord): void {
    this.#rows.write(record.id, toStored(record));
  }

  /** Every record that can be believed; how many can't. */
  load(): { records: MachineRecord[]; repaired: number; lost: number } {
    const { values, damaged, lost } = this.#rows.loadAndRepair();
    const records = [...values].map(([id, stored]) => fromStored(id as number, stored as StoredMachine));
    return { records, repaired: damaged.length - lost, lost };
  }
}
