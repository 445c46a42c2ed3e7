import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonMemberReader, JsonMembers, MemberKind } from '../../../src/ingest/json-members.ts';
import { JsonNumberReader } from '../../../src/ingest/json-number.ts';

const POINTERS = ['/t', '/v', '/seq', '/unit'];

/** What a reader found, as plain values. */
function found(members: JsonMembers, slots: number) {
  return Array.from({ length: slots }, (_, slot) => {
    const kind = members.kinds[slot];
    if (kind === MemberKind.NUMBER) return { number: members.numbers[slot] };
    if (kind === MemberKind.TEXT) return { text: members.texts[slot] };
    if (kind === MemberKind.LIST) return { list: [...members.list.subarray(0, members.listLength)] };
    return { kind };
  });
}

/** The scanner, where it dares to answer, and the tree agree on `text`. Returns whether the scanner answered. */
function agree(text: string | Uint8Array): boolean {
  const bytes = Buffer.concat([Buffer.from('{"'), Buffer.from(text as string), Buffer.from('}]"')]);
  const to = bytes.length - 3;
  const scanned = new JsonMembers();
  const parsed = new JsonMembers();
  const reader = new JsonMemberReader(POINTERS, 1, null);
  const scans = reader.scan(bytes, 2, to, scanned);
  const parses = reader.parse(bytes, 2, to, parsed);
  if (!scans) return false;
  expect(parses).toBe(true);
  expect(found(scanned, 4)).toEqual(found(parsed, 4));
  return true;
}

const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.integer().map(String),
  fc
    .tuple(fc.bigInt({ min: 2n ** 53n - 40n, max: 2n ** 53n + 40n }), fc.nat({ max: 16 }))
    .map(([mantissa, decimals]) =>
      String(mantissa)
        .replace(new RegExp(`(\\d{${decimals}})$`), '.$1')
        .replace(/^\./, '0.')
        .replace(/\.$/, ''),
    ),
  fc.bigInt({ min: 0n, max: 10n ** 30n }).map(String),
  fc.stringMatching(/^-?(0|[1-9]\d{0,20})(\.\d{1,25})?([eE][+-]?\d{1,4})?$/),
  fc.constantFrom('01', '1.', '.5', '+1', '-', '1e', '0x10', 'NaN', 'Infinity', '-0', '1e999', '1e-999'),
);
const space = fc.constantFrom('', ' ', '\n\t', '\r\n  ');
const value = fc.oneof(
  { weight: 6, arbitrary: number },
  { weight: 2, arbitrary: fc.array(number, { maxLength: 5 }).map((items) => `[${items.join(' , ')}]`) },
  { weight: 2, arbitrary: fc.string().map((text) => JSON.stringify(text)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('true', 'false', 'null', '{}', '{"v":1}', '[[1]]', '["a"]', 'nul', ''),
  },
);
const key = fc.oneof(
  fc.constantFrom('t', 'v', 'seq', 'unit', 'V', 'vv', '', '\\u0076'),
  fc.string().map((s) => JSON.stringify(s).slice(1, -1)),
);
const objectText = fc
  .array(fc.tuple(space, key, space, value, space), { maxLength: 6 })
  .map((members) => `{${members.map(([a, k, b, v, c]) => `${a}"${k}"${b}:${a}${v}${c}`).join(',')}}`);

describe('the JSON member scanner', () => {
  it('finds what JSON.parse finds, or leaves the payload to it', () => {
    fc.assert(
      fc.property(objectText, (text) => void agree(text)),
      { numRuns: 3000 },
    );
  });

  it('does not answer where JSON.parse refuses, for texts with one byte changed', () => {
    fc.assert(
      fc.property(objectText, fc.nat(), fc.integer({ min: 0, max: 255 }), (text, at, byte) => {
        const bytes = Buffer.from(text);
        if (bytes.length > 0) bytes[at % bytes.length] = byte;
        agree(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  it('does not answer where JSON.parse refuses, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void agree(bytes)),
      { numRuns: 2000 },
    );
  });

  it('answers the messages that sensors send', () => {
    for (const text of [
      '{"t":1764000000000,"v":1.25}',
      '{"ts":1764000000000123,"v":-0.031}',
      ' { "v" : 3 , "name":"pump 1 – über", "t" : 17e2, "ok":true, "x":null } ',
      '{"v":[1,2,3.5],"t":0,"unit":"g","seq":7}',
      '{}',
    ]) {
      expect(agree(text), text).toBe(true);
    }
  });

  it('takes the last of two members of one name, as JSON.parse does', () => {
    const members = new JsonMembers();
    const bytes = Buffer.from('{"v":1,"t":5,"v":2}');
    expect(new JsonMemberReader(POINTERS, 1, null).scan(bytes, 0, bytes.length, members)).toBe(true);
    expect(members.numbers[1]).toBe(2);
  });
});

describe('the JSON number reader', () => {
  it('gives bit for bit the double of JSON.parse, and NaN where that refuses', () => {
    const reader = new JsonNumberReader();
    fc.assert(
      fc.property(number, (text) => {
        let expected = Number.NaN;
        try {
          const parsed: unknown = JSON.parse(text);
          if (typeof parsed === 'number') expected = parsed;
        } catch {
          // No number.
        }
        const got = reader.read(Buffer.from(text), 0, Buffer.byteLength(text));
        // "01" begins with a number as far as a reader can tell only if it looks on; it refuses outright.
        const whole = !Number.isNaN(got) && reader.at === Buffer.byteLength(text);
        expect(Object.is(whole ? got : Number.NaN, expected)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });
});
