/** The memory store of aedes enters, and is given bounds on what it keeps for clients that are away or forgetful. */

import type { IngestLimits } from '../config/schema.ts';
import { ByteBudget } from './byte-budget.ts';

interface QueuedFor {
  readonly clientId: string;
}

interface Message {
  readonly payload?: string | Uint8Array;
}

/** The part of aedes' persistence contract that fills and empties the queues. */
export interface OfflineStore {
  outgoingEnqueueCombi(subscriptions: QueuedFor[], packet: object): Promise<void>;
  outgoingClearMessageId(client: { readonly id: string }, packet: object): Promise<object | undefined>;
}

/** Bytes of a queued message beside its payload. */
const MESSAGE_BYTES = 512;

/**
 * From now on a session holds at most `maxQueuedMessages`, all of them `maxQueuedBytes`; further messages are not
 * queued.
 * @param onDropped called for each message not queued
 * @returns the memory in use
 */
export function boundOfflineQueues(
  store: OfflineStore,
  limits: IngestLimits,
  onDropped: () => void,
): ByteBudget {
  const queued = new Map<string, number>();
  const budget = new ByteBudget(limits.maxQueuedBytes);
  const enqueue = store.outgoingEnqueueCombi.bind(store);
  const clear = store.outgoingClearMessageId.bind(store);
  store.outgoingEnqueueCombi = (subscriptions, packet) => {
    const bytes = sizeOf(packet);
    const taken = subscriptions.filter(({ clientId }) => {
      const count = queued.get(clientId) ?? 0;
      if (count >= limits.maxQueuedMessages || !budget.change(0, bytes)) {
        onDropped();
        return false;
      }
      queued.set(clientId, count + 1);
      return true;
    });
    return enqueue(taken, packet);
  };
  store.outgoingClearMessageId = async (client, packet) => {
    // The store would make an empty queue for every client id that ever acknowledged.
    if (!queued.has(client.id)) return undefined;
    const cleared = await clear(client, packet);
    if (cleared === undefined) return cleared;
    budget.change(sizeOf(cleared), 0);
    const count = (queued.get(client.id) ?? 1) - 1;
    if (count > 0) queued.set(client.id, count);
    else queued.delete(client.id);
    return cleared;
  };
  return budget;
}

function sizeOf({ payload }: Message): number {
  return MESSAGE_BYTES + (payload?.length ?? 0);
}
