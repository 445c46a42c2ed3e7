/**
 * A TCP byte stream enters in chunks of any size, whole MQTT packets leave as ranges of a buffer.
 *
 * Packets that lie inside one chunk are handed out in place; only what a chunk boundary cuts in two is copied.
 * Memory is bounded by one packet of `maxPacketBytes` plus one chunk, or the head of a larger one that is skimmed.
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

/** How packets over the limit are read without being kept: their first bytes are, the rest is passed over. */
export interface Skimming {
  /** First bytes of the packet that are kept, fixed header included. */
  readonly headBytes: number;
  /** True if a packet with this type byte may be skimmed; any other ends the framing. */
  accepts(typeByte: number): boolean;
  /**
   * Takes what is left of the packet once all of it has passed: `head[0]` is its type byte, `head[bodyAt]` the first
   * byte after the fixed header. False stops framing until `resume`, which offers it again.
   */
  onSkimmed(head: Buffer, bodyAt: number, packetBytes: number): boolean;
}

/** The packet that is being skimmed. */
interface Skim {
  readonly head: Buffer;
  readonly packetBytes: number;
  headTo: number;
  missing: number;
}

/** One per connection. */
export class PacketFramer {
  /** Largest packet in all, fixed header included; may change between packets. */
  maxPacketBytes: number;
  /** What to do with larger ones; null while they end the framing. */
  skimming: Skimming | null = null;
  readonly #onPacket: PacketHandler;
  #state: FramerState = 'open';
  #oversizeBytes = 0;
  #skim: Skim | null = null;
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

  /** Memory for what has not arrived completely: the bytes kept back, and the head of a packet that is skimmed. */
  get partialBytes(): number {
    return this.heldBytes + (this.#skim?.headTo ?? 0);
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
    if (this.#state === 'open' && this.#skim !== null) at = this.#pass(chunk, at, chunk.length);
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
    if (this.#skim !== null && !this.#offerSkimmed(this.#skim)) return this.#state;
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
        if (!this.#beginSkim(this.#held, this.#heldFrom, end)) return at;
        this.#heldFrom = this.#pass(this.#held, this.#heldFrom, this.#heldTo);
        this.#releaseHeld();
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
        if (!this.#beginSkim(buffer, at, end)) return at;
        at = this.#pass(buffer, at, to);
        if (this.#state !== 'open') return at;
        continue;
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

  /** False, and the framing is over, if the packet at `at` is malformed or must not be skimmed. */
  #beginSkim(buffer: Buffer, at: number, end: number): boolean {
    if (end !== MALFORMED && this.skimming?.accepts(buffer[at]!) === true) {
      const packetBytes = end - at;
      const head = Buffer.allocUnsafeSlow(Math.min(packetBytes, this.skimming.headBytes));
      this.#skim = { head, packetBytes, headTo: 0, missing: packetBytes };
      return true;
    }
    this.#state = end === MALFORMED ? 'malformed' : 'oversize';
    if (this.#state === 'oversize') this.#oversizeBytes = end - at;
    return false;
  }

  /** Reads on in the skimmed packet; returns where its bytes end in the buffer. */
  #pass(buffer: Buffer, at: number, to: number): number {
    const skim = this.#skim!;
    const end = Math.min(to, at + skim.missing);
    skim.headTo += buffer.copy(skim.head, skim.headTo, at, end);
    skim.missing -= end - at;
    if (skim.missing === 0) this.#offerSkimmed(skim);
    return end;
  }

  #offerSkimmed(skim: Skim): boolean {
    const taken = this.skimming!.onSkimmed(skim.head, bodyStart(skim.head, 0), skim.packetBytes);
    if (taken) this.#skim = null;
    else this.#state = 'stopped';
    return taken;
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
