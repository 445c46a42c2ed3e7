/** Streams of clients enter aedes, which speaks the protocol; who may do what, and what must wait for the disk, is decided here. */

import type { Aedes, AedesOptions, AuthenticateError, Client, PublishPacket, Subscription } from 'aedes';
import type { IngestLimits } from '../config/schema.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { AcceptOutcome, Acceptor } from './accept.ts';
import type { AccessControl, AccessRights } from './access-control.ts';
import type { Acknowledger } from './acknowledger.ts';
import type { BrokerStream } from './broker-stream.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { Complaints } from './complaints.ts';
import { reportDenied } from './denied.ts';
import type { FanOut } from './fan-out.ts';
import type { FrontDoorConnection } from './front-door-connection.ts';
import type { IngestCounters } from './ingest-counters.ts';
import { boundOfflineQueues, type OfflineStore } from './offline-queues.ts';
import { forgoPacketNumberCache } from './packet-number-cache.ts';
import { boundReceipts, type ReceiptStore } from './receipts.ts';

/** A wrong password costs its sender this long, so that guessing is slow. */
const REFUSAL_DELAY_MS = 500;
const BAD_USERNAME_OR_PASSWORD = 4;
const NOT_AUTHORIZED = 5;
/** aedes' own patience with a client that does not take its retained messages; the door ends stalled ones earlier. */
const DRAIN_TIMEOUT_MS = 60_000;

export interface BrokerContext {
  readonly limits: IngestLimits;
  readonly unknownTopics: 'dead_letter' | 'count';
  readonly access: AccessControl;
  readonly acceptor: Acceptor;
  readonly acknowledger: Acknowledger;
  readonly counters: IngestCounters;
  readonly complaints: Complaints;
  readonly fanOut: FanOut;
  readonly logger: Logger;
  /** Position of the ring after the last record. */
  position(): number;
  now(): number;
}

type Done = (error?: Error | null) => void;

/** aedes with the gateway's rules. */
export class Broker {
  readonly #context: BrokerContext;
  readonly #connections = new WeakMap<object, FrontDoorConnection>();
  /** A will may outlive its connection. */
  readonly #rights = new WeakMap<Client, AccessRights>();
  /** QoS 2 messages the ring had no room for; each holds back its own client. */
  #roomWanted: (() => boolean)[] = [];
  #aedes: Aedes | null = null;
  #queued: ByteBudget | null = null;

  constructor(context: BrokerContext) {
    this.#context = context;
  }

  async start(): Promise<void> {
    const { Aedes } = await import('aedes');
    const { limits, fanOut, logger } = this.#context;
    const options: AedesOptions = {
      connectTimeout: limits.connectTimeoutMs,
      drainTimeout: DRAIN_TIMEOUT_MS,
      maxTopicLevels: limits.maxTopicLevels,
      // Counted over the whole session in `boundReceipts`.
      maxInflightInbound: 0,
      authenticate: (client, username, password, done) =>
        this.#authenticate(client, username, password, done),
      authorizePublish: (client, packet, done) => this.#authorizePublish(client, packet, done),
      authorizeSubscribe: (client, subscription, done) => done(null, this.#granted(client, subscription)),
      authorizeForward: (client, packet) => (this.#isTaking(client, packet.retain) ? packet : null),
    };
    await forgoPacketNumberCache();
    const aedes = await Aedes.createBroker(options);
    const broken = (_client: Client, error: Error) =>
      logger.debug({ error: error.message }, 'MQTT client error');
    aedes.on('clientError', broken);
    aedes.on('connectionError', broken);
    aedes.on('connackSent', (connack, client) => {
      if (connack.returnCode === 0) this.#connections.get(client.conn)?.accepted();
    });
    const { persistence } = aedes as unknown as { persistence: OfflineStore & ReceiptStore };
    this.#queued = boundOfflineQueues(persistence, limits, () => {
      this.#context.counters.fanOutDropped += 1;
    });
    boundReceipts(persistence, limits, () => {
      this.#context.counters.refused.qos2_inflight += 1;
    });
    fanOut.follow(aedes);
    this.#aedes = aedes;
  }

  open(stream: BrokerStream, connection: FrontDoorConnection): void {
    this.#connections.set(stream, connection);
    this.#aedes!.handle(stream);
  }

  /** Memory of messages for subscribers that are away. */
  get queuedBytes(): number {
    return this.#queued?.usedBytes ?? 0;
  }

