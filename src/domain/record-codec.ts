/** Encoding and reading of records in a byte buffer. Layout: `record.ts`. Platforms are little-endian (arm64, x64). */

import type { DeadLetter, DeadLetterReason } from './dead-letter.ts';
import type { ClockMark } from './gateway-clock.ts';
import type { ChannelRef } from './machine.ts';
import { alignRecord, CLOCK_BYTES, RecordKind, SCALAR_BYTES, WAVEFORM_HEADER_BYTES } from './record.ts';

/** Typed views over one 8-byte aligned buffer; made once per buffer, so that reading a field costs no allocation. */
export interface RecordViews {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
}

/** @param buffer whole, byte length a multiple of 8 */
export function recordViews(buffer: ArrayBuffer | SharedArrayBuffer): RecordViews {
  return {
    u8: new Uint8Array(buffer),
    u16: new Uint16Array(buffer),
    u32: new Uint32Array(buffer),
    f32: new Float32Array(buffer),
    f64: new Float64Array(buffer),
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function waveformRecordBytes(n: number): number {
  return alignRecord(WAVEFORM_HEADER_BYTES + 4 * n);
}

function writeHeader(
  v: RecordViews,
  at: number,
  bytes: number,
  kind: number,
  quality: number,
  flags: number,
): void {
  v.u32[at >> 2] = bytes;
  v.u8[at + 4] = kind;
  v.u8[at + 5] = quality;
  v.u16[(at + 6) >> 1] = flags;
}

/** Writes a SCALAR record at byte offset `at` (multiple of 8); returns its length. */
export function writeScalar(
  v: RecordViews,
  at: number,
  channelIndex: number,
  flags: number,
  quality: number,
  sequence: number,
  eventTimeMs: number,
  value: number,
): number {
  writeHeader(v, at, SCALAR_BYTES, RecordKind.SCALAR, quality, flags);
  v.u32[(at + 8) >> 2] = channelIndex;
  v.u32[(at + 12) >> 2] = sequence;
  v.f64[(at + 16) >> 3] = eventTimeMs;
  v.f64[(at + 24) >> 3] = value;
  return SCALAR_BYTES;
}

/** Writes a WAVEFORM record; returns its length. */
export function writeWaveform(
  v: RecordViews,
  at: number,
  channelIndex: number,
  flags: number,
  quality: number,
  sequence: number,
  t0Ms: number,
  sampleRateHz: number,
  values: Float32Array,
): number {
  const bytes = waveformRecordBytes(values.length);
  writeHeader(v, at, bytes, RecordKind.WAVEFORM, quality, flags);
  v.u32[(at + 8) >> 2] = channelIndex;
  v.u32[(at + 12) >> 2] = sequence;
  v.f64[(at + 16) >> 3] = t0Ms;
  v.f64[(at + 24) >> 3] = sampleRateHz;
  v.u32[(at + 32) >> 2] = values.length;
  v.u32[(at + 36) >> 2] = 0;
  v.f32.set(values, (at + WAVEFORM_HEADER_BYTES) >> 2);
  // The pad word of an odd count is part of the record and so of its checksum.
  if (values.length % 2 === 1) v.u32[(at + WAVEFORM_HEADER_BYTES + 4 * values.length) >> 2] = 0;
  return bytes;
}

/** A whole CHANNEL record of its own. */
export function encodeChannel(ref: ChannelRef): Uint8Array {
  const parts = [encoder.encode(ref.machineClass), encoder.encode(ref.machine), encoder.encode(ref.channel)];
  const [machineClass, machine, channel] = parts as [Uint8Array, Uint8Array, Uint8Array];
  const bytes = alignRecord(20 + machineClass.length + machine.length + channel.length);
  const out = new Uint8Array(bytes);
  const view = new DataView(out.buffer);
  view.setUint32(0, bytes, true);
  view.setUint8(4, RecordKind.CHANNEL);
  view.setUint32(8, ref.index, true);
  view.setUint16(12, machineClass.length, true);
  view.setUint16(14, machine.length, true);
  view.setUint16(16, channel.length, true);
  out.set(machineClass, 20);
  out.set(machine, 20 + machineClass.length);
  out.set(channel, 20 + machineClass.length + machine.length);
  return out;
}

/** Reads the CHANNEL record at `at`. */
export function decodeChannel(u8: Uint8Array, at: number): ChannelRef {
  const view = new DataView(u8.buffer, u8.byteOffset + at);
  const classEnd = 20 + view.getUint16(12, true);
  const machineEnd = classEnd + view.getUint16(14, true);
  const channelEnd = machineEnd + view.getUint16(16, true);
  return {
    index: view.getUint32(8, true),
    machineClass: text(u8, at + 20, at + classEnd),
    machine: text(u8, at + classEnd, at + machineEnd),
    channel: text(u8, at + machineEnd, at + channelEnd),
  };
}

const NO_BYTES = new Uint8Array();

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** A whole DEAD_LETTER record of its own. */
export function encodeDeadLetter(letter: DeadLetter): Uint8Array {
  const reason = encoder.encode(letter.reason);
  const detail = encoder.encode(letter.detail).subarray(0, 1024);
  const source = encoder.encode(letter.source).subarray(0, 65535);
  const original = letter.originalBytes === undefined ? NO_BYTES : uint32(letter.originalBytes);
  const parts = [reason, detail, source, letter.payload, original];
  const bytes = alignRecord(parts.reduce((sum, { length }) => sum + length, 28));
  const out = new Uint8Array(bytes);
  const view = new DataView(out.buffer);
  view.setUint32(0, bytes, true);
  view.setUint8(4, RecordKind.DEAD_LETTER);
  view.setUint16(8, reason.length, true);
  view.setUint16(10, detail.length, true);
  view.setUint16(12, source.length, true);
  view.setUint16(14, letter.originalBytes === undefined ? 0 : 1, true);
  view.setFloat64(16, letter.receivedMs, true);
  view.setUint32(24, letter.payload.length, true);
  let at = 28;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Reads the DEAD_LETTER record at `at`; the payload is copied. */
export function decodeDeadLetter(u8: Uint8Array, at: number): DeadLetter {
  const view = new DataView(u8.buffer, u8.byteOffset + at);
  const reasonEnd = 28 + view.getUint16(8, true);
  const detailEnd = reasonEnd + view.getUint16(10, true);
  const sourceEnd = detailEnd + view.getUint16(12, true);
  const payloadEnd = sourceEnd + view.getUint32(24, true);
  return {
    reason: text(u8, at + 28, at + reasonEnd) as DeadLetterReason,
    detail: text(u8, at + reasonEnd, at + detailEnd),
    source: text(u8, at + detailEnd, at + sourceEnd),
    payload: u8.slice(at + sourceEnd, at + payloadEnd),
    ...(view.getUint16(14, true) === 1 ? { originalBytes: view.getUint32(payloadEnd, true) } : {}),
    receivedMs: view.getFloat64(16, true),
  };
}

/** A whole CLOCK record of its own. */
export function encodeClockMark({ holds, isSet, offsetMs, bootId }: ClockMark): Uint8Array {
  const out = new Uint8Array(CLOCK_BYTES);
  const view = new DataView(out.buffer);
  view.setUint32(0, CLOCK_BYTES, true);
  view.setUint8(4, RecordKind.CLOCK);
  view.setUint32(8, holds ? 1 : 0, true);
  view.setUint32(12, isSet ? 1 : 0, true);
  view.setFloat64(16, offsetMs, true);
  out.set(encoder.encode(bootId).subarray(0, CLOCK_BYTES - 24), 24);
  return out;
}

/** Reads the CLOCK record at `at`. */
export function decodeClockMark(u8: Uint8Array, at: number): ClockMark {
  const view = new DataView(u8.buffer, u8.byteOffset + at);
  return {
    holds: view.getUint32(8, true) === 1,
    isSet: view.getUint32(12, true) === 1,
    offsetMs: view.getFloat64(16, true),
    bootId: text(u8, at + 24, at + CLOCK_BYTES).replace(/\0+$/, ''),
  };
}

/** TextDecoder refuses views on shared memory, hence the copy. */
function text(u8: Uint8Array, from: number, to: number): string {
  return decoder.decode(u8.slice(from, to));
}
