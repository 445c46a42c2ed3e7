/** Records through the ring: what goes in comes out, in order, however it wraps. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordKind, SCALAR_BYTES, WAVEFORM_HEADER_BYTES } from '../../../src/domain/record.ts';
import { decodeChannel, decodeDeadLetter, waveformRecordBytes } from '../../../src/domain/record-codec.ts';
import type { RecordSpan } from '../../../src/domain/record-span.ts';
import { createRing, RingReader, RingWriter } from '../../../src/runtime/record-ring.ts';

const RING_BYTES = 65_536;
const ALL = Number.POSITIVE_INFINITY;

function ring(): { writer: RingWriter; reader: RingReader } {
  const shared = createRing(RING_BYTES);
  return { writer: new RingWriter(shared), reader: new RingReader(shared) };
}

/** A record in short: its sequence, and the values of a waveform. PAD records are skipped. */
function* recordsOf(spans: readonly RecordSpan[]): Iterable<[number, ...number[]]> {
  for (const { views, from, to } of spans) {
    let at = from;
    for (; at < to; at += views.u32[at >> 2]!) {
      if (views.u8[at + 4] === RecordKind.PAD) continue;
      const sequence = views.u32[(at + 12) >> 2]!;
      if (views.u8[at + 4] === RecordKind.SCALAR) yield [sequence, views.f64[(at + 24) >> 3]!];
      else {
        const first = (at + WAVEFORM_HEADER_BYTES) >> 2;
        yield [sequence, ...views.f32.subarray(first, first + views.u32[(at + 32) >> 2]!)];
      }
    }
    expect(at).toBe(to);
  }
}

const bytesOf = (spans: readonly RecordSpan[]) => spans.reduce((sum, { from, to }) => sum + to - from, 0);

/** Writes scalars numbered from `first` until the ring is full; answers how many. */
function fill(writer: RingWriter, first = 0): number {
  let n = 0;
  for (; writer.hasRoom(SCALAR_BYTES); n += 1) writer.scalar(0, 0, 0, first + n, 0, first + n);
  return n;
}

