/**
 * The binary waveform block: samples enter and a payload leaves, and the other way round.
 *
 * Little-endian; documented for senders in docs/payloads.md.
 *
 * | offset | type    | field                                                                         |
 * |--------|---------|-------------------------------------------------------------------------------|
 * | 0      | u8[4]   | magic `MWB1`                                                                  |
 * | 4      | u8      | encoding of the samples: 1 float32, 2 int16                                   |
 * | 5      | u8      | flags: 1 the sequence is valid, 2 the sender has no clock (t0 is ignored)     |
 * | 6      | u8      | unit length in bytes, 0..24                                                   |
 * | 7      | u8      | reserved, 0                                                                   |
 * | 8      | f64     | t0: event time of the first sample, ms since the epoch                        |
 * | 16     | f32     | sample rate, Hz                                                               |
 * | 20     | f32     | scale of int16 samples: value = raw * scale; ignored for float32              |
 * | 24     | u32     | sequence, one more with every block, wraps                                    |
 * | 28     | u32     | n, number of samples                                                          |
 * | 32     | u8[]    | unit in UTF-8, padded with zeros to a multiple of 4                           |
 * | then   | f32[n] or i16[n] | samples                                                              |
 */

import type { DeadLetterReason } from '../domain/dead-letter.ts';
import { Found, type PayloadDecoder, type Reading } from './reading.ts';

const MAGIC = 0x3142574d;
const HEADER_BYTES = 32;
const ENCODING_F32 = 1;
const ENCODING_I16 = 2;
const FLAG_SEQUENCE = 1;
const FLAG_NO_CLOCK = 2;
const MAX_UNIT_BYTES = 24;

export interface WaveformBlock {
  /** Event time of the first sample, ms since the epoch; null where the sender has no clock. */
  readonly t0Ms: number | null;
  readonly sampleRateHz: number;
  /** As the machine class declares it; '' leaves it unstated. */
  readonly unit: string;
  /** Unsigned 32 bits; null where the sender does not count. */
  readonly sequence: number | null;
  /** Shape [n], in `unit`. */
  readonly values: Float32Array;
}

/** The payload of a block of float32 samples. @throws RangeError for a unit of more than 24 bytes */
export function encodeWaveformBlock(block: WaveformBlock): Uint8Array {
  const { t0Ms, sampleRateHz, sequence, values } = block;
  const unit = new TextEncoder().encode(block.unit);
  if (unit.length > MAX_UNIT_BYTES)
    throw new RangeError(`unit of ${unit.length} bytes; at most ${MAX_UNIT_BYTES}`);
  const samplesAt = HEADER_BYTES + padded(unit.length);
  const out = new Uint8Array(samplesAt + 4 * values.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, ENCODING_F32);
  view.setUint8(5, (sequence === null ? 0 : FLAG_SEQUENCE) | (t0Ms === null ? FLAG_NO_CLOCK : 0));
  view.setUint8(6, unit.length);
  view.setFloat64(8, t0Ms ?? 0, true);
  view.setFloat32(16, sampleRateHz, true);
  view.setFloat32(20, 1, true);
  view.setUint32(24, sequence ?? 0, true);
  view.setUint32(28, values.length, true);
  out.set(unit, HEADER_BYTES);
  out.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), samplesAt);
  return out;
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** For `format: block`. Copies the samples once: inside a read buffer they are almost never aligned. */
export class WaveformBlockDecoder implements PayloadDecoder {
  readonly slotNames: readonly string[] = [];
  /** The last unit seen; blocks of one channel keep saying the same. */
  #unit = '';
  #unitBytes = Buffer.alloc(0);

  /** `malformed_binary` with what is wrong; every length is checked before anything is read. */
  decode(bytes: Buffer, from: number, to: number, out: Reading): DeadLetterReason | null {
    out.begin(1);
    if (to - from < HEADER_BYTES || bytes.readUInt32LE(from) !== MAGIC) {
      return out.fault('malformed_binary', 'no MWB1 block header');
    }
    const encoding = bytes[from + 4]!;
    const flags = bytes[from + 5]!;
    const unitBytes = bytes[from + 6]!;
    const count = bytes.readUInt32LE(from + 28);
    if (encoding !== ENCODING_F32 && encoding !== ENCODING_I16) {
      return out.fault('malformed_binary', `encoding ${encoding}; known are 1 (float32) and 2 (int16)`);
    }
    if (unitBytes > MAX_UNIT_BYTES) return out.fault('malformed_binary', `unit of ${unitBytes} bytes`);
    const samplesAt = from + HEADER_BYTES + padded(unitBytes);
    const expected = samplesAt - from + count * (encoding === ENCODING_F32 ? 4 : 2);
    if (expected !== to - from) {
      return out.fault(
        'malformed_binary',
        `${count} samples take ${expected} bytes, the block has ${to - from}`,
      );
    }
    out.sampleRateHz = bytes.readFloatLE(from + 16);
    if (!(out.sampleRateHz > 0 && out.sampleRateHz < Number.POSITIVE_INFINITY)) {
      return out.fault('malformed_binary', `sample rate ${out.sampleRateHz}`);
    }
    if ((flags & FLAG_SEQUENCE) !== 0) out.sequence = bytes.readUInt32LE(from + 24);
    if (unitBytes > 0) out.unit = this.#unitAt(bytes, from + HEADER_BYTES, unitBytes);
    out.found[0] = Found.BLOCK;
    out.sampleCount = count;
    out.growBlock(count);
    if (encoding === ENCODING_F32) {
      out.blockBytes.set(bytes.subarray(samplesAt, to));
    } else {
      scaleIntegers(bytes.subarray(samplesAt, to), count, bytes.readFloatLE(from + 20), out.block);
    }
    if ((flags & FLAG_NO_CLOCK) !== 0) return null;
    out.timeMs = bytes.readDoubleLE(from + 8);
    return Number.isFinite(out.timeMs) ? null : out.fault('bad_timestamp', 't0 is no number');
  }

  #unitAt(bytes: Buffer, at: number, length: number): string {
    if (bytes.compare(this.#unitBytes, 0, this.#unitBytes.length, at, at + length) !== 0) {
      this.#unitBytes = Buffer.from(bytes.subarray(at, at + length));
      this.#unit = this.#unitBytes.toString('utf8');
    }
    return this.#unit;
  }
}

function scaleIntegers(bytes: Buffer, count: number, scale: number, out: Float32Array): void {
  // The front half of `out` would be overwritten before it is read, so the integers get a place of their own.
  const aligned = new Int16Array(count);
  new Uint8Array(aligned.buffer).set(bytes);
  for (let i = 0; i < count; i++) out[i] = aligned[i]! * scale;
}
