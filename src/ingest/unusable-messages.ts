/**
 * Messages of one connection that no decoder will see enter (packet too large, topic too long or too deep); dead
 * letters in the ring and, after the commit, their acknowledgements leave. A sender repeats a QoS 1 or 2 message until
 * it is acknowledged, so one that ended the connection would keep everything behind it from ever arriving.
 */

import type { IngestLimits } from '../config/schema.ts';
import type { Unusable } from './accept.ts';
import { PacketType, type PublishFields, receiptPacket } from './mqtt-packets.ts';
import type { LaneContext, PublishLane } from './publish-lane.ts';

/** Fixed header, length of the topic, the longest topic, packet id: what must be read to acknowledge a PUBLISH. */
const MAX_HEAD_BYTES = 5 + 2 + 65_535 + 2;
/** QoS 2 messages between PUBREC and PUBREL. */
const MAX_RECEIVED = 1000;

/** `no_room`: nothing happened, offer it again; `too_many`: the sender never sends PUBREL. */
export type KeepOutcome = 'kept' | 'no_room' | 'too_many';

/** Bytes of a packet over the limit that must be kept to acknowledge it and keep its payload's beginning. */
export function skimmedHeadBytes(deadLetterPayloadBytes: number): number {
  return MAX_HEAD_BYTES + deadLetterPayloadBytes;
}

/** Why a PUBLISH over `maxPacketBytes` is not decoded. */
export function oversize(topic: string, packetBytes: number, limits: IngestLimits): Unusable {
  const { maxPacketBytes, maxTopicBytes } = limits;
  const detail = `packet of ${packetBytes} bytes; ingest.limits.maxPacketBytes is ${maxPacketBytes}`;
  return { reason: 'oversize', detail, source: topic.slice(0, maxTopicBytes) };
}

/** Why a message on this topic is not decoded; null if its length and depth are within the limits. */
export function topicBeyond(topic: string, topicBytes: number, limits: IngestLimits): Unusable | null {
  const { maxTopicBytes, maxTopicLevels } = limits;
  const source = topic.slice(0, maxTopicBytes);
  if (topicBytes > maxTopicBytes) {
    const detail = `topic of ${topicBytes} bytes; ingest.limits.maxTopicBytes is ${maxTopicBytes}`;
    return { reason: 'oversize', detail, source };
  }
  const levels = topic.split('/').length;
  if (levels <= maxTopicLevels) return null;
  const detail = `topic of ${levels} levels; ingest.limits.maxTopicLevels is ${maxTopicLevels}`;
  return { reason: 'unknown_topic', detail, source };
}

/** One per connection. */
export class UnusableMessages {
  readonly #context: LaneContext;
  readonly #lane: PublishLane;
  readonly #write: (packet: Buffer) => void;
  readonly #received = new Set<number>();

  /** @param write puts bytes on the connection, between packets */
  constructor(context: LaneContext, lane: PublishLane, write: (packet: Buffer) => void) {
    this.#context = context;
    this.#lane = lane;
    this.#write = write;
  }

  /** Keeps the message as a dead letter. @param arrivedMs monotonic @param nowMs wall clock */
  keep(cause: Unusable, bytes: Buffer, fields: PublishFields, arrivedMs: number, nowMs: number): KeepOutcome {
    const { qos, packetId } = fields;
    if (qos === 2) {
      // Sent again before its PUBREC arrived. [MQTT-4.3.3-2]
      if (this.#received.has(packetId)) return this.#acknowledgeReceipt(packetId);
      if (this.#received.size >= MAX_RECEIVED) return 'too_many';
    }
    if (this.#lane.keep(cause, bytes, fields, arrivedMs, nowMs) === 'no_room') return 'no_room';
    return qos === 2 ? this.#acknowledgeReceipt(packetId) : 'kept';
  }

  /** True if the PUBREL of this packet id belongs to a message kept here; it is answered. */
  release(packetId: number): boolean {
    if (!this.#received.delete(packetId)) return false;
    this.#write(receiptPacket(PacketType.PUBCOMP, packetId));
    return true;
  }

  #acknowledgeReceipt(packetId: number): KeepOutcome {
    this.#received.add(packetId);
    const context = this.#context;
    context.acknowledger.whenCommitted(context.position(), () =>
      this.#write(receiptPacket(PacketType.PUBREC, packetId)),
    );
    return 'kept';
  }
}
