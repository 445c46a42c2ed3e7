/**
 * A full store in, room out: resolution goes before history, and what matters less before what matters more.
 *
 * Classes give way in the order of POINT_CLASSES. Raw values are evicted: every second value of a signal is another
 * signal. Aggregates and assessments first lose resolution with age, as in a round-robin archive: of the newest eighth
 * of the backlog every window stays, then every second, fourth and eighth; only then the oldest are evicted. Alarms
 * are never thinned, since every transition stands for itself.
 *
 * Thinning keeps windows whole and bit for bit as they were computed, instead of merging neighbours into coarser ones:
 * from kurtosis, an envelope line or a band level of two windows nobody can compute that of both, a longer window under
 * the same name would break the contract the models were trained on, and a batch that is being sent while it is thinned
 * still holds nothing but true points. Limits, models and alarms saw every window before it came here.
 */

import type { Point, PointClass } from '../domain/point.ts';
import type { DeadLetterTable } from './dead-letters.ts';
import type { LedgerState } from './ledger-book.ts';
import type { HeldBatch, Outbox } from './outbox.ts';
import { decodeHead, rowBytes } from './outbox-codec.ts';
import type { Demand, SpaceBudget } from './space-budget.ts';

/** Share of the backlog by age, newest first, up to which a series has been halved that often at most. */
const NEWEST_SHARE_BY_HALVINGS = [1 / 8, 1 / 4, 1 / 2, 1] as const;
const MAX_HALVINGS = NEWEST_SHARE_BY_HALVINGS.length - 1;
/** Work for one commit at most; what is missing then is evicted, for a commit must not take long. */
const MAX_WORK_BYTES = 524_288;
/** What a small batch costs beside its bytes. */
const WORK_PER_ROW_BYTES = 1024;
/** Small batches are joined up to about this size: half a small row frees no page. */
const JOINED_BYTES = 8192;
/** Beyond as many series the alternation starts anew: memory stays bounded. */
const MAX_SERIES = 65_536;

interface Parts {
  readonly outbox: Outbox;
  readonly deadLetters: DeadLetterTable;
  readonly budget: SpaceBudget;
}

/** Batches that become one. */
class Group {
  batches: HeldBatch[] = [];
  kept: Point[] = [];
  #keptBytes = 0;
  #bytes = 0;

  add(batch: HeldBatch, kept: readonly Point[]): void {
    this.batches.push(batch);
    this.kept.push(...kept);
    this.#bytes += rowBytes(batch.head);
    this.#keptBytes += (batch.head.bodyBytes * kept.length) / Math.max(1, batch.head.points);
  }

  get isFull(): boolean {
    return this.#keptBytes >= JOINED_BYTES;
  }

  /** About. */
  get freedBytes(): number {
    return this.#bytes - this.#keptBytes;
  }

  clear(): void {
    [this.batches, this.kept, this.#keptBytes, this.#bytes] = [[], [], 0, 0];
  }
}

/** Makes room inside the caller's transaction. */
export class Overflow {
  readonly #parts: Parts;
  /** Where the search for a class (and a number of halvings) goes on: no candidate has a smaller id. */
  #searchFrom = new Map<string, number>();
  /** Series whose next window goes, by class and number of halvings. */
  #dropNext = new Map<string, Set<string>>();
  #workLeft = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** What was learned is void: the transaction was rolled back, or old rows came back. */
  forget(): void {
    this.#searchFrom.clear();
    this.#dropNext.clear();
  }

