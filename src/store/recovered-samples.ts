/**
 * The account as of the last commit and what came back from the journal in, the difference explained out.
 *
 * A restart may lose what was never on the disk (`durability: memory`, counted as evicted), what damage took (counted
 * as quarantined), and may have stored windows ahead of their records, which a full disk refused (counted as accepted).
 * Each of the three is known to the account before the crash. Anything else stays as a difference for everyone to see.
 */

import { expectedOpen, type LedgerState, volatileOpen } from './ledger-book.ts';

export interface RecoveredSamples {
  readonly counts: {
    readonly evicted: number;
    readonly quarantined: number;
    /** Accepted late: their window was stored before them. */
    readonly accepted: number;
    /** Not booked. Positive: missing without a known cause; negative: more came back than was ever accepted. */
    readonly unexplained: number;
  };
  readonly isNothing: boolean;
  apply(draft: LedgerState): void;
}

/**
 * @param openSamples samples in open windows after the replay
 * @param isDamaged batches or the whole file could not be read
 */
export function bookRecovered(state: LedgerState, openSamples: number, isDamaged: boolean): RecoveredSamples {
  const inMemory = volatileOpen(state);
  const missing = expectedOpen(state.samples) - openSamples - inMemory;
  const quarantined = isDamaged ? Math.max(0, missing) : 0;
  // A damaged account may know less than the journal holds.
  const ahead = Math.min(Math.max(0, -missing), isDamaged ? Infinity : state.aheadSamples);
  const evicted = Math.max(0, inMemory);
  const accepted = ahead + Math.max(0, -inMemory);
  const counts = { evicted, quarantined, accepted, unexplained: missing - quarantined + ahead };
  return {
    counts,
    isNothing: evicted + quarantined + accepted === 0 && counts.unexplained === 0,
    apply: (draft) => {
      draft.samples.evicted += evicted;
      draft.samples.quarantined += quarantined;
      draft.samples.accepted += accepted;
      draft.volatileSettled = draft.samples.volatileAccepted;
      draft.aheadSamples = 0;
    },
  };
}
