import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Point } from '../../../src/domain/point.ts';
import { encodeLine } from '../../../src/forward/line-protocol.ts';
import { decodeLine } from '../../../src/forward/line-protocol-reader.ts';
import { parseLineProtocol } from '../../support/line-protocol-parser.ts';

/** Names that line protocol can carry as they are; the encoder replaces the others by look-alikes. */
const name = fc
  .string({ unit: fc.constantFrom(...',= "#aé日😀-0'), minLength: 1, maxLength: 8 })
  .filter((text) => !text.startsWith('#'));
const value = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.string({ unit: fc.constantFrom(...',= "\\#aé日'), maxLength: 8 }),
);
const points = fc.record<Point>({
  pointClass: fc.constant('aggregate'),
  measurement: name,
  tags: fc.dictionary(name, name, { noNullPrototype: true }),
  fields: fc.dictionary(name, value, { minKeys: 1, noNullPrototype: true }),
  timeMs: fc.integer({ min: -1e13, max: 1e13 }),
});

describe('decodeLine', () => {
  it('reads back every point that encodeLine writes, bit for bit', () => {
    fc.assert(
      fc.property(points, (point) => {
        expect(decodeLine(encodeLine(point))).toEqual(point);
      }),
    );
  });

  it('reads what an independent parser reads', () => {
    fc.assert(
      fc.property(points, (point) => {
        const [parsed] = parseLineProtocol(encodeLine(point));
        const { measurement, tags, fields, timeMs } = decodeLine(encodeLine(point)) as Point;
        expect({ measurement, tags, fields, time: timeMs }).toEqual(parsed);
      }),
    );
  });

  it.each([
    ['', 'no measurement at character 1'],
    ['# m v=1 1', 'a comment instead of a measurement at character 1'],
    ['m', 'expected a space and then fields at character 2'],
    ['m v=1', 'expected a space and then the time in milliseconds at character 6'],
    ['m v=1 soon', 'the time in milliseconds is no whole number at character 7'],
    ['m v=1 1.5', 'the time in milliseconds is no whole number at character 7'],
    ['m,a= v=1 1', 'a tag without a value at character 5'],
    ['m,a=1,a=2 v=1 1', 'a second a at character 8'],
    ['m v=1,v=2 1', 'a second v at character 8'],
    ['m v=5i 1', 'numbers are floats: 5 instead of 5i at character 7'],
    ['m v=NaN 1', 'NaN is no value at character 8'],
    ['m v=1e999 1', '1e999 is no value at character 10'],
    ['m v= 1', 'nothing is no value at character 5'],
    ['m v="x 1', 'a string without its closing quote at character 9'],
    ['m =1 1', 'a key is missing at character 3'],
  ])('says what is wrong with %j', (line, fault) => {
    expect(decodeLine(line)).toBe(fault);
  });
});
