/** Windows that are emitted and not final, and late samples for them enter; which to compute again, and as what, leaves. */

import type { CarriedState } from './held-state.ts';

interface Emitted {
  /** -1 where the window was empty when its time came. */
  revision: number;
  dirty: boolean;
}

/** Of one machine; empty unless late samples are allowed. */
export class Revisions {
  readonly #byIndex = new Map<number, Emitted>();
  /** No window that was emitted before the last start has a higher one. */
  #restored = 0;
  /** Their end: a window up to here that the journal does not know may be in the database all the same. */
  #restoredUntilMs = Number.NEGATIVE_INFINITY;

  restore(revision: number, untilMs: number): void {
    this.#restored = revision;
    this.#restoredUntilMs = untilMs;
  }

  /** The window is emitted for the first time. */
  emitted(index: number): void {
    this.#byIndex.set(index, { revision: 0, dirty: false });
  }

  /** The window, which ends at `endMs`, got a late sample. */
  late(index: number, endMs: number): void {
    const emitted = this.#byIndex.get(index);
    if (emitted) emitted.dirty = true;
    else
      this.#byIndex.set(index, {
        revision: endMs <= this.#restoredUntilMs ? this.#restored : -1,
        dirty: true,
      });
  }

  /** All windows are as they stand in the database. */
  settle(): void {
    for (const emitted of this.#byIndex.values()) emitted.dirty = false;
  }

  /** Windows to compute again, by start: index and new revision. */
  takeDirty(): readonly (readonly [number, number])[] {
    const dirty = [...this.#byIndex].filter(([, { dirty }]) => dirty).sort(([a], [b]) => a - b);
    return dirty.map(([index, emitted]) => {
      emitted.dirty = false;
      emitted.revision += 1;
      return [index, emitted.revision] as const;
    });
  }

  /** Windows for which `isFinal` holds get no samples any more. */
  forget(isFinal: (index: number) => boolean): void {
    for (const index of this.#byIndex.keys()) if (isFinal(index)) this.#byIndex.delete(index);
  }

  /** For a restart: the highest revision, and how many samples it was made of; -1 while some are not in it yet. */
  carried(samples: () => number): Omit<CarriedState['emitted'], 'untilMs'> {
    let revision = 0;
    let isDirty = false;
    for (const emitted of this.#byIndex.values()) {
      revision = Math.max(revision, emitted.revision);
      isDirty ||= emitted.dirty;
    }
    return { samples: isDirty ? -1 : samples(), revision };
  }
}
