/**
 * An independent QoS 1 publisher with an oracle: it knows every message it sent and which were acknowledged.
 *
 * It speaks MQTT through mqtt-packet over a plain socket, keeps a bounded number in flight, and after every lost
 * connection resends what was not acknowledged, in order and with the DUP flag, as the standard asks
 * [MQTT-4.4.0-1]. It shares no code with the gateway.
 */

import { connect, type Socket } from 'node:net';
import { generate, type Packet, parser } from 'mqtt-packet';

export interface SequenceMessage {
  readonly topic: string;
  readonly payload: string;
}

export interface SequencePublisherOptions {
  readonly port: number;
  readonly clientId: string;
  readonly inFlight: number;
  /** Pause between new messages; 0 sends as fast as the in-flight allowance lets. */
  readonly intervalMs: number;
  /** True: one message per interval at most; otherwise an acknowledgement asks for the next one, too. */
  readonly paced?: boolean;
  /** The n-th message (0, 1, 2, ...), or null when there are no more. */
  next(n: number): SequenceMessage | null;
}

export class SequencePublisher {
  readonly #options: SequencePublisherOptions;
  /** From the making of a message to its acknowledgement, in order of acknowledgement. */
  readonly latenciesMs: number[] = [];
  /** Unacknowledged messages by packet id, in sending order. */
  readonly #pending = new Map<number, { message: SequenceMessage; sent: boolean; madeMs: number }>();
  #socket: Socket | null = null;
  #connected = false;
  #count = 0;
  #acknowledged = 0;
  #packetId = 0;
  #exhausted = false;
  #stopped = false;
  #timer: NodeJS.Timeout | null = null;
  #onDone: (() => void) | null = null;

  constructor(options: SequencePublisherOptions) {
    this.#options = options;
  }

  get sent(): number {
    return this.#count;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  start(): void {
    this.#connect();
    this.#timer = setInterval(() => this.#pump(), Math.max(1, this.#options.intervalMs));
  }

  /** Stops making new messages and resolves when every message made so far is acknowledged. */
  async finish(withinMs = 60_000): Promise<void> {
    this.#exhausted = true;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(new Error(`${this.#options.clientId}: ${this.#pending.size} messages never acknowledged`)),
        withinMs,
      );
      this.#onDone = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#checkDone();
    });
    this.abandon();
  }

  /** Loses the connection, as a flapping network does; it connects again by itself. */
  dropConnection(): void {
    this.#socket?.resetAndDestroy();
  }

  /** Drops the connection for good. */
  abandon(): void {
    this.#stopped = true;
    if (this.#timer) clearInterval(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    if (this.#stopped) return;
    const socket = connect(this.#options.port, '127.0.0.1');
    socket.setNoDelay(true);
    this.#socket = socket;
    this.#connected = false;
    const packets = parser();
    packets.on('packet', (packet: Packet) => this.#receive(packet));
    socket.on('data', (chunk) => packets.parse(chunk));
    socket.on('connect', () => {
      socket.write(
        generate({
          cmd: 'connect',
          protocolId: 'MQTT',
          protocolVersion: 4,
          clean: true,
          clientId: this.#options.clientId,
          keepalive: 30,
        }),
      );
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#connected = false;
      if (!this.#stopped) setTimeout(() => this.#connect(), 20 + Math.floor(Math.random() * 60));
    });
  }

  #receive(packet: Packet): void {
    if (packet.cmd === 'connack' && packet.returnCode === 0) {
      this.#connected = true;
      for (const [id, entry] of this.#pending) this.#send(id, entry);
    } else if (packet.cmd === 'puback' && packet.messageId !== undefined) {
      const entry = this.#pending.get(packet.messageId);
      if (entry !== undefined) {
        this.#pending.delete(packet.messageId);
        this.#acknowledged += 1;
        this.latenciesMs.push(performance.now() - entry.madeMs);
      }
      if (this.#options.paced !== true) this.#pump();
      this.#checkDone();
    }
  }

  #pump(): void {
    while (this.#connected && !this.#exhausted && this.#pending.size < this.#options.inFlight) {
      const message = this.#options.next(this.#count);
      if (message === null) {
        this.#exhausted = true;
        this.#checkDone();
        return;
      }
      this.#count += 1;
      do this.#packetId = (this.#packetId % 65535) + 1;
      while (this.#pending.has(this.#packetId));
      const entry = { message, sent: false, madeMs: performance.now() };
      this.#pending.set(this.#packetId, entry);
      this.#send(this.#packetId, entry);
      if (this.#options.intervalMs > 0) return;
    }
  }

  #send(messageId: number, entry: { message: SequenceMessage; sent: boolean }): void {
    const { topic, payload } = entry.message;
    this.#socket?.write(
      generate({ cmd: 'publish', topic, payload, qos: 1, dup: entry.sent, retain: false, messageId }),
    );
    entry.sent = true;
  }

  #checkDone(): void {
    if (this.#exhausted && this.#pending.size === 0) this.#onDone?.();
  }
}
