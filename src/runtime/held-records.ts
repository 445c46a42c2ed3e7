/**
 * Records that wait for the time of day: what the gateway stamped with the time since boot, and whatever came later
 * from the same machines, so that nobody's windows close without the samples that are held back.
 *
 * They are in the journal and acknowledged. `ClockMark`s, which stand in the journal too, say when holding began and
 * what the time was; so a replay after a crash holds and releases exactly the same records.
 */

import type { ClockMark } from '../domain/gateway-clock.ts';
import { type RecordViews, recordViews } from '../domain/record-codec.ts';
import { RecordBuffer } from './record-buffer.ts';

/** What was held, ready to go on. */
export interface Released {
  readonly views: RecordViews;
  readonly bytes: number;
  /** The journal batch of the mark they began with: it must stay as long as any of them is needed. */
  readonly batchId: number;
  readonly offsetMs: number;
  readonly isSet: boolean;
}

export class HeldRecords {
  #buffer = new RecordBuffer();
  #mark: { readonly mark: ClockMark; readonly batchId: number } | null = null;
  readonly #machines = new Set<string>();
  #samples = 0;

  /** Samples that are held. */
  get samples(): number {
    return this.#samples;
  }

  get bytes(): number {
    return this.#buffer.bytes;
  }

  /** Smallest journal batch that is needed to hold the same records after a crash; Infinity while nothing is held. */
  get oldestBatch(): number {
    return this.#mark?.batchId ?? Number.POSITIVE_INFINITY;
  }

  /** True if records of this machine have to queue up behind others of it. */
  holds(machine: string): boolean {
    return this.#samples > 0 && this.#machines.has(machine);
  }

  add(u8: Uint8Array, at: number, bytes: number, machine: string, samples: number): void {
    this.#buffer.append(u8, at, at + bytes);
    this.#machines.add(machine);
    this.#samples += samples;
  }

  /**
   * Holding begins. What an earlier boot left can't be told the time any more and is returned with its best guess;
   * what this boot left stays.
   */
  begin(mark: ClockMark, batchId: number): Released | null {
    if (this.#mark?.mark.bootId === mark.bootId && this.#samples > 0) return null;
    const left = this.#take(this.#mark?.mark ?? mark, false);
    this.#mark = { mark, batchId };
    return left;
  }

  /** The time is told. Null if nothing was held. */
  release(mark: ClockMark): Released | null {
    const began = this.#mark?.mark;
    const sameBoot = began?.bootId === mark.bootId;
    const released = sameBoot ? this.#take(mark, mark.isSet) : this.#take(began ?? mark, false);
    this.#mark = null;
    return released;
  }

  #take({ offsetMs }: ClockMark, isSet: boolean): Released | null {
    if (this.#samples === 0) return null;
    const { views, bytes } = this.#buffer;
    this.#buffer = new RecordBuffer();
    this.#machines.clear();
    this.#samples = 0;
    return { views, bytes, batchId: this.oldestBatch, offsetMs, isSet };
  }
}

/** A blob of records as the typed views need it: memory of its own, at an aligned offset. */
export function viewsOf(records: Uint8Array): RecordViews {
  const buffer = new ArrayBuffer(records.length);
  new Uint8Array(buffer).set(records);
  return recordViews(buffer);
}
