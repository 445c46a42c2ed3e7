/** What a client has not read yet: how much more may be written for it, and whether it still reads at all. */

import type { Socket } from 'node:net';

/** Unsent bytes at which a client counts as not reading. */
const MAX_UNSENT_BYTES = 65_536;
/** Unsent bytes at which a client that subscribes misses messages, so that others never wait for it. */
const MAX_SUBSCRIBER_BYTES = 262_144;

/** One per connection. A client that reads slowly misses messages; one that reads nothing for a while is stalled. */
export class UnsentWatch {
  readonly #socket: Socket;
  #flushedBytes = 0;
  /** When bytes were last seen to leave while others waited; 0 while nothing waits. */
  #movedMs = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** True: nothing more should be read from the client, whose acknowledgements it does not take. */
  get isFull(): boolean {
    return this.#socket.writableLength > MAX_UNSENT_BYTES;
  }

  /** False: a message for it as a subscriber is left out. */
  get takesMessages(): boolean {
    return this.#socket.writableLength < MAX_SUBSCRIBER_BYTES;
  }

  /** True once nothing has left for `timeoutMs` although more than 64 KiB wait. Call regularly. */
  isStalled(nowMs: number, timeoutMs: number): boolean {
    const flushedBytes = this.#socket.bytesWritten - this.#socket.writableLength;
    if (!this.isFull) this.#movedMs = 0;
    else if (this.#movedMs === 0 || flushedBytes > this.#flushedBytes) this.#movedMs = nowMs;
    this.#flushedBytes = flushedBytes;
    return this.#movedMs > 0 && nowMs - this.#movedMs > timeoutMs;
  }
}
