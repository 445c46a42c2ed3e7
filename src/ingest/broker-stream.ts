/** One connection as aedes sees it: the packets that are not for the fast lane enter, aedes' own packets leave. */

import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/** Bytes aedes may leave unread before the connection is held back. */
const READABLE_BYTES = 65_536;
/**
 * Unsent bytes at which aedes waits before it writes more. Live messages stop earlier (`UnsentWatch.takesMessages`) and
 * so never wait, because one that waits would delay every other subscriber; retained ones, of which there may be many
 * at once, do.
 */
const MAX_UNSENT_BYTES = 2_097_152;

type WriteCallback = (error?: Error | null) => void;

/**
 * Writes go to the socket whole packets at a time: aedes corks the stream while it serializes one, and what was
 * corked arrives here in one `_writev`; so acknowledgements of the fast lane, written to the socket directly, never
 * land inside a packet.
 */
export class BrokerStream extends Duplex {
  readonly #socket: Socket;
  readonly #onWanted: () => void;
  #waiting: WriteCallback | null = null;

  /** @param onWanted aedes reads again after `deliver` said false */
  constructor(socket: Socket, onWanted: () => void) {
    super({ readableHighWaterMark: READABLE_BYTES, decodeStrings: true });
    this.#socket = socket;
    this.#onWanted = onWanted;
    // aedes listens, but takes its listeners away while it closes a client.
    this.on('error', () => undefined);
    socket.on('drain', () => this.#drained());
  }

  /** Hands a packet to aedes; the bytes are copied. False: hold the connection back until it is read. */
  deliver(packet: Buffer): boolean {
    return this.push(Buffer.from(packet));
  }

  override _read(): void {
    this.#onWanted();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#send(chunk, callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: WriteCallback): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback);
  }

  override _final(callback: WriteCallback): void {
    this.#socket.end();
    callback();
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#drained();
    callback(error);
  }

  /** The callback waits while the socket is full, so that aedes notices a client that does not read. */
  #send(bytes: Buffer, callback: WriteCallback): void {
    if (this.#socket.writableEnded || this.#socket.destroyed) callback();
    else if (this.#socket.write(bytes) || this.#socket.writableLength < MAX_UNSENT_BYTES) callback();
    else this.#waiting = callback;
  }

  #drained(): void {
    const callback = this.#waiting;
    this.#waiting = null;
    callback?.();
  }
}
