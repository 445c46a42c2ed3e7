/**
 * The byte stream between the plant's broker and mqtt.js: messages on ingest topics are taken out of it and
 * acknowledged here, after the commit; every other packet passes, so that mqtt.js connects, pings and subscribes.
 */

import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { IngestLimits } from '../config/schema.ts';
import type { AcceptOutcome } from './accept.ts';
import { PacketType, publishFields, readPublish } from './mqtt-packets.ts';
import { type FramerState, PacketFramer } from './packet-framer.ts';
import { type LaneContext, PublishLane } from './publish-lane.ts';
import { oversize, skimmedHeadBytes } from './unusable-messages.ts';

/** Why the socket is not read. */
const Hold = { ROOM: 1, CLIENT: 2, STOPPING: 4 } as const;

export interface ExternalStreamContext extends LaneContext {
  readonly protocolVersion: 4 | 5;
  readonly limits: IngestLimits;
  readonly deadLetterPayloadBytes: number;
  readonly unknownTopics: 'dead_letter' | 'count';
  /** Wall clock, ms. */
  now(): number;
}

type WriteCallback = (error?: Error | null) => void;

/** One per connection to the broker. */
export class ExternalStream extends Duplex {
  readonly lane: PublishLane;
  readonly #socket: Socket;
  readonly #context: ExternalStreamContext;
  readonly #framer: PacketFramer;
  readonly #fields = publishFields();
  #hold = 0;
  #heardMs = 0;
  #nowMs = 0;

  /** @param socket connecting or connected; TLS or plain */
  constructor(socket: Socket, context: ExternalStreamContext) {
    super({ decodeStrings: true });
    this.#socket = socket;
    this.#context = context;
    this.lane = new PublishLane(context, (acks) => {
      if (!socket.writableEnded && !socket.destroyed) socket.write(acks);
    });
    this.#framer = new PacketFramer(context.limits.maxPacketBytes, (buffer, at, bodyAt, end) =>
      this.#packet(buffer, at, bodyAt, end),
    );
    // A broker sends a message again that ended the connection.
    this.#framer.skimming = {
      headBytes: skimmedHeadBytes(context.deadLetterPayloadBytes),
      accepts: (typeByte) => typeByte >> 4 === PacketType.PUBLISH,
      onSkimmed: (head, bodyAt, packetBytes) => this.#skimmed(head, bodyAt, packetBytes),
    };
    socket.on('data', (chunk) => this.#received(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  /** A commit made room in the ring. */
  committed(): void {
    this.#release(Hold.ROOM);
  }

  /** Takes no more messages; acknowledgements still go out. */
  stopReading(): void {
    this.#holdBack(Hold.STOPPING);
  }

  override _read(): void {
    this.#release(Hold.CLIENT);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#socket.write(chunk, () => callback());
  }

  /** mqtt.js corks while it serializes a packet, so this is never the half of one. */
  override _writev(chunks: { chunk: Buffer }[], callback: WriteCallback): void {
    this.#socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), () => callback());
  }

  override _final(callback: WriteCallback): void {
    // Not end(): a socket that is not read would wait for the broker's last word for ever.
    this.#socket.destroySoon();
    callback();
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    // What waited here will be sent again by the broker.
    this.lane.close();
    this.#socket.destroy();
    callback(error);
  }

  #received(chunk: Buffer): void {
    this.#heardMs = performance.now();
    this.#nowMs = this.#context.now();
    this.#framed(this.#framer.push(chunk));
  }

  #framed(state: FramerState): void {
    if (state === 'oversize' || state === 'malformed') {
      this.destroy(
        new Error(`the broker sent ${state === 'oversize' ? 'too large a' : 'a malformed'} packet`),
      );
    } else this.lane.flush(this.#heardMs);
  }

  #packet(buffer: Buffer, at: number, bodyAt: number, end: number): boolean {
    if (this.#hold !== 0 || this.destroyed) return false;
    if (buffer[at]! >> 4 === PacketType.PUBLISH) {
      const outcome = this.#publish(buffer, at, bodyAt, end);
      if (outcome !== 'not_ours') return outcome === 'taken';
    }
    if (!this.push(Buffer.from(buffer.subarray(at, end)))) this.#holdBack(Hold.CLIENT);
    return true;
  }

  /** `not_ours` is for mqtt.js, which acknowledges it. */
  #publish(buffer: Buffer, at: number, bodyAt: number, end: number): 'taken' | 'wait' | 'not_ours' {
    const fields = this.#fields;
    const { acceptor, counters, protocolVersion, unknownTopics } = this.#context;
    if (!readPublish(buffer, at, bodyAt, end, protocolVersion, fields) || fields.qos === 2) return 'not_ours';
    const route = acceptor.router.routeOf(buffer.toString('latin1', fields.topicFrom, fields.topicTo));
    if (route !== null) {
      return this.#outcome(this.lane.take(route, buffer, fields, this.#heardMs, this.#nowMs));
    }
    if (unknownTopics === 'count') {
      counters.unrouted += 1;
      return 'not_ours';
    }
    const source = buffer.toString('utf8', fields.topicFrom, fields.topicTo);
    const cause = { reason: 'unknown_topic', detail: 'no machine class takes this topic', source } as const;
    const outcome = this.#outcome(this.lane.keep(cause, buffer, fields, this.#heardMs, this.#nowMs));
    if (outcome === 'taken') counters.unrouted += 1;
    return outcome;
  }

  /** All of a PUBLISH over `maxPacketBytes` has passed; `head` is its beginning. */
  #skimmed(head: Buffer, bodyAt: number, packetBytes: number): boolean {
    if (this.#hold !== 0 || this.destroyed) return false;
    const fields = this.#fields;
    // Up to the packet's own end: MQTT 5 properties may be longer than the head.
    if (
      !readPublish(head, 0, bodyAt, packetBytes, this.#context.protocolVersion, fields) ||
      fields.qos === 2
    ) {
      this.destroy(new Error(`the broker sent a packet of ${packetBytes} bytes that is no message of ours`));
      return false;
    }
    const topic = head.toString('utf8', fields.topicFrom, fields.topicTo);
    const cause = oversize(topic, packetBytes, this.#context.limits);
    return this.#outcome(this.lane.keep(cause, head, fields, this.#heardMs, this.#nowMs)) === 'taken';
  }

  #outcome(outcome: AcceptOutcome): 'taken' | 'wait' {
    if (outcome !== 'no_room') return 'taken';
    this.#holdBack(Hold.ROOM);
    return 'wait';
  }

  #holdBack(reason: number): void {
    if (this.#hold === 0) {
      this.#socket.pause();
      if (reason === Hold.ROOM) this.#context.counters.pauses.room += 1;
    }
    this.#hold |= reason;
  }

  #release(reason: number): void {
    if ((this.#hold & reason) === 0 || this.destroyed) return;
    this.#hold &= ~reason;
    if (this.#hold !== 0) return;
    this.#heardMs = performance.now();
    this.#nowMs = this.#context.now();
    this.#framed(this.#framer.resume());
    if (this.#hold === 0 && !this.destroyed) this.#socket.resume();
  }
}
