import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PacketFramer } from '../../../src/ingest/packet-framer.ts';

function packet(type: number, body: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = body.length;
  do {
    const byte = rest % 128;
    rest = Math.floor(rest / 128);
    length.push(rest > 0 ? byte | 0x80 : byte);
  } while (rest > 0);
  return Buffer.concat([Buffer.from([type << 4, ...length]), body]);
}

function cut(stream: Buffer, cuts: number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of cuts) {
    if (at >= stream.length) break;
    chunks.push(stream.subarray(at, at + size));
    at += size;
  }
  chunks.push(stream.subarray(at));
  return chunks.filter((chunk) => chunk.length > 0);
}

const packets = fc.array(
  fc.tuple(
    fc.integer({ min: 1, max: 14 }),
    fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 120, maxLength: 400 })),
  ),
  { maxLength: 12 },
);
const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 200 });

describe('PacketFramer', () => {
  it('hands out exactly the packets of the stream, wherever the chunks are cut and however often it is stopped', () => {
    fc.assert(
      fc.property(packets, cuts, fc.array(fc.boolean(), { maxLength: 60 }), (list, sizes, refusals) => {
        const sent = list.map(([type, body]) => packet(type, body));
        const seen: Buffer[] = [];
        const bodies: number[] = [];
        const refuse = [...refusals];
        const framer = new PacketFramer(1_000_000, (buffer, at, bodyAt, end) => {
          if (refuse.shift() === true) return false;
          seen.push(Buffer.from(buffer.subarray(at, end)));
          bodies.push(end - bodyAt);
          return true;
        });
        for (const chunk of cut(Buffer.concat(sent), sizes)) {
          framer.push(Buffer.from(chunk));
          // Half of the stops are resumed at once, the others keep the next chunk waiting.
          if (framer.state === 'stopped' && chunk.length % 2 === 0) framer.resume();
        }
        while (framer.state === 'stopped') framer.resume();
        expect(seen).toEqual(sent);
        expect(bodies).toEqual(list.map(([, body]) => body.length));
        expect(framer.heldBytes).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('passes over what is too large and may be skimmed, keeping its head, wherever the chunks are cut', () => {
    fc.assert(
      fc.property(packets, cuts, fc.array(fc.boolean(), { maxLength: 60 }), (list, sizes, refusals) => {
        const sent = list.map(([, body]) => packet(3, body));
        const refuse = [...refusals];
        const seen: Buffer[] = [];
        const take = (bytes: Buffer): boolean => {
          if (refuse.shift() === true) return false;
          seen.push(Buffer.from(bytes));
          return true;
        };
        const framer = new PacketFramer(100, (buffer, at, _bodyAt, end) => take(buffer.subarray(at, end)));
        framer.skimming = {
          headBytes: 50,
          accepts: (typeByte) => typeByte === 0x30,
          onSkimmed: (head, bodyAt, packetBytes) => {
            expect(bodyAt).toBe(packetBytes > 129 ? 3 : 2);
            return take(head);
          },
        };
        for (const chunk of cut(Buffer.concat(sent), sizes)) {
          framer.push(Buffer.from(chunk));
          if (framer.state === 'stopped' && chunk.length % 2 === 0) framer.resume();
        }
        while (framer.state === 'stopped') framer.resume();
        expect(framer.state).toBe('open');
        expect(seen).toEqual(sent.map((bytes) => (bytes.length > 100 ? bytes.subarray(0, 50) : bytes)));
        expect(framer.heldBytes).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 30 }), (chunks) => {
        const framer = new PacketFramer(100, () => true);
        for (const chunk of chunks) framer.push(Buffer.from(chunk));
        expect(framer.heldBytes).toBeLessThanOrEqual(150);
      }),
    );
  });

  it('says oversize as soon as the length is known, before the body arrives', () => {
    const framer = new PacketFramer(1000, () => true);
    expect(framer.push(Buffer.from([0x30]))).toBe('open');
    expect(framer.push(Buffer.from([0x80, 0x80]))).toBe('open');
    expect(framer.push(Buffer.from([0x01]))).toBe('oversize');
    expect(framer.push(packet(3, new Uint8Array(3)))).toBe('oversize');
  });

  it('takes a packet of exactly the limit', () => {
    let seen = 0;
    const framer = new PacketFramer(102, () => {
      seen += 1;
      return true;
    });
    expect(framer.push(packet(3, new Uint8Array(100)))).toBe('open');
    expect(framer.push(packet(3, new Uint8Array(101)))).toBe('oversize');
    expect(seen).toBe(1);
  });

  it('says malformed for a length of more than four bytes', () => {
    const framer = new PacketFramer(1000, () => true);
    expect(framer.push(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]))).toBe('malformed');
  });
});
