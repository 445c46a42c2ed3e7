/** Clients that misbehave over real sockets. Bytes by hand: a library would not send them. */

import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectPacket, encode, publishPacket } from './raw-mqtt.ts';

/** A socket that counts what comes back and takes part in nothing else. */
export class HostileSocket {
  readonly socket: Socket;
  received = 0;
  sent = 0;
  closed = false;
  /** When the kernel had the connection. */
  openedMs = Number.NaN;
  closedMs = Number.NaN;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => {
      this.received += chunk.length;
    });
    this.socket.on('error', () => undefined);
    this.socket.on('connect', () => {
      this.openedMs = performance.now();
    });
    this.socket.on('close', () => {
      this.closed = true;
      this.closedMs = performance.now();
    });
  }

  /** Resolves when the kernel has taken the bytes, or the connection is gone. */
  async send(bytes: Buffer): Promise<void> {
    if (this.closed || this.socket.destroyed) return;
    this.sent += bytes.length;
    if (this.socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        this.socket.off('drain', done).off('close', done);
        resolve();
      };
      this.socket.on('drain', done).on('close', done);
    });
  }

  async answered(bytes: number, withinMs = 5_000): Promise<void> {
    for (const until = performance.now() + withinMs; this.received < bytes && !this.closed; ) {
      if (performance.now() > until) throw new Error(`no answer within ${withinMs} ms`);
      await sleep(5);
    }
  }

  close(): void {
    this.socket.destroy();
  }
}

/** A client beyond CONNACK. */
export async function hostileClient(
  port: number,
  options: Parameters<typeof connectPacket>[0] = {},
): Promise<HostileSocket> {
  const client = new HostileSocket(port);
  await client.send(connectPacket(options));
  await client.answered(4);
  return client;
}

/** A fixed header that announces `remaining` bytes. */
export function fixedHeader(typeByte: number, remaining: number): Buffer {
  const bytes = [typeByte];
  let left = remaining;
  do {
    bytes.push((left % 128) | (left > 127 ? 0x80 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return Buffer.from(bytes);
}

/** The beginning of a CONNECT that announces `remaining` bytes in all: its user name would be the rest. */
export function hugeConnectHead(remaining: number): Buffer {
  const variable = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0xc2, 0, 60, 0, 1, 0x78]);
  return Buffer.concat([fixedHeader(0x10, remaining), variable]);
}

export function subscribePacket(filters: readonly string[], messageId = 1): Buffer {
  return encode({
    cmd: 'subscribe',
    messageId,
    subscriptions: filters.map((topic) => ({ topic, qos: 0 as const })),
  });
}

const BAD_PAYLOADS = ['{"t":', '{"t":1,"v":"x"}', '[1,2', 'NaN', '{"t":1e400,"v":1}', '\u0000\ufffd', ''];

/**
 * Up to `perSecond` unusable QoS 1 messages for `ms`, as fast as the other side reads them.
 * @returns how many left for it and how many it acknowledged
 */
export async function malformedFlood(
  port: number,
  topic: string,
  perSecond: number,
  ms: number,
): Promise<{ sent: number; acknowledged: number }> {
  const client = await hostileClient(port);
  const before = client.received;
  const began = performance.now();
  let sent = 0;
  while (performance.now() - began < ms) {
    const due = Math.min(perSecond / 5, Math.floor(((performance.now() - began) / 1000) * perSecond) - sent);
    const batch: Buffer[] = [];
    for (let i = 0; i < due; i += 1) {
      batch.push(publishPacket(topic, BAD_PAYLOADS[sent % BAD_PAYLOADS.length]!, (sent % 65_535) + 1));
      sent += 1;
    }
    if (batch.length > 0) await Promise.race([client.send(Buffer.concat(batch)), sleep(ms)]);
    await sleep(10);
  }
  client.close();
  return { sent, acknowledged: (client.received - before) / 4 };
}

/** Sends up to `bytes` of a CONNECT that announces as many, until the other side ends it. @returns bytes it took */
export async function hugeConnect(port: number, bytes: number, withinMs: number): Promise<HostileSocket> {
  const client = new HostileSocket(port);
  await client.send(hugeConnectHead(bytes));
  const chunk = Buffer.alloc(1_048_576, 0x61);
  const until = performance.now() + withinMs;
  while (!client.closed && client.sent < bytes && performance.now() < until) {
    await Promise.race([client.send(chunk), sleep(Math.max(1, until - performance.now()))]);
  }
  return client;
}
