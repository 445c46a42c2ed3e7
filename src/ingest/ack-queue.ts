/** Packet ids that wait for the commit enter with their ring position, PUBACKs leave once that position is durable. */

import { PUBACK_BYTES, writePuback } from './mqtt-packets.ts';

const INITIAL_CAPACITY = 32;

/** First in, first out: [MQTT-4.6.0-2] wants acknowledgements in the order of the messages. */
export class AckQueue {
  #positions = new Float64Array(INITIAL_CAPACITY);
  #receivedMs = new Float64Array(INITIAL_CAPACITY);
  #packetIds = new Uint16Array(INITIAL_CAPACITY);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Position the youngest waiting message needs; -1 if none waits. */
  get lastPosition(): number {
    return this.#length === 0 ? -1 : this.#positions[this.#slot(this.#length - 1)]!;
  }

  /** @param receivedMs monotonic */
  add(position: number, packetId: number, receivedMs: number): void {
    if (this.#length === this.#positions.length) this.#grow();
    const slot = this.#slot(this.#length);
    this.#positions[slot] = position;
    this.#packetIds[slot] = packetId;
    this.#receivedMs[slot] = receivedMs;
    this.#length += 1;
  }

  /**
   * PUBACKs of everything at or before `position`, as one buffer; null if there is none.
   * @param observe is told when each message was received
   */
  take(position: number, observe: (receivedMs: number) => void): Buffer | null {
    let count = 0;
    while (count < this.#length && this.#positions[this.#slot(count)]! <= position) count += 1;
    if (count === 0) return null;
    const acks = Buffer.allocUnsafe(count * PUBACK_BYTES);
    for (let i = 0; i < count; i++) {
      const slot = this.#slot(i);
      writePuback(acks, i * PUBACK_BYTES, this.#packetIds[slot]!);
      observe(this.#receivedMs[slot]!);
    }
    this.#head = this.#slot(count);
    this.#length -= count;
    return acks;
  }

  clear(): void {
    this.#head = 0;
    this.#length = 0;
  }

  #slot(i: number): number {
    return (this.#head + i) & (this.#positions.length - 1);
  }

  #grow(): void {
    const positions = new Float64Array(this.#positions.length * 2);
    const receivedMs = new Float64Array(positions.length);
    const packetIds = new Uint16Array(positions.length);
    for (let i = 0; i < this.#length; i++) {
      const slot = this.#slot(i);
      positions[i] = this.#positions[slot]!;
      receivedMs[i] = this.#receivedMs[slot]!;
      packetIds[i] = this.#packetIds[slot]!;
    }
    this.#positions = positions;
    this.#receivedMs = receivedMs;
    this.#packetIds = packetIds;
    this.#head = 0;
  }
}
