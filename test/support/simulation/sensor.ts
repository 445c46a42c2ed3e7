/**
 * A client with a few channels: measures, and keeps what it sends until it is acknowledged. After a lost connection it
 * sends everything unacknowledged again, in order. Every value is a power of two that is unique within its window, so
 * that the sum of a window tells which samples it holds.
 */

import type { ChannelPlan, ClientPlan } from './plan.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

export interface Sample {
  readonly channel: ChannelPlan;
  /** Counts the channel's periods; also its sequence number. */
  readonly n: number;
  readonly timeMs: number;
  readonly value: number;
}

export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
  /** Null where the payload is none. */
  readonly sample: Sample | null;
  acknowledged: boolean;
}

/** The gateway's end of a connection. */
export interface Connection {
  receive(message: Message, packetId: number): void;
  close(): void;
}

/** Samples of one channel in a window have different values as long as there are not more. */
export const VALUES = 24;
const RECONNECT_MS = [20, 3_000] as const;

export class Sensor {
  readonly plan: ClientPlan;
  /** Everything measured, whether it was sent or not. */
  readonly samples: Sample[] = [];
  readonly messages: Message[] = [];
  silentUntilMs = 0;
  readonly #world: World;
  readonly #random: Random;
  readonly #connect: (sensor: Sensor) => Connection | null;
  #waiting: { message: Message; packetId: number }[] = [];
  #sent = 0;
  #connection: Connection | null = null;
  #arrivalMs = 0;
  #nextPacketId = 1;
  #stopped = false;
  #heldBack = 0;

  constructor(
    world: World,
    random: Random,
    plan: ClientPlan,
    connect: (sensor: Sensor) => Connection | null,
  ) {
    this.#world = world;
    this.#random = random;
    this.plan = plan;
    this.#connect = connect;
  }

  start(): void {
    for (const channel of this.plan.channels) this.#measure(channel, 0);
    this.#tryToConnect();
  }

  /** Measures nothing more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Nothing is left to send. */
  get isDone(): boolean {
    return this.#stopped && this.#waiting.length === 0 && this.#heldBack === 0;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** The connection is gone; the next attempt comes after `forMs`, or whenever the sensor likes. */
  disconnected(forMs = this.#random.int(...RECONNECT_MS)): void {
    if (this.#connection === null) return;
    this.#connection.close();
    this.#connection = null;
    this.#sent = 0;
    this.#world.after(forMs, () => this.#tryToConnect());
  }

  acknowledged(connection: Connection, packetId: number): void {
    if (connection !== this.#connection) return;
    const at = this.#waiting.findIndex((waiting) => waiting.packetId === packetId);
    if (at < 0 || at >= this.#sent) return;
    this.#waiting[at]!.message.acknowledged = true;
    this.#waiting.splice(at, 1);
    this.#sent -= 1;
    this.#send();
  }

  #tryToConnect(): void {
    this.#connection = this.#connect(this);
    if (this.#connection === null) {
      this.#world.after(this.#random.int(...RECONNECT_MS), () => this.#tryToConnect());
      return;
    }
    this.#sent = 0;
    this.#send();
  }

  #measure(channel: ChannelPlan, n: number): void {
    if (this.#stopped) return;
    this.#world.after(channel.periodMs, () => this.#measure(channel, n + 1));
    if (this.#world.nowMs < this.silentUntilMs) return;
    const { plan } = this;
    if (this.#random.chance(plan.gapChance)) return;
    // Times lie on the channel's grid, whenever the sensor wakes up.
    const timeMs = this.#world.epochMs + plan.clockErrorMs + n * channel.periodMs;
    const value = 2 ** (n % VALUES);
    const sample: Sample = { channel, n, timeMs, value };
    this.samples.push(sample);
    const payload = Buffer.from(JSON.stringify({ t: timeMs, v: value, s: n }));
    const message: Message = { topic: channel.topic, payload, sample, acknowledged: false };
    this.#queue(message);
    if (this.#random.chance(plan.repeatChance)) this.#queue({ ...message });
    if (this.#random.chance(plan.malformedChance)) {
      const broken = Buffer.from(`{"t":${timeMs},"v":"broken ${channel.topic} ${n}`);
      this.#queue({ topic: channel.topic, payload: broken, sample: null, acknowledged: false });
    }
  }

  #queue(message: Message): void {
    this.messages.push(message);
    const { disorderMs, lateChance } = this.plan;
    const isLate = this.#random.chance(lateChance);
    if (!isLate && disorderMs === 0) {
      this.#enqueue(message);
      return;
    }
    this.#heldBack += 1;
    const delayMs = isLate ? this.#random.int(500, 20_000) : this.#random.int(0, disorderMs);
    this.#world.after(delayMs, () => {
      this.#heldBack -= 1;
      this.#enqueue(message);
    });
  }

  #enqueue(message: Message): void {
    this.#waiting.push({ message, packetId: this.#nextPacketId });
    this.#nextPacketId = (this.#nextPacketId % 65_535) + 1;
    this.#send();
  }

  #send(): void {
    const connection = this.#connection;
    if (connection === null) return;
    while (this.#sent < this.#waiting.length && this.#sent < this.plan.maxInFlight) {
      const { message, packetId } = this.#waiting[this.#sent]!;
      if (this.plan.qos === 0) this.#waiting.splice(this.#sent, 1);
      else this.#sent += 1;
      this.#arrivalMs = Math.max(this.#arrivalMs, this.#world.nowMs + this.#random.int(0, 15));
      this.#world.after(this.#arrivalMs - this.#world.nowMs, () => {
        if (connection === this.#connection) connection.receive(message, packetId);
      });
    }
  }
}