describe('the record ring', () => {
  it('is empty at first', () => {
    const { writer, reader } = ring();
    expect([writer.fill, writer.position, reader.peek(ALL)]).toEqual([0, 0, []]);
  });

  it('carries every field of scalars, waveforms, channels and dead letters', () => {
    const { writer, reader } = ring();
    const ref = { index: 7, machineClass: 'pump', machine: 'p-1', channel: 'Öl' };
    const letter = {
      reason: 'not_finite',
      detail: 'NaN',
      source: 'plant/p-1/x',
      payload: Uint8Array.of(1, 2, 3),
      originalBytes: 4_000_000_000,
      receivedMs: 12.5,
    } as const;
    writer.channel(ref);
    writer.scalar(7, 5, 2, 4_294_967_295, 1.5, -2.25);
    writer.waveform(7, 1, 1, 9, 3.5, 25_600, Float32Array.of(1, 2, 3));
    writer.deadLetter(letter);
    const [{ views, from, to }] = reader.peek(ALL) as [RecordSpan];
    expect(decodeChannel(views.u8, from)).toEqual(ref);
    const scalar = from + views.u32[from >> 2]!;
    expect([views.u8[scalar + 4], views.u8[scalar + 5], views.u16[(scalar + 6) >> 1]]).toEqual([1, 2, 5]);
    expect([views.u32[(scalar + 8) >> 2], views.u32[(scalar + 12) >> 2]]).toEqual([7, 4_294_967_295]);
    expect([views.f64[(scalar + 16) >> 3], views.f64[(scalar + 24) >> 3]]).toEqual([1.5, -2.25]);
    const wave = scalar + SCALAR_BYTES;
    expect([views.u8[wave + 4], views.u8[wave + 5], views.u32[(wave + 32) >> 2]]).toEqual([2, 1, 3]);
    expect([views.f64[(wave + 16) >> 3], views.f64[(wave + 24) >> 3]]).toEqual([3.5, 25_600]);
    const dead = wave + waveformRecordBytes(3);
    expect(decodeDeadLetter(views.u8, dead)).toEqual(letter);
    expect(dead + views.u32[dead >> 2]!).toBe(to);
    expect(writer.position).toBe(to);
  });

  it('says when it is full, and has room again once bytes are released', () => {
    const { writer, reader } = ring();
    const n = fill(writer);
    expect(n * SCALAR_BYTES).toBeGreaterThan(RING_BYTES - 2 * SCALAR_BYTES);
    expect(writer.fill).toBeGreaterThan(0.99);
    reader.release(bytesOf(reader.peek(SCALAR_BYTES)));
    expect(writer.hasRoom(SCALAR_BYTES)).toBe(true);
  });

  it('skips the end where a record does not fit, and starts again at the front', () => {
    const { writer, reader } = ring();
    fill(writer);
    reader.release(bytesOf(reader.peek(ALL)));
    const block = Float32Array.from({ length: 1_000 }, (_, i) => i);
    writer.waveform(0, 0, 0, 42, 0, 1, block);
    const spans = reader.peek(ALL);
    expect([...recordsOf(spans)]).toEqual([[42, ...block]]);
    expect(spans.at(-1)!.from).toBe(0);
    expect(reader.release(bytesOf(spans))).toBe(writer.position);
    expect(writer.fill).toBe(0);
  });

  it('takes a record of maxRecordBytes at every offset once it is empty', () => {
    const { writer, reader } = ring();
    const n = (writer.maxRecordBytes - WAVEFORM_HEADER_BYTES) / 4;
    for (let i = 0; i < RING_BYTES / 8; i += 7) {
      expect(writer.hasRoom(writer.maxRecordBytes)).toBe(true);
      writer.waveform(0, 0, 0, i, 0, 1, new Float32Array(n));
      expect([...recordsOf(reader.peek(ALL))].map(([sequence]) => sequence)).toEqual([i]);
      reader.release(bytesOf(reader.peek(ALL)));
      writer.scalar(0, 0, 0, i, 0, 0);
      writer.waveform(0, 0, 0, i, 0, 1, new Float32Array(i % 5));
      reader.release(bytesOf(reader.peek(ALL)));
    }
  });

  it('gives whole records, at least maxBytes of them if there are as many', () => {
    const { writer, reader } = ring();
    for (let i = 0; i < 10; i += 1) writer.scalar(0, 0, 0, i, 0, 0);
    expect(bytesOf(reader.peek(1))).toBe(SCALAR_BYTES);
    expect(bytesOf(reader.peek(3 * SCALAR_BYTES))).toBe(3 * SCALAR_BYTES);
    expect(bytesOf(reader.peek(3 * SCALAR_BYTES + 1))).toBe(4 * SCALAR_BYTES);
    expect(bytesOf(reader.peek(ALL))).toBe(10 * SCALAR_BYTES);
  });

  it('keeps its count beyond 2^32 bytes', () => {
    const { writer, reader } = ring();
    const block = new Float32Array((writer.maxRecordBytes - WAVEFORM_HEADER_BYTES) / 4);
    const rounds = Math.ceil(2 ** 32 / writer.maxRecordBytes) + 3;
    for (let i = 0; i < rounds; i += 1) {
      writer.waveform(0, 0, 0, i, 0, 1, block);
      const spans = reader.peek(ALL);
      if (bytesOf(spans) !== writer.maxRecordBytes) throw new Error(`lost count in round ${i}`);
      reader.release(writer.maxRecordBytes);
    }
    expect(writer.position).toBeGreaterThan(2 ** 32);
    expect(writer.fill).toBe(0);
    writer.scalar(0, 0, 0, 1, 0, 2);
    expect([...recordsOf(reader.peek(ALL))]).toEqual([[1, 2]]);
  });

  it('gives back any records in order, whatever is read when', () => {
    const step = fc.oneof(
      fc.record({ write: fc.integer({ min: -1, max: 8_000 }) }),
      fc.record({ read: fc.oneof(fc.integer({ min: 1, max: 40_000 }), fc.constant(RING_BYTES)) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const { writer, reader } = ring();
        const expected: number[][] = [];
        const got: number[][] = [];
        const read = (maxBytes: number) => {
          const spans = reader.peek(maxBytes);
          got.push(
            ...[...recordsOf(spans)].map(([sequence, ...values]) => [
              sequence,
              values.length,
              values.at(-1) ?? -1,
            ]),
          );
          reader.release(bytesOf(spans));
        };
        for (const [i, plan] of steps.entries()) {
          if ('read' in plan) read(plan.read);
          else if (plan.write < 0) {
            if (!writer.hasRoom(SCALAR_BYTES)) continue;
            writer.scalar(0, 0, 0, i, 0, i / 3);
            expected.push([i, 1, i / 3]);
          } else if (writer.hasRoom(waveformRecordBytes(plan.write))) {
            writer.waveform(0, 0, 0, i, 0, 1, new Float32Array(plan.write).fill(i));
            expected.push([i, plan.write, plan.write === 0 ? -1 : i]);
          }
          if (writer.fill > 1) throw new Error('the ring overflowed');
        }
        while (writer.fill > 0) read(RING_BYTES);
        expect(got).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });
});