  /** @returns false where nothing more may go */
  makeRoom(draft: LedgerState, demand: Demand): boolean {
    const { budget } = this.#parts;
    this.#workLeft = MAX_WORK_BYTES;
    for (;;) {
      const missing = budget.missing(demand, draft.heldBytes);
      if (missing.bytes <= 0) return true;
      if (!this.#free(draft, missing)) return false;
    }
  }

  /** Frees something of the least class that has something to give. */
  #free(draft: LedgerState, missing: { readonly bytes: number; readonly mayTakeReserve: boolean }): boolean {
    const { bytes, mayTakeReserve } = missing;
    if (this.#evict(draft, 'raw', bytes)) return true;
    if (this.#thin(draft, 'aggregate', bytes) || this.#evict(draft, 'aggregate', bytes)) return true;
    if (this.#dropDeadLetters(draft, bytes)) return true;
    // What is left is worth its reserve; only newer ones of its kind may take that.
    const { assessment, alarm } = draft.heldBytes;
    const beyondReserve = assessment + alarm - this.#parts.budget.reserveBytes;
    const spare = mayTakeReserve ? Infinity : beyondReserve;
    if (spare <= 0) return false;
    const wanted = Math.min(bytes, spare);
    if (this.#thin(draft, 'assessment', wanted) || this.#evict(draft, 'assessment', wanted)) return true;
    const spareAlarms = Math.min(wanted, alarm - this.#parts.budget.reserveBytes);
    return spareAlarms > 0 && this.#evict(draft, 'alarm', spareAlarms);
  }

  /** Gives up the oldest batches of a class. @returns false where there are none */
  #evict(draft: LedgerState, pointClass: PointClass, bytes: number): boolean {
    let freed = 0;
    for (const { id, head } of this.#candidates(pointClass, MAX_HALVINGS, Infinity)) {
      this.#parts.outbox.evict(draft, id, head);
      freed += rowBytes(head);
      if (freed >= bytes) break;
    }
    return freed > 0;
  }

  /** Halves the resolution of batches that are old enough for it. @returns false where there are none */
  #thin(draft: LedgerState, pointClass: PointClass, bytes: number): boolean {
    for (let halvings = 0; halvings < MAX_HALVINGS && this.#workLeft > 0; halvings += 1) {
      const belowId = this.#ageBoundary(NEWEST_SHARE_BY_HALVINGS[halvings]!);
      if (this.#halve(draft, pointClass, halvings, belowId, bytes)) return true;
    }
    return false;
  }

  #halve(
    draft: LedgerState,
    pointClass: PointClass,
    halvings: number,
    belowId: number,
    bytes: number,
  ): boolean {
    const { outbox } = this.#parts;
    const group = new Group();
    let freed = 0;
    let isAny = false;
    const close = () => {
      if (group.batches.length > 0) freed += outbox.thin(draft, group.batches, group.kept);
      group.clear();
    };
    for (const batch of this.#candidates(pointClass, halvings, belowId)) {
      const points = outbox.points(batch.id, batch.head);
      // A damaged batch is set aside by whoever reads it next.
      if (points === null) continue;
      isAny = true;
      this.#workLeft -= WORK_PER_ROW_BYTES + batch.head.bodyBytes;
      const first = group.batches[0];
      if (first !== undefined && (group.isFull || !outbox.mayJoin(draft, first.id, batch.id))) close();
      group.add(batch, this.#alternate(pointClass, halvings, points));
      if (freed + group.freedBytes >= bytes || this.#workLeft <= 0) break;
    }
    close();
    return isAny;
  }

  /** Rows of a class with at most `halvings`, oldest first, below an id. The search goes on after the last one taken. */
  *#candidates(pointClass: PointClass, halvings: number, belowId: number): Generator<HeldBatch> {
    const key = `${pointClass}/${halvings}`;
    for (const row of this.#parts.outbox.allHeads(this.#searchFrom.get(key) ?? Number.MIN_SAFE_INTEGER)) {
      if (row.id >= belowId) return;
      this.#searchFrom.set(key, row.id + 1);
      const head = decodeHead(row.id, row.head);
      if (head?.pointClass === pointClass && head.halvings <= halvings) yield { id: row.id, head };
    }
  }

  /** Every second window of each series. */
  #alternate(pointClass: PointClass, halvings: number, points: readonly Point[]): Point[] {
    const key = `${pointClass}/${halvings}`;
    let dropNext = this.#dropNext.get(key);
    if (dropNext === undefined || dropNext.size > MAX_SERIES) {
      dropNext = new Set();
      this.#dropNext.set(key, dropNext);
    }
    const known = dropNext;
    return points.filter((point) => {
      const series = `${point.measurement}\0${JSON.stringify(point.tags)}`;
      if (known.delete(series)) return false;
      known.add(series);
      return true;
    });
  }

  /** The id below which rows are older than the newest `share` of the backlog. */
  #ageBoundary(share: number): number {
    const { first, last } = this.#parts.outbox.idRange();
    return last - (last - first) * share;
  }

  /** A message nobody could use is worth less than a prediction; the newest stay for whoever looks for the cause. */
  #dropDeadLetters(draft: LedgerState, bytes: number): boolean {
    const { deadLetters, budget } = this.#parts;
    const dropped = deadLetters.trimTo(Math.max(deadLetters.bytes - bytes, budget.deadLetterReserveBytes));
    draft.deadLettersDropped += dropped;
    return dropped > 0;
  }
}
