/** What the page writes for numbers and times. */

import { describe, expect, it } from 'vitest';

type Format = Record<string, (value: never) => string>;

// A path in a variable: the page's scripts have no types, on purpose.
const script = '../../../src/http/page/format.js';
const format = (await import(script)) as Format;
const call = (name: string, value: unknown): string => format[name]!(value as never);

describe('the words of the page', () => {
  it.each([
    ['valueText', 0, '0'],
    ['valueText', 4213.74, '4214'],
    ['valueText', 0.42131, '0.4213'],
    ['valueText', -12.3456, '-12.35'],
    ['valueText', 0.00021, '2.10e-4'],
    ['valueText', 12_345_678, '1.23e7'],
    ['valueText', null, '–'],
    ['valueText', Number.NaN, '–'],
    ['countText', 1_234_567, '1\u2009234\u2009567'],
    ['percentText', 0.996, '99 %'],
    ['percentText', 1, '100 %'],
    ['percentText', 0.004, '0 %'],
    ['percentText', null, '–'],
    ['bytesText', 0, '0 B'],
    ['bytesText', 1536, '1.5 KiB'],
    ['bytesText', 1_073_741_824, '1.0 GiB'],
    ['spanText', -500, '0 s'],
    ['spanText', 999, '0 s'],
    ['spanText', 61_000, '1 min 1 s'],
    ['spanText', 7_200_000, '2 h'],
    ['spanText', 90_000_000, '1 d 1 h'],
    ['rarityText', 0.5, '1 healthy window in 2 looks like this'],
    ['rarityText', 1, 'most healthy windows look like this'],
    ['rarityText', 1 / 13_333, '1 healthy window in 13\u2009000 looks like this'],
    ['rarityText', 0, 'fewer than 1 healthy window in a million looks like this'],
    ['deviationText', 1.9, 'near its normal'],
    ['deviationText', -3, 'below its normal'],
    ['deviationText', 5, 'well above its normal'],
    ['deviationText', -50, 'far below its normal'],
    ['unitText', 'degC', '°C'],
    ['unitText', '1', ''],
    ['unitText', '(m/s2)^2', '(m/s²)²'],
    ['unitText', '(g)^2', 'g²'],
    ['unitText', 'toString', 'toString'],
  ])('%s(%s) is %j', (name, value, expected) => {
    expect(call(name, value)).toBe(expected);
  });
});