  /** A commit made room in the ring. */
  committed(): void {
    if (this.#roomWanted.length === 0) return;
    const waiting = this.#roomWanted;
    this.#roomWanted = [];
    this.#roomWanted = waiting.filter((retry) => !retry()).concat(this.#roomWanted);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#aedes === null) resolve();
      else this.#aedes.close(() => resolve());
    });
  }

  #authenticate(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
    done: (error: AuthenticateError | null, success: boolean | null) => void,
  ): void {
    const connection = this.#connections.get(client.conn);
    const rights = this.#context.access.authenticate(username, password);
    if (connection !== undefined && rights !== null) {
      this.#rights.set(client, rights);
      connection.authenticated(rights);
      done(null, true);
      return;
    }
    this.#context.counters.refused.credentials += 1;
    this.#context.complaints.warn('credentials', performance.now(), 'MQTT client turned away', () => ({
      address: connection?.address ?? '',
      username: username ?? '(none)',
    }));
    const returnCode = username === undefined ? NOT_AUTHORIZED : BAD_USERNAME_OR_PASSWORD;
    const error = Object.assign(new Error('not authorized'), { returnCode }) as AuthenticateError;
    setTimeout(() => done(error, false), REFUSAL_DELAY_MS).unref();
  }

  /** Asked for QoS 2, wills, and topics that are not ours. An error ends the client without acknowledgement. */
  #authorizePublish(client: Client | null, packet: PublishPacket, done: Done): void {
    const { acceptor, counters, complaints, fanOut } = this.#context;
    const { topic } = packet;
    const rights = client === null ? undefined : this.#rights.get(client);
    if (rights === undefined || !rights.mayPublish(topic)) {
      reportDenied(this.#context, topic, rights?.username ?? '');
      done(new Error('not authorized'));
      return;
    }
    if (packet.retain && !fanOut.retained.admit(topic, packet.payload.length)) packet.retain = false;
    const route = acceptor.router.route(topic);
    if (route !== null) {
      const payload = Buffer.from(packet.payload);
      this.#accept((nowMs) => acceptor.accept(route, payload, 0, payload.length, packet.qos, nowMs), done);
      return;
    }
    counters.unrouted += 1;
    if (this.#context.unknownTopics === 'dead_letter' && !fanOut.isSubscribed(topic) && !packet.retain) {
      this.#keepUnknown(packet, done);
      return;
    }
    complaints.warn('unrouted', performance.now(), 'message on a topic no machine class takes', () => ({
      topic,
    }));
    this.#inTurn(client!, packet, done);
  }

  /** Nobody takes it: most likely a mistyped topic, which a person can see only if the message is kept. */
  #keepUnknown({ topic, payload, qos }: PublishPacket, done: Done): void {
    const bytes = Buffer.from(payload);
    const cause = {
      reason: 'unknown_topic',
      detail: 'no machine class takes this topic',
      source: topic,
    } as const;
    this.#accept((nowMs) => this.#context.acceptor.keep(cause, bytes, 0, bytes.length, qos, nowMs), done);
  }

  #accept(offer: (nowMs: number) => AcceptOutcome, done: Done): void {
    const { acknowledger, now, position } = this.#context;
    const attempt = (): boolean => {
      const outcome = offer(now());
      if (outcome === 'no_room') return false;
      if (outcome === 'accepted') acknowledger.whenCommitted(position(), () => done(null));
      else done(null);
      return true;
    };
    if (!attempt()) this.#roomWanted.push(attempt);
  }

  /** aedes acknowledges this one itself, but not before what the client sent earlier. [MQTT-4.6.0-2] */
  #inTurn(client: Client, packet: PublishPacket, done: Done): void {
    const lane = this.#connections.get(client.conn)?.lane;
    if (packet.qos === 0 || lane === undefined) done(null);
    else this.#context.acknowledger.whenCommitted(lane.lastPosition, () => done(null));
  }

  /** The subscription, or null for a SUBACK that refuses it. */
  #granted(client: Client, subscription: Subscription): Subscription | null {
    const { limits, fanOut, counters } = this.#context;
    const { topic } = subscription;
    const isGranted =
      this.#rights.get(client)?.maySubscribe(topic) === true &&
      topic.length <= limits.maxTopicBytes &&
      fanOut.admit(client.id, topic);
    if (isGranted) return subscription;
    counters.subscriptionsRefused += 1;
    return null;
  }

  /** False: the subscriber reads too slowly and misses this message, so that nobody waits for it. */
  #isTaking(client: Client, isRetained: boolean): boolean {
    const isTaking = isRetained || this.#connections.get(client.conn)?.takesMessages !== false;
    if (!isTaking) this.#context.counters.fanOutDropped += 1;
    return isTaking;
  }
}
