import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryOf, letterLine, parseLetters } from '../../../../src/cli/dead-letters/letter-file.ts';
import type { Point } from '../../../../src/domain/point.ts';
import type { GatewayError } from '../../../../src/errors.ts';
import type { StoredDeadLetter } from '../../../../src/store/dead-letters.ts';
import { encodePoints } from '../../../../src/store/points-codec.ts';

const letter = (payload: Uint8Array, id = 1): StoredDeadLetter => ({
  id,
  reason: 'malformed_json',
  detail: 'Unexpected token',
  source: 'plant/pump-1/temp',
  payload,
  receivedMs: 1_780_000_000_123,
});

const point: Point = {
  pointClass: 'aggregate',
  measurement: 'machine_features',
  tags: { machine: 'pump 1' },
  fields: { rms: -0, state: 'a "word"' },
  timeMs: 1_780_000_000_000,
};

const refused: StoredDeadLetter = {
  ...letter(encodePoints([point], Infinity).body),
  reason: 'rejected_by_sink',
  source: 'sink:influx',
};

function faultOf(text: string): string {
  try {
    parseLetters(text);
  } catch (error) {
    expect((error as GatewayError).code).toBe('MW_USAGE');
    return (error as GatewayError).message;
  }
  throw new Error('taken');
}

describe('the file of dead letters', () => {
  it('gives back every payload byte for byte when nothing was edited', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.string(), (bytes, text) => {
        for (const payload of [bytes, Buffer.from(text)]) {
          const [entry] = parseLetters(letterLine(letter(payload)));
          expect(entry).toMatchObject({ ref: entryOf(letter(payload)).ref, topic: 'plant/pump-1/temp' });
          expect('payload' in entry! && Buffer.from(entry.payload).equals(payload)).toBe(true);
        }
      }),
    );
  });

  it('carries a refused point as the line that is sent, exact to the bit', () => {
    const line = letterLine(refused);
    expect(JSON.parse(line)).toMatchObject({
      source: 'sink:influx',
      line: 'machine_features,machine=pump\\ 1 rms=-0,state="a \\"word\\"" 1780000000000',
    });
    expect(parseLetters(`${line}\n\n`)).toEqual([{ ref: entryOf(refused).ref, points: [point] }]);
  });

  it('takes a corrected payload as text or as JSON, and a corrected topic', () => {
    const exported = JSON.parse(letterLine(letter(Buffer.from('{"v":1,}'))));
    const edited = { ...exported, topic: 'plant/pump-1/temperature', payload: { v: 1 } };
    const [entry] = parseLetters(JSON.stringify(edited));
    expect(entry).toMatchObject({ topic: 'plant/pump-1/temperature', payload: Buffer.from('{"v":1}') });
  });

  it('names the line of a mistake and takes nothing of such a file', () => {
    const good = letterLine(letter(Buffer.from('x')));
    const changed = (changes: object) => JSON.stringify({ ...JSON.parse(good), ...changes });
    expect(faultOf(`${good}\n{`)).toBe('line 2: not JSON');
    expect(faultOf('[]')).toMatch(/^line 1: id and check/);
    expect(faultOf(`${good}\n${good}`)).toBe('line 2: a second letter 1');
    expect(faultOf(changed({ id: '1' }))).toMatch(/^line 1: id and check/);
    expect(faultOf(changed({ topic: 'plant/+/temp' }))).toBe('line 1: topic is no MQTT topic');
    expect(faultOf(changed({ payload: 5 }))).toMatch(/neither payload nor/);
    expect(faultOf(changed({ payload: undefined, payloadBase64: '%%' }))).toMatch(/not base64/);
    expect(faultOf(changed({ line: 'm v=5i 1' }))).toBe(
      'line 1: line protocol: numbers are floats: 5 instead of 5i at character 7',
    );
    expect(faultOf(changed({ line: '\n' }))).toBe('line 1: line protocol: no point');
  });
});
