/** What a decoder found in one payload, before it is judged: the common shape of every payload format. */

import type { DeadLetterReason } from '../domain/dead-letter.ts';

/** What stood where a number was expected. */
export const Found = {
  /** The member is absent, or null: the sensor had nothing to say. */
  NOTHING: 0,
  NUMBER: 1,
  /** A list of numbers, in `samples`; only for payloads of one channel. */
  LIST: 2,
  /** Text, a truth value, an object, or a list where one number belongs. */
  OTHER: 3,
  /** Samples of a binary block, in `block`. */
  BLOCK: 4,
} as const;

const INITIAL_SLOTS = 16;
const INITIAL_SAMPLES = 256;

/**
 * Reused for every message, so that a flat message allocates nothing. A payload of one channel fills slot 0; a
 * payload of many fills one slot a channel, in the order of the decoder's `slotNames`.
 */
export class Reading {
  /** ms since the epoch; NaN where the payload names no time and arrival counts. */
  timeMs = Number.NaN;
  /** Unsigned 32 bits; -1 where there is none. */
  sequence = -1;
  /** Hz; NaN where the payload does not say. */
  sampleRateHz = Number.NaN;
  /** As written by the sender; null where the payload does not say. */
  unit: string | null = null;
  /** Per slot, a value of `Found`. */
  found = new Uint8Array(INITIAL_SLOTS);
  /** Per slot, valid where found is NUMBER; may be infinite. */
  values = new Float64Array(INITIAL_SLOTS);
  /** Shape [sampleCount], the list of slot 0. */
  samples = new Float64Array(INITIAL_SAMPLES);
  sampleCount = 0;
  /** Shape [sampleCount], the samples of a binary block. */
  block = new Float32Array(INITIAL_SAMPLES);
  /** The same memory as bytes. */
  blockBytes = new Uint8Array(this.block.buffer);
  /** One line for the person who reads the dead letter; set with every fault. */
  detail = '';

  /** Empties all fields for a payload of `slots` channels. */
  begin(slots: number): void {
    this.timeMs = Number.NaN;
    this.sequence = -1;
    this.sampleRateHz = Number.NaN;
    this.unit = null;
    this.sampleCount = 0;
    if (slots > this.found.length) this.growSlots(slots);
    this.found.fill(Found.NOTHING, 0, slots);
  }

  growSlots(slots: number): void {
    let size = this.found.length;
    while (size < slots) size *= 2;
    const found = new Uint8Array(size);
    const values = new Float64Array(size);
    found.set(this.found);
    values.set(this.values);
    this.found = found;
    this.values = values;
  }

  /** Room for `count` samples in all; keeps those that are there. */
  growSamples(count: number): void {
    if (count <= this.samples.length) return;
    let size = this.samples.length;
    while (size < count) size *= 2;
    const samples = new Float64Array(size);
    samples.set(this.samples);
    this.samples = samples;
  }

  growBlock(count: number): void {
    if (count <= this.block.length) return;
    let size = this.block.length;
    while (size < count) size *= 2;
    this.block = new Float32Array(size);
    this.blockBytes = new Uint8Array(this.block.buffer);
  }

  fault(reason: DeadLetterReason, detail: string): DeadLetterReason {
    this.detail = detail;
    return reason;
  }
}

/** One compiled payload format. Never throws, whatever the bytes. */
export interface PayloadDecoder {
  /** Channel names of the slots of a payload of many channels; empty for a payload of one. May grow. */
  readonly slotNames: readonly string[];
  /** Fills `out` from [from, to); returns why the payload is unusable, or null. */
  decode(bytes: Buffer, from: number, to: number, out: Reading): DeadLetterReason | null;
}
