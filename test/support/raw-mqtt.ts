/** MQTT 3.1.1 packets by hand over a plain socket, for tests that need to see each byte. */

import { connect, type Socket } from 'node:net';
import mqttPacket, { type Packet } from 'mqtt-packet';

/** One packet as bytes. */
export function encode(packet: Packet): Buffer {
  return mqttPacket.generate(packet);
}

export function connectPacket(options: Partial<Parameters<typeof mqttPacket.generate>[0]> = {}): Buffer {
  return encode({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    clientId: `raw-${Math.random().toString(36).slice(2)}`,
    keepalive: 0,
    ...options,
  } as Packet);
}

export function publishPacket(
  topic: string,
  payload: string | Buffer,
  messageId: number,
  retain = false,
): Buffer {
  const qos = messageId === 0 ? 0 : 1;
  return encode({ cmd: 'publish', topic, payload, qos, retain, dup: false, messageId });
}

/** A client that collects what the broker sends. */
export class RawClient {
  readonly socket: Socket;
  readonly packets: Packet[] = [];
  bytes = Buffer.alloc(0);
  closed = false;
  #wake: (() => void)[] = [];

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const parser = mqttPacket.parser({ protocolVersion: 4 });
    parser.on('packet', (packet) => this.packets.push(packet));
    parser.on('error', () => undefined);
    this.socket.on('data', (chunk) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      parser.parse(chunk);
      this.#notify();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
      this.#notify();
    });
  }

  static async connected(
    port: number,
    options: Parameters<typeof connectPacket>[0] = {},
  ): Promise<RawClient> {
    const client = new RawClient(port);
    client.send(connectPacket(options));
    await client.until(() => client.packets.length > 0);
    return client;
  }

  send(...buffers: Buffer[]): void {
    this.socket.write(Buffer.concat(buffers));
  }

  /** Packet ids acknowledged so far. */
  get acked(): number[] {
    return this.packets.filter(({ cmd }) => cmd === 'puback').map(({ messageId }) => messageId!);
  }

  async until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!condition()) {
      const left = deadline - performance.now();
      if (left <= 0)
        throw new Error(`not within ${timeoutMs} ms; got ${this.packets.map(({ cmd }) => cmd).join(' ')}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 20));
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  close(): void {
    this.socket.destroy();
  }

  #notify(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}
