/** The memory store of aedes enters, and is given a bound on what it keeps for subscribers that are away. */

/** Messages kept for one persistent session, as mosquitto's max_queued_messages. */
const MAX_QUEUED = 1000;

interface QueuedFor {
  readonly clientId: string;
}

/** The part of aedes' persistence contract that fills and empties the queues. */
export interface OfflineStore {
  outgoingEnqueueCombi(subscriptions: QueuedFor[], packet: object): Promise<void>;
  outgoingClearMessageId(client: { readonly id: string }, packet: object): Promise<object | undefined>;
}

/**
 * From now on a session holds at most 1000 messages; further ones are not queued for it.
 * @param onDropped called for each message not queued
 */
export function boundOfflineQueues(store: OfflineStore, onDropped: () => void): void {
  const queued = new Map<string, number>();
  const enqueue = store.outgoingEnqueueCombi.bind(store);
  const clear = store.outgoingClearMessageId.bind(store);
  store.outgoingEnqueueCombi = (subscriptions, packet) => {
    const taken = subscriptions.filter(({ clientId }) => {
      const count = queued.get(clientId) ?? 0;
      if (count >= MAX_QUEUED) onDropped();
      else queued.set(clientId, count + 1);
      return count < MAX_QUEUED;
    });
    return enqueue(taken, packet);
  };
  store.outgoingClearMessageId = async (client, packet) => {
    const cleared = await clear(client, packet);
    if (cleared === undefined) return cleared;
    const count = (queued.get(client.id) ?? 1) - 1;
    if (count > 0) queued.set(client.id, count);
    else queued.delete(client.id);
    return cleared;
  };
}
