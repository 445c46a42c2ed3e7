import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Point } from '../../../src/domain/point.ts';
import { decodeBody, decodeHead, encodeHead, encodeRow } from '../../../src/store/outbox-codec.ts';
import { decodePoints, encodePoints } from '../../../src/store/points-codec.ts';
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
        const { body, deflated } = encodePoints(points);
        expect(decodePoints(body, deflated, 'assessment')).toStrictEqual(points);
      }),
    );
  });

  it('are deflated once there are several', () => {
    expect(encodePoints([point(1)]).deflated).toBe(false);
    const many = Array.from({ length: 100 }, (_, n) => point(n));
    const { body, deflated } = encodePoints(many);
    expect(deflated).toBe(true);
    expect(body.length).toBeLessThan(JSON.stringify(many).length / 4);
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
