/**
 * One client of the embedded broker: bytes from its socket enter; ingest messages go down the fast lane, every other
 * packet goes to aedes, within the limits of the configuration.
 *
 * Invariants: nothing is read between CONNECT and CONNACK; nothing is read while a bound is reached, and the bytes
 * kept meanwhile are at most one read and one packet.
 */

import type { Socket } from 'node:net';
import type { Unusable } from './accept.ts';
import type { AccessRights } from './access-control.ts';
import { BrokerStream } from './broker-stream.ts';
import { allowedSilenceMs, connectBeyond, connectRefused, type Parting } from './connect-limits.ts';
import { reportDenied } from './denied.ts';
import type { DoorContext } from './door-context.ts';
import { Hold, PAUSES } from './hold.ts';
import type { RefusalLimit } from './ingest-counters.ts';
import {
  filtersAsked,
  PacketType,
  packetIdAt,
  publishFields,
  readConnect,
  readPublish,
} from './mqtt-packets.ts';
import { type FramerState, PacketFramer } from './packet-framer.ts';
import { PublishLane } from './publish-lane.ts';
import { RateBudget } from './rate-budget.ts';
import { READ_BYTES, readShared } from './shared-read.ts';
import type { Route } from './topic-router.ts';
import { UnsentWatch } from './unsent-watch.ts';
import { oversize, skimmedHeadBytes, topicBeyond, UnusableMessages } from './unusable-messages.ts';

/** Messages of the fast lane that cost as much as one that aedes handles. */
const BROKER_COST = 200;
/** A closing connection may flush its last packet this long. */
const LINGER_MS = 1000;

const MALFORMED_PUBLISH: Parting = { detail: 'malformed PUBLISH' };

export class FrontDoorConnection {
  readonly address: string;
  readonly lane: PublishLane;
  readonly #context: DoorContext;
  readonly #socket: Socket;
  readonly #framer: PacketFramer;
  readonly #unusable: UnusableMessages;
  readonly #budget: RateBudget;
  readonly #openedMs: number;
  #stream: BrokerStream | null = null;
  #rights: AccessRights | null = null;
  #stage: 'connect' | 'connack' | 'ready' | 'closed' = 'connect';
  readonly #fields = publishFields();
  #wasReady = false;
  #hold = 0;
  #keepAliveMs = 0;
  #heardMs: number;
  #nowMs = 0;
  #partialBytes = 0;
  readonly #unsent: UnsentWatch;
  #preAuthBytes = 0;

