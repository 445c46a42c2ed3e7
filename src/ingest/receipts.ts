/**
 * The memory store of aedes enters, and keeps of QoS 2 messages between PUBLISH and PUBREL only their packet ids, within
 * bounds: whole messages of clients that never come back would fill the memory.
 */

import type { IngestLimits } from '../config/schema.ts';

interface Owner {
  readonly id: string;
}

interface Received {
  readonly messageId: number;
  readonly payload: unknown;
}

/** The part of aedes' persistence contract that remembers QoS 2 messages. */
export interface ReceiptStore {
  incomingStorePacket(client: Owner, packet: Received): Promise<void>;
  incomingDelPacket(client: Owner, packet: Received): Promise<void>;
  cleanIncoming(client: Owner): Promise<void>;
}

const NO_PAYLOAD = Buffer.alloc(0);

/**
 * From now on a session holds at most `maxInflightQos2` receipts, and `maxConnections` sessions hold any; beyond, the
 * message is not taken and its client's connection ends.
 * @param onRefused called then
 */
export function boundReceipts(store: ReceiptStore, limits: IngestLimits, onRefused: () => void): void {
  const receipts = new Map<string, Set<number>>();
  const keep = store.incomingStorePacket.bind(store);
  const remove = store.incomingDelPacket.bind(store);
  const clean = store.cleanIncoming.bind(store);
  store.incomingStorePacket = async (client, packet) => {
    const known = receipts.get(client.id);
    if (known === undefined ? receipts.size >= limits.maxConnections : known.size >= limits.maxInflightQos2) {
      onRefused();
      throw new Error('too many QoS 2 messages without PUBREL');
    }
    if (known === undefined) receipts.set(client.id, new Set([packet.messageId]));
    else known.add(packet.messageId);
    await keep(client, { ...packet, payload: NO_PAYLOAD });
  };
  store.incomingDelPacket = async (client, packet) => {
    await remove(client, packet);
    const known = receipts.get(client.id);
    known?.delete(packet.messageId);
    // The store would keep an empty entry for every client id there ever was.
    if (known?.size === 0) await store.cleanIncoming(client);
  };
  store.cleanIncoming = (client) => {
    receipts.delete(client.id);
    return clean(client);
  };
}
