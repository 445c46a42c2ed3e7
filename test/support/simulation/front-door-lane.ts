/** One connection at the front door, without its socket: the real lane behind it, and a witness of every acknowledgement. */

import type { IngestLimits } from '../../../src/config/schema.ts';
import type { IngestCore } from '../../../src/ingest/ingest-core.ts';
import { publishFields } from '../../../src/ingest/mqtt-packets.ts';
import { PublishLane } from '../../../src/ingest/publish-lane.ts';
import type { TopicRouter } from '../../../src/ingest/topic-router.ts';
import type { Site } from './gateway.ts';
import type { Connection, Message, Sensor } from './sensor.ts';
import type { Thread } from './world.ts';

export interface LaneSite extends Site {
  readonly core: IngestCore;
  readonly router: TopicRouter;
  readonly sensor: Sensor;
  readonly limits: IngestLimits;
  readonly thread: Thread;
  /** The gateway's time of day. */
  wallMs(): number;
  /** A sample went into the ring. */
  accepted(topic: string, n: number): void;
  /** Position up to which everything is in a flushed transaction, or counted. */
  flushedPosition(): number;
}

const PUBACK_BYTES = 4;

export class FrontDoorLane implements Connection {
  onReceived: () => void = () => undefined;
  readonly #site: LaneSite;
  readonly #lane: PublishLane;
  /** Read from the socket and not yet taken. */
  #unread: { message: Message; packetId: number }[] = [];
  /** Taken, in the order in which they have to be acknowledged. */
  readonly #expected: { packetId: number; position: number }[] = [];
  #isHeld = false;
  #isStopping = false;
  #isClosed = false;
  #arrivalMs = 0;

  constructor(site: LaneSite) {
    this.#site = site;
    this.#lane = new PublishLane(site.core, (acks) => this.#acknowledged(acks));
  }

  receive(message: Message, packetId: number): void {
    if (this.#site.thread.dead || this.#isClosed) return;
    this.#unread.push({ message, packetId });
    if (!this.#isHeld) this.#take();
  }

  close(): void {
    this.#isClosed = true;
    if (!this.#site.thread.dead) this.#lane.close();
  }

  /** A commit made room. */
  committed(): void {
    if (!this.#isHeld || this.#isClosed) return;
    this.#isHeld = false;
    this.#take();
  }

  /** Reads nothing more. */
  holdBack(): void {
    this.#isStopping = true;
  }

  #take(): void {
    const { world, limits } = this.#site;
    while (this.#unread.length > 0 && !this.#isStopping) {
      if (this.#lane.pending >= limits.maxUnackedPerConnection || !this.#takeOne()) {
        this.#isHeld = true;
        // The sweep of the door looks again once a second, should no commit come.
        world.after(1_000, () => this.committed());
        break;
      }
    }
    this.#lane.flush(world.nowMs);
    this.onReceived();
  }

  #takeOne(): boolean {
    const { world, router, sensor, core } = this.#site;
    const { message, packetId } = this.#unread[0]!;
    const fields = publishFields();
    fields.qos = sensor.plan.qos;
    fields.packetId = packetId;
    fields.payloadTo = message.payload.length;
    const letters = core.counters.deadLettered;
    const outcome = this.#lane.take(
      router.route(message.topic)!,
      message.payload,
      fields,
      world.nowMs,
      this.#site.wallMs(),
    );
    if (outcome === 'no_room') return false;
    this.#unread.shift();
    if (outcome !== 'accepted') return true;
    if (fields.qos === 1) this.#expected.push({ packetId, position: core.position() });
    const isLetter = core.counters.deadLettered > letters;
    if (message.sample !== null && !isLetter) this.#site.accepted(message.topic, message.sample.n);
    return true;
  }

  #acknowledged(acks: Buffer): void {
    const { world, referee, random, sensor } = this.#site;
    this.#arrivalMs = Math.max(this.#arrivalMs, world.nowMs + random.int(0, 15));
    for (let at = 0; at < acks.length; at += PUBACK_BYTES) {
      const packetId = acks.readUInt16BE(at + 2);
      const next = this.#expected.shift();
      if (next?.packetId !== packetId)
        referee.object(
          'I3',
          `${sensor.plan.name}: packet ${packetId} acknowledged, expected ${next?.packetId}`,
        );
      else if (next.position > this.#site.flushedPosition())
        referee.object('I5', `${sensor.plan.name}: packet ${packetId} acknowledged before its commit`);
      world.after(this.#arrivalMs - world.nowMs, () => sensor.acknowledged(this, packetId));
    }
  }
}
