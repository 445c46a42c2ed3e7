/** What a person decided about dead letters in, one transaction that does it out. */

import type { Point } from '../domain/point.ts';
import { crc32c } from './crc32c.ts';
import type { StoredDeadLetter } from './dead-letters.ts';
import { encodeRow } from './outbox-codec.ts';
import { decodePoints, Packing } from './points-codec.ts';
import type { StoreWriter } from './store-writer.ts';

/** Which letter is meant. A store that began anew counts from 1 again; the check tells that it is the same letter. */
export interface LetterRef {
  readonly id: number;
  /** `letterCheck` of the letter, u32. */
  readonly check: number;
}

/** A point that a sink refused, to be sent again. */
export interface Requeue {
  readonly letter: LetterRef;
  /** Corrected points to send instead; null sends what was refused. */
  readonly points: readonly Point[] | null;
}

export interface DeadLetterOrder {
  /** Taken care of elsewhere, or given up. */
  readonly remove: readonly LetterRef[];
  readonly requeue: readonly Requeue[];
}

export interface OrderReceipt {
  readonly removed: number;
  readonly requeued: number;
  /** Not there (any more), or not from a sink. */
  readonly left: number;
}

/** Points in one outbox row at most. */
const ROW_POINTS = 1_000;

/** Tells a letter from another one with the same id: CRC-32C of the payload and of when it came. */
export function letterCheck({
  payload,
  receivedMs,
}: Pick<StoredDeadLetter, 'payload' | 'receivedMs'>): number {
  return crc32c(payload, crc32c(Buffer.from(String(receivedMs)))) >>> 0;
}

/**
 * Removes letters, and puts refused points back into the outbox for every sink (sending twice overwrites). All of it
 * or nothing; doing it a second time finds the letters gone and does nothing.
 *
 * @throws GatewayError MW_STORE_WRITE, MW_STORE_FSYNC as any write
 */
export function settleDeadLetters(writer: StoreWriter, order: DeadLetterOrder, nowMs: number): OrderReceipt {
  let receipt: OrderReceipt = { removed: 0, requeued: 0, left: 0 };
  writer.writeApart((draft) => {
    const { deadLetters, outbox } = writer;
    const read = ({ id, check }: LetterRef) => {
      const letter = deadLetters.read(id);
      return letter !== null && letterCheck(letter) === check ? letter : null;
    };
    const removed = order.remove.filter((ref) => read(ref) !== null && deadLetters.remove(ref.id)).length;
    const points: Point[] = [];
    let requeued = 0;
    for (const { letter: ref, points: corrected } of order.requeue) {
      const letter = read(ref);
      if (letter?.reason !== 'rejected_by_sink') continue;
      deadLetters.remove(ref.id);
      points.push(...(corrected ?? decodePoints(letter.payload, Packing.plain, 'aggregate')));
      requeued += 1;
    }
    const rows = [];
    for (let at = 0; at < points.length; at += ROW_POINTS)
      rows.push(encodeRow('aggregate', points.slice(at, at + ROW_POINTS)));
    outbox.append(draft, rows, nowMs);
    receipt = {
      removed,
      requeued,
      left: order.remove.length - removed + order.requeue.length - requeued,
    };
  });
  return receipt;
}
