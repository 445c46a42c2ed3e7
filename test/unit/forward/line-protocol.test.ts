import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Point } from '../../../src/domain/point.ts';
import { encodeLine } from '../../../src/forward/line-protocol.ts';
import { parseLineProtocol } from '../../support/line-protocol-parser.ts';

function point(parts: Partial<Point>): Point {
  return { pointClass: 'raw', measurement: 'm', tags: {}, fields: { v: 1 }, timeMs: 1000, ...parts };
}

/** Characters that mean something to line protocol, among some that do not. */
const text = fc.string({
  unit: fc.constantFrom(...',= "\\\n\r\t#aé日😀-0', 'true', '\u0000', '\u2028'),
  maxLength: 8,
});

describe('encodeLine', () => {
  it('writes measurement, tags by key, fields in their order and the time in milliseconds', () => {
    const line = encodeLine(
      point({
        measurement: 'machine_features',
        tags: { z: '1', a: '2' },
        fields: { rms: 0.1, b: true, a: 'x' },
      }),
    );
    expect(line).toBe('machine_features,a=2,z=1 rms=0.1,b=true,a="x" 1000');
  });

  it.each([
    [5, '5'],
    [-0, '-0'],
    [1e21, '1e+21'],
    [5e-324, '5e-324'],
    [0.1 + 0.2, '0.30000000000000004'],
    [Number.MAX_VALUE, '1.7976931348623157e+308'],
  ])('writes %d as the float %s', (value, expected) => {
    expect(encodeLine(point({ fields: { v: value } }))).toBe(`m v=${expected} 1000`);
  });

  it('leaves out what line protocol has no word for', () => {
    const line = encodeLine(
      point({
        tags: { empty: '', '': 'x', ok: 'y' },
        fields: { nan: Number.NaN, inf: -Infinity, '': 1, v: 2 },
      }),
    );
    expect(line).toBe('m,ok=y v=2 1000');
  });

  it('gives no line where nothing is left of the point', () => {
    expect(encodeLine(point({ fields: { v: Number.NaN } }))).toBe('');
    expect(encodeLine(point({ measurement: '' }))).toBe('');
    expect(encodeLine(point({ timeMs: Number.NaN }))).toBe('');
  });

  it('escapes by position: = is plain in a measurement, quotes are plain outside strings', () => {
    const line = encodeLine(
      point({ measurement: 'a=b, "c"', tags: { 'k=,': 'v "w"' }, fields: { 'f g': 'x "y" \\' } }),
    );
    expect(line).toBe('a=b\\,\\ "c",k\\=\\,=v\\ "w" f\\ g="x \\"y\\" \\\\" 1000');
  });

  it('keeps two tag values apart of which one ends in a backslash', () => {
    const plain = encodeLine(point({ tags: { t: 'a' } }));
    const trailing = encodeLine(point({ tags: { t: 'a\\' } }));
    expect(trailing).toBe('m,t=a\u29F5 v=1 1000');
    expect(trailing).not.toBe(plain);
  });

  it('never lets a measurement turn the line into a comment', () => {
    expect(encodeLine(point({ measurement: '#m' }))).toBe('\uFF03m v=1 1000');
  });

  it('reads back to the same point, whatever characters the names and values hold', () => {
    const value = fc.oneof(fc.double(), fc.boolean(), text);
    const anyPoint = fc.record({
      measurement: text,
      tags: fc.dictionary(text, text, { maxKeys: 4 }),
      fields: fc.dictionary(text, value, { maxKeys: 4 }),
      timeMs: fc.integer({ min: -1e12, max: 4e12 }),
    });
    fc.assert(
      fc.property(fc.array(anyPoint, { maxLength: 4 }), (parts) => {
        const points = parts.map(point);
        const lines = points.map(encodeLine).filter((line) => line !== '');
        const writable = points.filter(
          ({ measurement, fields }) => measurement !== '' && Object.keys(finite(fields)).length > 0,
        );
        expect(parseLineProtocol(lines.join('\n'))).toEqual(
          writable.map(({ measurement, tags, fields, timeMs }) => ({
            measurement: name(measurement).replace(/^#/, '\uFF03'),
            tags: rename(Object.fromEntries(Object.entries(tags).filter(([k, v]) => k !== '' && v !== ''))),
            fields: Object.fromEntries(Object.entries(finite(fields)).map(([k, v]) => [name(k), v])),
            time: timeMs,
          })),
        );
      }),
      { numRuns: 2000 },
    );
  });
});

function finite(fields: Point['fields']): Point['fields'] {
  const kept = Object.entries(fields).filter(
    ([key, value]) => key !== '' && !(typeof value === 'number' && !Number.isFinite(value)),
  );
  return Object.fromEntries(kept);
}

/** The documented loss outside string fields: line breaks become two characters, some backslashes a look-alike. */
function name(raw: string): string {
  return raw
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replace(/\\(?=[,= "]|$)/g, '\u29F5');
}

function rename(tags: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(tags).map(([key, value]) => [name(key), name(value)]));
}
