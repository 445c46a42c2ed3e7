/** What one group commit makes durable: records and the results of the windows that closed meanwhile. */

import type { DeadLetter } from '../domain/dead-letter.ts';
import type { ChannelRef } from '../domain/machine.ts';
import type { WindowResult } from '../domain/window-result.ts';

export interface CommitUnit {
  /** Whole records, volatile ones left out; null if there are none. */
  readonly journal: Uint8Array | null;
  /** Samples of this commit, volatile ones included. */
  readonly acceptedSamples: number;
  /** Channels seen for the first time. */
  readonly channels: readonly ChannelRef[];
  readonly deadLetters: readonly DeadLetter[];
  /** Samples settled since the last commit; over the limit of a window counts as evicted. */
  readonly settled: {
    readonly windowed: number;
    readonly late: number;
    readonly duplicate: number;
    readonly evicted?: number;
    /** Of windows that could not be computed. */
    readonly quarantined?: number;
    /** Of the windowed and duplicate ones, those that are not in the journal. */
    readonly volatile?: number;
  };
  readonly results: readonly WindowResult[];
  /** Samples taken in that are not in this unit but may be in its results: the store refused them for now. */
  readonly aheadSamples?: number;
  /** Journal batches below this id are no longer needed; not finite: nothing to trim. */
  readonly trimBelowBatch: number;
}
