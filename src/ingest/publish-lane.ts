/**
 * The fast lane of one connection: PUBLISH packets on ingest topics enter, records go to the ring, and PUBACKs leave
 * once the records are durable, many in one write.
 */

import type { AcceptOutcome, Acceptor, Unusable } from './accept.ts';
import { AckQueue } from './ack-queue.ts';
import type { Acknowledger } from './acknowledger.ts';
import { CommitDemand } from './commit-demand.ts';
import type { IngestCounters } from './ingest-counters.ts';
import type { PublishFields } from './mqtt-packets.ts';
import type { Route } from './topic-router.ts';

/** What all lanes of a source share. */
export interface LaneContext {
  readonly acceptor: Acceptor;
  readonly acknowledger: Acknowledger;
  readonly counters: IngestCounters;
  /** Position of the ring after the last record. */
  position(): number;
}

/** One per connection. */
export class PublishLane {
  readonly #context: LaneContext;
  readonly #write: (acks: Buffer) => void;
  readonly #queue = new AckQueue();
  readonly #demand = new CommitDemand();
  #closed = false;

  /** @param write puts bytes on the connection, between packets */
  constructor(context: LaneContext, write: (acks: Buffer) => void) {
    this.#context = context;
    this.#write = write;
  }

  /** QoS 1 messages that wait for the commit. */
  get pending(): number {
    return this.#queue.length;
  }

  /** Position the youngest of them needs; -1 if none waits. */
  get lastPosition(): number {
    return this.#queue.lastPosition;
  }

  /**
   * Takes one message of QoS 0 or 1; `no_room` leaves no trace.
   * @param arrivedMs monotonic @param nowMs wall clock
   */
  take(route: Route, bytes: Buffer, fields: PublishFields, arrivedMs: number, nowMs: number): AcceptOutcome {
    const outcome = this.#context.acceptor.accept(
      route,
      bytes,
      fields.payloadFrom,
      fields.payloadTo,
      fields.qos,
      nowMs,
    );
    if (fields.qos === 0) return outcome;
    if (outcome === 'accepted') this.#await(fields.packetId, arrivedMs);
    else if (outcome === 'volatile') {
      // Behind what waits already, [MQTT-4.6.0-2]; with nothing before it, it is due at once.
      this.#enqueue(Math.max(0, this.#queue.lastPosition), fields.packetId, arrivedMs);
    }
    return outcome;
  }

  /** The same for a message that goes to the dead letters unread. */
  keep(
    cause: Unusable,
    bytes: Buffer,
    fields: PublishFields,
    arrivedMs: number,
    nowMs: number,
  ): AcceptOutcome {
    const { payloadFrom, payloadTo, qos, packetId } = fields;
    const outcome = this.#context.acceptor.keep(cause, bytes, payloadFrom, payloadTo, qos, nowMs);
    if (outcome === 'accepted' && qos === 1) this.#await(packetId, arrivedMs);
    return outcome;
  }

  /** Writes what needs no further commit. Call at the end of every chunk. @param nowMs monotonic */
  flush(nowMs: number): void {
    const { acknowledger } = this.#context;
    if (this.#queue.length > 0) this.#acknowledge(acknowledger.committed, nowMs);
  }

  /** A commit reached `position`. */
  acknowledge(position: number, nowMs: number): void {
    this.#demand.committed(this.#queue.length, nowMs);
    this.#acknowledge(position, nowMs);
  }

  /** The connection is gone: what it waited for is durable all the same, but nobody is left to tell. */
  close(): void {
    this.#closed = true;
    this.#queue.clear();
    this.#context.acknowledger.retire(this);
  }

  #await(packetId: number, arrivedMs: number): void {
    const position = this.#context.position();
    this.#enqueue(position, packetId, arrivedMs);
    if (this.#demand.arrived(this.#queue.length, arrivedMs)) this.#context.acknowledger.want(position);
  }

  #enqueue(position: number, packetId: number, arrivedMs: number): void {
    this.#queue.add(position, packetId, arrivedMs);
    if (this.#queue.length === 1) this.#context.acknowledger.enlist(this);
  }

  #acknowledge(position: number, nowMs: number): void {
    if (this.#closed) return;
    const { counters } = this.#context;
    const before = this.#queue.length;
    const acks = this.#queue.take(position, (receivedMs) =>
      counters.ackLatency.observe((nowMs - receivedMs) / 1000),
    );
    if (acks === null) return;
    counters.acknowledged += before - this.#queue.length;
    this.#write(acks);
  }
}
