/** Sequence numbers of one sender enter in order of arrival, counts of what is missing, repeated or late leave. */

/** Totals over all guards that share it. */
export interface SequenceCounts {
  /** Numbers skipped; a late arrival shows that one of them was not lost. */
  missing: number;
  repeated: number;
  late: number;
  /** The sender began anew: its numbers jumped back, or far ahead. */
  restarted: number;
}

/** How many numbers back a repeat is told from a late arrival. */
const REMEMBERED = 32;
/** A jump back or ahead by more than this is a restart, not a gap. */
const MAX_STEP = 65_536;
/** So many old numbers in a row, each one more than the last, are a restart. */
const RESTART_RUN = 3;

/** One per channel (or per machine where one message carries many channels). O(1) in time and memory. */
export class SequenceGuard {
  #highest = -1;
  /** Bit i: highest - i has been seen. */
  #seen = 0;
  /** The newest number from before the remembered ones, and how many came in a row that ascend by one. */
  #old = -1;
  #oldRun = 0;

  /** @param sequence unsigned 32 bits; wraps at 2^32 (serial number arithmetic, RFC 1982) */
  observe(sequence: number, counts: SequenceCounts): void {
    if (this.#highest < 0) {
      this.#begin(sequence);
      return;
    }
    const step = (sequence - this.#highest) | 0;
    if (step > MAX_STEP || step < -MAX_STEP) {
      counts.restarted += 1;
      this.#begin(sequence);
    } else if (step > 0) {
      counts.missing += step - 1;
      this.#highest = sequence;
      this.#seen = step >= REMEMBERED ? 1 : (this.#seen << step) | 1;
    } else {
      this.#lookBack(sequence, -step, counts);
    }
  }

  #lookBack(sequence: number, back: number, counts: SequenceCounts): void {
    if (back < REMEMBERED) {
      const bit = 1 << back;
      if ((this.#seen & bit) !== 0) counts.repeated += 1;
      else counts.late += 1;
      this.#seen |= bit;
      return;
    }
    // A device that lost power counts from its beginning again; single late messages do not ascend in a row.
    this.#oldRun = sequence === this.#old + 1 ? this.#oldRun + 1 : 1;
    this.#old = sequence;
    if (sequence !== 0 && this.#oldRun < RESTART_RUN) {
      counts.late += 1;
      return;
    }
    counts.restarted += 1;
    this.#begin(sequence);
  }

  #begin(sequence: number): void {
    this.#highest = sequence;
    this.#seen = 1;
    this.#old = -1;
    this.#oldRun = 0;
  }
}
