import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expandEnvironment, typedValue } from '../../../src/config/environment.ts';
import { formatPath } from '../../../src/config/json-path.ts';
import { editDistance, nearestKey } from '../../../src/config/nearest-key.ts';
import { maskSecrets, maskUrls } from '../../../src/config/secrets.ts';

describe('expandEnvironment', () => {
  it.each([
    ['plain', 'plain', false],
    ['${A}', '1', true],
    ['x${A}y${B}', 'x1ytwo', false],
    ['${C:-fallback}', 'fallback', true],
    ['${EMPTY:-fallback}', 'fallback', true],
    ['${EMPTY}', '', true],
    ['${A:-fallback}', '1', true],
    ['${C:-}', '', true],
    ['${C:-http://h:1/?a=b}', 'http://h:1/?a=b', true],
    ['$${A}', '${A}', false],
    ['$A and $', '$A and $', false],
  ])('reads %j as %j', (text, expected, whole) => {
    expect(expandEnvironment(text, { A: '1', B: 'two', EMPTY: '' })).toMatchObject({
      ok: true,
      text: expected,
      whole,
    });
  });

  it.each(['${', '${}', '${A', '${1A}', '${A-B}', '${ A }'])('refuses %j as no reference', (text) => {
    expect(expandEnvironment(text, { A: '1' })).toMatchObject({
      ok: false,
      problems: [expect.stringContaining('is not a reference')],
    });
  });

  it('names every variable that is not set', () => {
    expect(expandEnvironment('${X}/${Y}', {})).toMatchObject({
      problems: [expect.stringContaining(' X '), expect.stringContaining(' Y ')],
    });
  });

  it('leaves text without a reference alone', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes('${')),
        (text) => {
          expect(expandEnvironment(text, {})).toMatchObject({ ok: true, text, expanded: false });
        },
      ),
    );
  });
});

describe('typedValue', () => {
  it.each([
    ['5', 5],
    ['-1.5e3', -1500],
    ['true', true],
    ['false', false],
    ['', ''],
    ['yes', 'yes'],
    ['0x10', '0x10'],
    ['1e999', '1e999'],
    ['5 ', '5 '],
    ['null', 'null'],
  ])('reads %j as %j', (text, expected) => {
    expect(typedValue(text)).toBe(expected);
  });
});

describe('nearestKey', () => {
  const known = ['hopMs', 'sizeMs', 'offsetMs', 'sampleRateHz'];

  it.each([
    ['hopsM', 'hopMs'],
    ['hop_ms', 'hopMs'],
    ['Sample-Rate-Hz', 'sampleRateHz'],
    ['sampleRate', 'sampleRateHz'],
    ['colour', null],
  ])('finds for %s the key %s', (key, expected) => {
    expect(nearestKey(key, known)).toBe(expected);
  });

  it('measures a distance: symmetric, zero only for equal words, never more than the longer word', () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b);
        expect(distance).toBe(editDistance(b, a));
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

describe('secrets', () => {
  it('are masked by key and in addresses, and empty ones stay visibly empty', () => {
    const value = {
      token: 'a',
      users: [{ username: 'u', password: 'b' }],
      none: { token: '' },
      url: 'mqtts://u:p@h:1/x?y=a@b',
    };
    expect(maskSecrets(value)).toEqual({
      token: '***',
      users: [{ username: 'u', password: '***' }],
      none: { token: '' },
      url: 'mqtts://***@h:1/x?y=a@b',
    });
  });

  it('are masked in addresses whatever characters they have', () => {
    for (const url of ['http://u:p@ss@h/', 'see http://u:p@h and mqtt://a:b@c', 'HTTP://:p@h']) {
      expect(maskUrls(url)).not.toMatch(/[:/](u|p|a:b|:p)(:p)?@/);
    }
    expect(maskUrls('http://u:p@ss@h/')).toBe('http://***@h/');
    expect(maskUrls('plant/a@b')).toBe('plant/a@b');
  });
});

describe('formatPath', () => {
  it('quotes what is no plain word', () => {
    expect(formatPath(['machineClasses', 'a b', 'topics', 0])).toBe('machineClasses["a b"].topics[0]');
    expect(formatPath(['channels', '*'])).toBe('channels["*"]');
    expect(formatPath([])).toBe('the configuration');
  });
});
