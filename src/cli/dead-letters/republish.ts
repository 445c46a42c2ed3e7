/** Messages from the dead letters in, published again; each letter is removed once its message is acknowledged. */

import { randomBytes } from 'node:crypto';
import type { LetterRef } from '../../store/dead-letter-orders.ts';
import { Publisher, type PublisherOptions } from '../publishing/publisher.ts';
import { type StoreAccess, settle } from './settlement.ts';

export interface LetterMessage {
  readonly ref: LetterRef;
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** Where to publish. */
export type BrokerAccess = Pick<PublisherOptions, 'url' | 'username' | 'password' | 'giveUpMs'>;

export interface RepublishReceipt {
  /** Acknowledged by the broker. */
  readonly acknowledged: number;
  /** Letters removed for it. */
  readonly removed: number;
}

/** Unacknowledged messages at most: what an interruption may send twice. */
const MAX_IN_FLIGHT = 100;

/**
 * Publishes with QoS 1. Letters of acknowledged messages are removed even where a later one fails.
 *
 * @throws GatewayError MW_INGEST_EXTERNAL when the broker stays away, and what `settle` throws
 */
export async function republish(
  messages: readonly LetterMessage[],
  broker: BrokerAccess,
  access: StoreAccess,
): Promise<RepublishReceipt> {
  if (messages.length === 0) return { acknowledged: 0, removed: 0 };
  const acknowledged: LetterRef[] = [];
  const publisher = new Publisher({
    ...broker,
    clientId: `millwright-republish-${randomBytes(4).toString('hex')}`,
    qos: 1,
    maxInFlight: MAX_IN_FLIGHT,
    onAcknowledged: (index) => acknowledged.push(messages[index]!.ref),
  });
  await publisher.connect();
  const interrupt = () => publisher.fail('interrupted');
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  let receipt = { removed: 0 };
  try {
    for (const { topic, payload } of messages) await publisher.publish({ topic, payload });
    await publisher.drained();
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await publisher.close();
    receipt = await settle(access, { remove: acknowledged, requeue: [] });
  }
  return { acknowledged: acknowledged.length, removed: receipt.removed };
}
