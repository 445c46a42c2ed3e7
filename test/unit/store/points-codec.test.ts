import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Point } from '../../../src/domain/point.ts';
import { crc32c } from '../../../src/store/crc32c.ts';
import { decodeBody, decodeHead, encodeHead, encodeRow } from '../../../src/store/outbox-codec.ts';
import { decodePoints, encodePoints, Packing } from '../../../src/store/points-codec.ts';
import { POINTS_DICTIONARY } from '../../../src/store/points-dictionary.ts';
import { point } from '../../support/store.ts';

const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
const text = fc.string({ unit: 'binary', maxLength: 40 });
const anyPoint: fc.Arbitrary<Point> = fc.record(
  {
    pointClass: fc.constant('assessment' as const),
    measurement: text,
    tags: fc.dictionary(text, text, { maxKeys: 5, noNullPrototype: true }),
    fields: fc.dictionary(text, fc.oneof(finite, text, fc.boolean()), { minKeys: 1, noNullPrototype: true }),
    timeMs: finite,
  },
  { noNullPrototype: true },
);

describe('points in the outbox', () => {
  it('come back without a changed bit, -0, subnormal numbers and lone surrogates included', () => {
    fc.assert(
      fc.property(fc.array(anyPoint, { minLength: 1, maxLength: 20 }), (points) => {
        const { body, packing } = encodePoints(points);
        expect(decodePoints(body, packing, 'assessment')).toStrictEqual(points);
      }),
    );
  });

  it('take little room even where a row holds the points of one machine', () => {
    expect(encodePoints([{ ...point(1), tags: {}, fields: { n: 1 } }]).packing).toBe(Packing.plain);
    const few = Array.from({ length: 4 }, (_, n) => point(n));
    const { body, packing } = encodePoints(few);
    expect(packing).toBe(Packing.deflatedWithDictionary);
    const without = deflateRawSync(encodePoints(few, Infinity).body, { level: 6 });
    expect(body.length).toBeLessThan(0.8 * without.length);
    const many = Array.from({ length: 100 }, (_, n) => point(n));
    expect(encodePoints(many).body.length).toBeLessThan(JSON.stringify(many).length / 4);
  });

  it('of rows from before the dictionary are read', () => {
    const points = [point(1), point(2)].map((p) => ({ ...p, pointClass: 'alarm' as const }));
    const body = deflateRawSync(encodePoints(points, Infinity).body);
    expect(decodePoints(body, Packing.deflated, 'alarm')).toStrictEqual(points);
  });

  it('can be read for ever: the dictionary is the one of the first release', () => {
    expect(crc32c(POINTS_DICTIONARY)).toBe(921_878_879);
  });

  it('are recognised as damaged after any single flipped bit of head or body, or under another id', () => {
    const row = encodeRow('alarm', [point(1), point(2)]);
    const head = encodeHead(7, row, 1234);
    const read = (id: number, h: Buffer, b: Buffer) => {
      const about = decodeHead(id, h);
      return about === null ? null : decodeBody(id, about, b);
    };
    expect(read(7, head, row.body)).toStrictEqual(
      [point(1), point(2)].map((p) => ({ ...p, pointClass: 'alarm' })),
    );
    expect(read(8, head, row.body)).toBeNull();
    for (const [which, length] of [
      ['head', head.length],
      ['body', row.body.length],
    ] as const) {
      for (let bit = 0; bit < length * 8; bit += 1) {
        const [h, b] = [Buffer.from(head), Buffer.from(row.body)];
        const target = which === 'head' ? h : b;
        target[bit >> 3]! ^= 1 << (bit & 7);
        expect(read(7, h, b)).toBeNull();
      }
    }
  });
});
