/**
 * Rows of the outbox and the time of day enter, rows that waited too long leave. Age is time that passed: a clock that
 * was set or stepped makes no row older, which is what the age credits in the ledger are for.
 */

import type { AgeCredit } from './ledger-book.ts';
import type { AgeOf } from './outbox.ts';
import type { StoreWriter, WriterOptions } from './store-writer.ts';

const DAY_MS = 86_400_000;
const CHECK_EVERY_MS = 60_000;
/** No clock that was ever set is earlier (2025-01-01): rows stamped before, or with no time at all, have no known age. */
const IMPLAUSIBLE_BEFORE_MS = 1_735_689_600_000;
/** Beyond, the two oldest become one that credits both; a row may then stay longer, never shorter. */
const MAX_CREDITS = 16;

/** One per store. */
export class Ageing {
  readonly #writer: StoreWriter;
  readonly #options: WriterOptions;
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  #wasSet = true;

  constructor(writer: StoreWriter, options: WriterOptions) {
    this.#writer = writer;
    this.#options = options;
    this.#wasSet = writer.isClockSet;
  }

  /**
   * See `Store.clockMoved`. A clock that is set for the first time makes no row older: those of this run have no age,
   * those of earlier ones were stamped by a clock that was set.
   */
  clockMoved(byMs: number): void {
    const { state } = this.#writer;
    const wasSet = this.#wasSet;
    this.#wasSet = true;
    const toId = state.nextOutboxId - 1;
    if (byMs <= 0 || !wasSet || toId < 0) return;
    state.ageCredits = bounded([...(state.ageCredits ?? []), { fromId: 0, toId, byMs }]);
    this.#writer.noteUnsaved();
  }

  /** Gives up at most `maxRows`. @returns true if there may be more */
  step(maxRows: number): boolean {
    if (!this.#writer.isClockSet || this.#isFresh) return false;
    const { outbox } = this.#writer;
    const maxAgeMs = this.#options.config.maxAgeDays * DAY_MS;
    const ageOf = this.#ages();
    if (!outbox.hasOlder(maxAgeMs, ageOf)) {
      this.#checkedAtMs = this.#writer.monotonicMs();
      return false;
    }
    this.#writer.writeApart((draft) => outbox.evictOlder(draft, maxAgeMs, ageOf, maxRows));
    return true;
  }

  get #isFresh(): boolean {
    return this.#writer.monotonicMs() - this.#checkedAtMs < CHECK_EVERY_MS;
  }

  #ages(): AgeOf {
    const nowMs = this.#options.now();
    const credits = this.#writer.state.ageCredits ?? [];
    return (id, createdMs) => {
      if (createdMs < IMPLAUSIBLE_BEFORE_MS) return Number.NaN;
      const credited = credits.reduce(
        (sum, { fromId, toId, byMs }) => (id >= fromId && id <= toId ? sum + byMs : sum),
        0,
      );
      return nowMs - createdMs - credited;
    };
  }
}

function bounded(credits: readonly AgeCredit[]): AgeCredit[] {
  if (credits.length <= MAX_CREDITS) return [...credits];
  const [a, b, ...rest] = credits as [AgeCredit, AgeCredit, ...AgeCredit[]];
  return [{ fromId: 0, toId: Math.max(a.toId, b.toId), byMs: a.byMs + b.byMs }, ...rest];
}