  /** @param accepted paused, as the listener got it */
  constructor(accepted: Socket, address: string, context: DoorContext) {
    const { limits } = context;
    this.address = address;
    const socket = readShared(accepted, (chunk) => this.#received(chunk));
    this.#socket = socket;
    this.#unsent = new UnsentWatch(socket);
    this.#context = context;
    this.#openedMs = performance.now();
    this.#heardMs = this.#openedMs;
    this.lane = new PublishLane(context, (acks) => this.#send(acks));
    this.#unusable = new UnusableMessages(context, this.lane, (packet) => this.#send(packet));
    this.#framer = new PacketFramer(limits.maxPreAuthBytes, (buffer, at, bodyAt, end) =>
      this.#packet(buffer, at, bodyAt, end),
    );
    this.#budget = new RateBudget(limits.maxMessagesPerSecondPerConnection, this.#openedMs);
    socket.setNoDelay(true);
    socket.on('drain', () => this.#drained());
    socket.on('end', () => this.#stream?.push(null));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#closed());
  }

  /** True from CONNACK on, also after the end. */
  get wasReady(): boolean {
    return this.#wasReady;
  }

  /** False while it reads too slowly for a message that it subscribed to. */
  get takesMessages(): boolean {
    return this.#unsent.takesMessages;
  }

  /** aedes asked who this is. */
  authenticated(rights: AccessRights): void {
    this.#rights = rights;
  }

  /** aedes accepted the client: its CONNACK is on the way. */
  accepted(): void {
    if (this.#stage !== 'connack') return;
    this.#stage = 'ready';
    this.#wasReady = true;
    this.#framer.maxPacketBytes = this.#context.limits.maxPacketBytes;
    this.#framer.skimming = {
      headBytes: skimmedHeadBytes(this.#context.deadLetterPayloadBytes),
      accepts: (typeByte) => typeByte >> 4 === PacketType.PUBLISH,
      onSkimmed: (head, bodyAt, packetBytes) => this.#skimmed(head, bodyAt, packetBytes),
    };
    this.#context.onReady(this);
    this.#release(Hold.CONNACK);
  }

  /** A commit made room in the ring and among the messages that wait. */
  committed(): void {
    const { maxUnackedPerConnection } = this.#context.limits;
    const held =
      this.#hold & (this.lane.pending < maxUnackedPerConnection ? Hold.ROOM | Hold.UNACKED : Hold.ROOM);
    if (held !== 0) this.#release(held);
  }

  /** Enforces what time brings about: connect timeout, keep alive, a client that does not read. Call every second. */
  sweep(nowMs: number): void {
    const { limits } = this.#context;
    if (this.#stage === 'connect' || this.#stage === 'connack') {
      if (nowMs - this.#openedMs > limits.connectTimeoutMs) this.refuse('connect_timeout');
      return;
    }
    if (this.#unsent.isStalled(nowMs, limits.subscriberDrainTimeoutMs)) {
      this.refuse('stalled');
      return;
    }
    if ((this.#hold & Hold.ROOM) !== 0) this.#release(Hold.ROOM);
    // Who is not read cannot be heard.
    if (this.#hold !== 0) this.#heardMs = nowMs;
    else if (nowMs - this.#heardMs > this.#keepAliveMs) this.refuse('keep_alive');
  }

  /** Reads nothing more; acknowledgements still go out. */
  stopReading(): void {
    this.#holdBack(Hold.STOPPING);
  }

  /** Ends the connection because of a limit or a broken protocol. */
  refuse(limit: RefusalLimit, { farewell, detail, hint, kind = limit }: Parting = {}): void {
    if (this.#stage === 'closed') return;
    const { counters, complaints } = this.#context;
    counters.refused[limit] += 1;
    const message =
      limit === 'protocol'
        ? 'connection ended: not the MQTT spoken here'
        : 'connection ended by a limit of the front door';
    complaints.warn(kind, performance.now(), message, () => ({
      address: this.address,
      username: this.#rights?.username ?? '',
      ...(detail === undefined ? {} : { detail }),
      ...(hint === undefined ? {} : { hint }),
    }));
    if (farewell !== undefined) this.#socket.write(farewell);
    this.close();
  }

  /** Sends what is under way, then closes. */
  close(): void {
    if (this.#stage === 'closed') return;
    this.#socket.destroySoon();
    const linger = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    linger.unref();
    this.#socket.once('close', () => clearTimeout(linger));
    this.#closed();
  }

  #received(chunk: Buffer): void {
    if (this.#stage === 'closed') return;
    this.#heardMs = performance.now();
    this.#nowMs = this.#context.now();
    if (this.#stage === 'connect') {
      this.#preAuthBytes += chunk.length;
      if (chunk[0]! >> 4 !== PacketType.CONNECT && this.#framer.heldBytes === 0) {
        this.refuse('protocol', { detail: 'the first packet is no CONNECT' });
        return;
      }
    }
    if (this.#stage === 'ready') this.#context.onRead();
    this.#budget.refill(this.#heardMs);
    this.#framed(this.#framer.push(chunk));
    if (this.#stage === 'connect' && this.#preAuthBytes > this.#context.limits.maxPreAuthBytes) {
      this.refuse('pre_auth_bytes');
    }
  }

  #framed(state: FramerState): void {
    if (this.#stage === 'closed') return;
    if (state === 'oversize') this.#refuseOversize();
    else if (state === 'malformed') this.refuse('protocol', { detail: 'packet of malformed length' });
    else if (!this.#holdPartial(this.#framer.partialBytes)) this.refuse('partial_bytes');
    else this.lane.flush(this.#heardMs);
  }

  /** Bytes beyond one read, which every connection may hold, come out of what all share. */
  #holdPartial(partialBytes: number): boolean {
    const bytes = Math.max(0, partialBytes - READ_BYTES);
    const isWithin = this.#context.partial.change(this.#partialBytes, bytes);
    if (isWithin) this.#partialBytes = bytes;
    return isWithin;
  }

  #refuseOversize(): void {
    const [limit, key] =
      this.#stage === 'ready'
        ? (['packet_bytes', 'maxPacketBytes'] as const)
        : (['pre_auth_bytes', 'maxPreAuthBytes'] as const);
    const allowed = this.#context.limits[key];
    const detail = `packet of ${this.#framer.oversizeBytes} bytes; ingest.limits.${key} is ${allowed}`;
    this.refuse(limit, { detail });
  }

  #packet(buffer: Buffer, at: number, bodyAt: number, end: number): boolean {
    if (this.#hold !== 0 || this.#stage === 'closed') return false;
    if (this.#stage === 'connect') return this.#connect(buffer, at, bodyAt, end);
    const type = buffer[at]! >> 4;
    if (type === PacketType.PUBREL && this.#unusable.release(packetIdAt(buffer, bodyAt, end))) return true;
    if (type === PacketType.PUBLISH) return this.#publish(buffer, at, bodyAt, end);
    if (!this.#budget.take(BROKER_COST)) return this.#pace();
    const { maxSubscriptionsPerConnection } = this.#context.limits;
    if (type === PacketType.SUBSCRIBE && filtersAsked(buffer, bodyAt, end) > maxSubscriptionsPerConnection) {
      this.refuse('subscriptions', {
        detail: `more filters at once than ingest.limits.maxSubscriptionsPerConnection ${maxSubscriptionsPerConnection}`,
      });
      return false;
    }
    return this.#toBroker(buffer, at, end);
  }

  #connect(buffer: Buffer, at: number, bodyAt: number, end: number): boolean {
    const connect = readConnect(buffer, bodyAt, end);
    if (connect === null) {
      this.refuse('protocol', { detail: 'malformed CONNECT' });
      return false;
    }
    const refusal = connectRefused(connect) ?? connectBeyond(connect, this.#context.limits);
    if (refusal !== null) {
      this.refuse(refusal.limit, refusal);
      return false;
    }
    const packet = Buffer.from(buffer.subarray(at, end));
    this.#keepAliveMs = allowedSilenceMs(connect, this.#context.limits);
    // aedes never sees the messages of the fast lane, so it must not be the one who counts the silence.
    packet.writeUInt16BE(0, connect.keepAliveAt - at);
    this.#stage = 'connack';
    this.#openStream().deliver(packet);
    this.#holdBack(Hold.CONNACK);
    return true;
  }

  #openStream(): BrokerStream {
    const stream = new BrokerStream(this.#socket, () => this.#release(Hold.BROKER));
    stream.on('close', () => this.close());
    this.#stream = stream;
    this.#context.openBroker(stream, this);
    return stream;
  }

  #publish(buffer: Buffer, at: number, bodyAt: number, end: number): boolean {
    const { limits, acceptor } = this.#context;
    const fields = this.#fields;
    if (!readPublish(buffer, at, bodyAt, end, 4, fields)) {
      this.refuse('protocol', MALFORMED_PUBLISH);
      return false;
    }
    if (!this.#budget.take(fields.qos === 2 ? BROKER_COST : 1)) return this.#pace();
    const { topicFrom, topicTo } = fields;
    if (topicTo - topicFrom > limits.maxTopicBytes) return this.#unrouted(buffer, at, end);
    const route = acceptor.router.routeOf(buffer.toString('latin1', topicFrom, topicTo));
    if (route === null) return this.#unrouted(buffer, at, end);
    if (fields.qos === 2 || !this.#rights!.mayPublish(route.topic)) return this.#toBroker(buffer, at, end);
    if (fields.qos === 1 && this.lane.pending >= limits.maxUnackedPerConnection) {
      return this.#refuseForNow(Hold.UNACKED);
    }
    const outcome = this.lane.take(route, buffer, fields, this.#heardMs, this.#nowMs);
    if (outcome === 'no_room') return this.#refuseForNow(Hold.ROOM);
    if (outcome !== 'shed') this.#fanOut(route, buffer);
    return true;
  }

  /** A topic of no machine class: aedes serves who else wants it, unless it is beyond what aedes takes. */
  #unrouted(buffer: Buffer, at: number, end: number): boolean {
    const { topicFrom, topicTo } = this.#fields;
    const topic = buffer.toString('utf8', topicFrom, topicTo);
    const beyond = topicBeyond(topic, topicTo - topicFrom, this.#context.limits);
    if (beyond !== null) return this.#keep(beyond, topic, buffer);
    this.#budget.charge(BROKER_COST);
    return this.#toBroker(buffer, at, end);
  }

  /** All of a PUBLISH over `maxPacketBytes` has passed; `head` is its beginning. */
  #skimmed(head: Buffer, bodyAt: number, packetBytes: number): boolean {
    if (this.#hold !== 0 || this.#stage === 'closed') return false;
    const fields = this.#fields;
    if (!readPublish(head, 0, bodyAt, packetBytes, 4, fields)) {
      this.refuse('protocol', MALFORMED_PUBLISH);
      return false;
    }
    if (!this.#budget.take()) return this.#pace();
    const topic = head.toString('utf8', fields.topicFrom, fields.topicTo);
    return this.#keep(oversize(topic, packetBytes, this.#context.limits), topic, head);
  }

  #keep(cause: Unusable, topic: string, buffer: Buffer): boolean {
    const { limits } = this.#context;
    if (!this.#rights!.mayPublish(topic)) return this.#deny(cause.source);
    if (this.#fields.qos === 1 && this.lane.pending >= limits.maxUnackedPerConnection) {
      return this.#refuseForNow(Hold.UNACKED);
    }
    const outcome = this.#unusable.keep(cause, buffer, this.#fields, this.#heardMs, this.#nowMs);
    if (outcome === 'no_room') return this.#refuseForNow(Hold.ROOM);
    if (outcome === 'too_many') this.refuse('protocol', { detail: 'QoS 2 messages without PUBREL' });
    return outcome === 'kept';
  }

  #deny(topic: string): false {
    reportDenied(this.#context, topic, this.#rights!.username);
    this.close();
    return false;
  }

  /** Local subscribers and the retained store live in aedes. */
  #fanOut(route: Route, buffer: Buffer): void {
    const { fanOut } = this.#context;
    const { retain, qos, payloadFrom, payloadTo } = this.#fields;
    if (!retain && !fanOut.isWanted(route)) return;
    fanOut.publish(route.topic, buffer.subarray(payloadFrom, payloadTo), qos === 0 ? 0 : 1, retain);
  }

  #toBroker(buffer: Buffer, at: number, end: number): boolean {
    if (!this.#stream!.deliver(buffer.subarray(at, end))) this.#holdBack(Hold.BROKER);
    return true;
  }

  #pace(): boolean {
    const timer = setTimeout(() => this.#paceEnded(), Math.max(1, this.#budget.waitMs));
    timer.unref();
    return this.#refuseForNow(Hold.RATE);
  }

  #paceEnded(): void {
    this.#budget.refill(performance.now());
    this.#release(Hold.RATE);
  }

  #refuseForNow(reason: number): false {
    this.#holdBack(reason);
    return false;
  }

  #holdBack(reason: number): void {
    if (this.#hold === 0) {
      this.#socket.pause();
      const counted = PAUSES.get(reason);
      if (counted !== undefined) this.#context.counters.pauses[counted] += 1;
    }
    this.#hold |= reason;
  }

  #release(reasons: number): void {
    if ((this.#hold & reasons) === 0 || this.#stage === 'closed') return;
    this.#hold &= ~reasons;
    if (this.#hold !== 0) return;
    this.#nowMs = this.#context.now();
    this.#heardMs = performance.now();
    this.#framed(this.#framer.resume());
    if (this.#hold === 0 && !this.#socket.destroyed) this.#socket.resume();
  }

  #send(acks: Buffer): void {
    if (this.#socket.writableEnded || this.#socket.destroyed) return;
    this.#socket.write(acks);
    if (this.#unsent.isFull) this.#holdBack(Hold.UNREAD);
  }

  #drained(): void {
    this.#release(Hold.UNREAD);
  }

  #closed(): void {
    if (this.#stage === 'closed') return;
    this.#stage = 'closed';
    this.#holdPartial(0);
    this.lane.close();
    this.#stream?.destroy();
    this.#context.onClosed(this);
  }
}
