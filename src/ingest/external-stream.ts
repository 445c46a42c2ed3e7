/**
 * The byte stream between the plant's broker and mqtt.js: messages on ingest topics are taken out of it and
 * acknowledged here, after the commit; every other packet passes, so that mqtt.js connects, pings and subscribes.
 */

import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { PacketType, publishFields, readPublish } from './mqtt-packets.ts';
import { type FramerState, PacketFramer } from './packet-framer.ts';
import { type LaneContext, PublishLane } from './publish-lane.ts';

/** Why the socket is not read. */
const Hold = { ROOM: 1, CLIENT: 2, STOPPING: 4 } as const;

/**
 * A broker cannot be told what MQTT 3.1.1 clients take, and sends a message again that ends the connection. So larger
 * ones than configured are still read, and kept as dead letters; only beyond this does the connection end.
 */
const MAX_PACKET_BYTES = 16_777_216;

export interface ExternalStreamContext extends LaneContext {
  readonly protocolVersion: 4 | 5;
  readonly maxPacketBytes: number;
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
    const largest = Math.max(context.maxPacketBytes, MAX_PACKET_BYTES);
    this.#framer = new PacketFramer(largest, (buffer, at, bodyAt, end) =>
      this.#packet(buffer, at, bodyAt, end),
    );
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
    const { acceptor, counters, protocolVersion } = this.#context;
    if (!readPublish(buffer, at, bodyAt, end, protocolVersion, fields) || fields.qos === 2) return 'not_ours';
    const route = acceptor.router.routeOf(buffer.toString('latin1', fields.topicFrom, fields.topicTo));
    if (route === null) {
      counters.unrouted += 1;
      return 'not_ours';
    }
    const outcome = this.lane.take(route, buffer, fields, this.#heardMs, this.#nowMs);
    if (outcome !== 'no_room') return 'taken';
    this.#holdBack(Hold.ROOM);
    return 'wait';
  }

  #holdBack(reason: number): void {
    if (this.#hold === 0) {
      this.#socket.pause();
      if (reason === Hold.ROOM) this.#context.counters.pauses += 1;
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
