/** Ids and filters enter, the dead letters they mean leave. */

import type { DeadLetterReason } from '../../domain/dead-letter.ts';
import { GatewayError } from '../../errors.ts';
import type { StoredDeadLetter } from '../../store/dead-letters.ts';
import type { ReadOnlyStore } from '../../store/read-only-store.ts';

/** Every filter that is given must hold. */
export interface LetterSelection {
  /** Empty takes letters with any id. */
  readonly ids?: readonly number[];
  readonly reason?: DeadLetterReason | undefined;
  /** MQTT topic or `sink:<name>`, exactly. */
  readonly source?: string | undefined;
  /** At most this many. */
  readonly limit?: number | undefined;
}

const LETTERS_PER_READ = 1000;

type LetterReader = Pick<ReadOnlyStore, 'deadLetters'>;

/** The selected letters in id order, read page by page. */
export function* selectLetters(store: LetterReader, selection: LetterSelection): Generator<StoredDeadLetter> {
  const { reason, source, limit = Number.POSITIVE_INFINITY } = selection;
  const ids = selection.ids && selection.ids.length > 0 ? new Set(selection.ids) : null;
  const filter = { ...(reason === undefined ? {} : { reason }), ...(source === undefined ? {} : { source }) };
  let count = 0;
  let afterId = 0;
  for (;;) {
    const letters = store.deadLetters({ ...filter, afterId, limit: LETTERS_PER_READ });
    for (const letter of letters) {
      if (count >= limit) return;
      if (ids !== null && !ids.has(letter.id)) continue;
      count += 1;
      yield letter;
    }
    if (letters.length < LETTERS_PER_READ) return;
    afterId = letters.at(-1)!.id;
  }
}

/**
 * What changes something wants to be told what it means.
 * @throws GatewayError MW_USAGE where neither ids nor --all are given, or both
 */
export function demandIds(ids: readonly number[], all: boolean | undefined): void {
  if (ids.length > 0 !== (all ?? false)) return;
  throw new GatewayError('MW_USAGE', 'name ids of dead letters, or --all', {
    hint: 'millwright outbox dead-letters lists them',
  });
}
