/**
 * A TCP byte stream enters in chunks of any size, whole MQTT packets leave as ranges of a buffer.
 *
 * Packets that lie inside one chunk are handed out in place; only what a chunk boundary cuts in two is copied.
 * Memory is bounded by one packet of `maxPacketBytes` plus one chunk.
 */

/** Fixed header (MQTT 3.1.1 §2.2): a type byte and one to four bytes of remaining length. */
const MAX_HEADER_BYTES = 5;
const INITIAL_HELD_BYTES = 512;
/** A held buffer larger than this is given back once it is empty. */
const KEPT_HELD_BYTES = 16_384;

/**
 * Takes one packet: `buffer[at]` is its type byte, `buffer[bodyAt]` the first byte after the fixed header,
 * `buffer[end]` the byte after it. Valid during the call. False leaves the packet where it is and stops framing
 * until `resume`.
 */
export type PacketHandler = (buffer: Buffer, at: number, bodyAt: number, end: number) => boolean;

/** `oversize` and `malformed` are final: the stream can't be framed any further. */
export type FramerState = 'open' | 'stopped' | 'oversize' | 'malformed';

/** One per connection. */
export class PacketFramer {
  /** Largest packet in all, fixed header included; may change between packets. */
  maxPacketBytes: number;
  readonly #onPacket: PacketHandler;
  #state: FramerState = 'open';
  #oversizeBytes = 0;
  #held: Buffer = Buffer.alloc(0);
  #heldFrom = 0;
  #heldTo = 0;

  constructor(maxPacketBytes: number, onPacket: PacketHandler) {
    this.maxPacketBytes = maxPacketBytes;
    this.#onPacket = onPacket;
  }

  get state(): FramerState {
    return this.#state;
  }

  /** Bytes kept back: the beginning of a packet, and everything that arrived while stopped. */
  get heldBytes(): number {
    return this.#heldTo - this.#heldFrom;
  }

  /** Announced length of the packet that was too large, in all; 0 while there was none. */
  get oversizeBytes(): number {
    return this.#oversizeBytes;
  }

  /** Frames what the chunk completes. The chunk is not referenced afterwards. */
  push(chunk: Buffer): FramerState {
    if (this.#broken) return this.#state;
    let at = 0;
    // Outside 'stopped' the held bytes are the beginning of exactly one packet.
    if (this.#state === 'open' && this.heldBytes > 0) at = this.#completeHeld(chunk);
    if (this.#state === 'open' && this.heldBytes === 0) at = this.#frame(chunk, at, chunk.length);
    if (!this.#broken) this.#hold(chunk, at, chunk.length);
    return this.#state;
  }

  get #broken(): boolean {
    return this.#state === 'oversize' || this.#state === 'malformed';
  }

  /** Goes on after a stop with the packet that was refused. */
  resume(): FramerState {
    if (this.#state !== 'stopped') return this.#state;
    this.#state = 'open';
    this.#heldFrom = this.#frame(this.#held, this.#heldFrom, this.#heldTo);
    this.#releaseHeld();
    return this.#state;
  }

  /** Adds from `chunk` what the held packet lacks and hands it out; returns how many bytes of the chunk it took. */
  #completeHeld(chunk: Buffer): number {
    let at = 0;
    for (;;) {
      const end = packetEnd(this.#held, this.#heldFrom, this.#heldTo);
      if (end === MALFORMED || end - this.#heldFrom > this.maxPacketBytes) {
        this.#break(end, this.#heldFrom);
        return at;
      }
      if (end !== INCOMPLETE && end <= this.#heldTo) {
        this.#heldFrom = this.#frame(this.#held, this.#heldFrom, this.#heldTo);
        this.#releaseHeld();
        return at;
      }
      if (at === chunk.length) return at;
      const take = end === INCOMPLETE ? 1 : Math.min(end - this.#heldTo, chunk.length - at);
      this.#hold(chunk, at, at + take);
      at += take;
    }
  }

  /** Hands out whole packets of [at, to); returns where the first one that was not handed out begins. */
  #frame(buffer: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to) {
      const end = packetEnd(buffer, at, to);
      if (end === INCOMPLETE) return at;
      if (end === MALFORMED || end - at > this.maxPacketBytes) {
        this.#break(end, at);
        return at;
      }
      if (end > to) return at;
      if (!this.#onPacket(buffer, at, bodyStart(buffer, at), end)) {
        this.#state = 'stopped';
        return at;
      }
      at = end;
    }
    return at;
  }

  #break(end: number, at: number): void {
    this.#state = end === MALFORMED ? 'malformed' : 'oversize';
    if (this.#state === 'oversize') this.#oversizeBytes = end - at;
  }

  #hold(chunk: Buffer, from: number, to: number): void {
    const bytes = to - from;
    if (bytes === 0) return;
    if (this.#heldTo + bytes > this.#held.length) this.#makeRoom(bytes);
    chunk.copy(this.#held, this.#heldTo, from, to);
    this.#heldTo += bytes;
  }

  #makeRoom(bytes: number): void {
    const used = this.heldBytes;
    let size = Math.max(INITIAL_HELD_BYTES, this.#held.length);
    while (size < used + bytes) size *= 2;
    const roomier = size > this.#held.length ? Buffer.allocUnsafeSlow(size) : this.#held;
    this.#held.copy(roomier, 0, this.#heldFrom, this.#heldTo);
    this.#held = roomier;
    this.#heldFrom = 0;
    this.#heldTo = used;
  }

  #releaseHeld(): void {
    if (this.#heldFrom < this.#heldTo) return;
    this.#heldFrom = 0;
    this.#heldTo = 0;
    if (this.#held.length > KEPT_HELD_BYTES) this.#held = Buffer.alloc(0);
  }
}

const INCOMPLETE = -1;
const MALFORMED = -2;

/** Byte after the packet that begins at `at`, which may lie beyond `to`; INCOMPLETE while its length is not known. */
function packetEnd(buffer: Buffer, at: number, to: number): number {
  let length = 0;
  let unit = 1;
  for (let i = at + 1; i < at + MAX_HEADER_BYTES; i++) {
    if (i >= to) return INCOMPLETE;
    const byte = buffer[i]!;
    length += (byte & 0x7f) * unit;
    if (byte < 0x80) return i + 1 + length;
    unit *= 128;
  }
  return MALFORMED;
}

function bodyStart(buffer: Buffer, at: number): number {
  let i = at + 1;
  while (buffer[i]! >= 0x80) i += 1;
  return i + 1;
}
