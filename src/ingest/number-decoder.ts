/** A payload that is one decimal number in text enters, the number leaves in a Reading without time. */

import type { DeadLetterReason } from '../domain/dead-letter.ts';
import { JsonNumberReader } from './json-number.ts';
import { Found, type PayloadDecoder, type Reading } from './reading.ts';

/** What simple senders write besides JSON numbers: `+1`, `.5`, `5.`, leading zeros. */
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const NO_NUMBER_WORDS = /^[+-]?(nan|inf|infinity)$/i;
/** No number anyone means is longer; a longer text is not worth a string. */
const MAX_TEXT_BYTES = 64;

/** For `format: number`. */
export class NumberDecoder implements PayloadDecoder {
  readonly slotNames: readonly string[] = [];
  readonly #number = new JsonNumberReader();

  /** `missing_value` for an empty payload, `not_finite` for nan and inf as words, `not_a_number` for anything else. */
  decode(bytes: Buffer, from: number, to: number, out: Reading): DeadLetterReason | null {
    out.begin(1);
    const value = this.#number.read(bytes, from, to);
    if (!Number.isNaN(value) && this.#number.at === to) return number(out, value);
    if (to - from > MAX_TEXT_BYTES) return out.fault('not_a_number', 'the payload is no decimal number');
    const text = bytes.toString('latin1', from, to).trim();
    if (text === '') return out.fault('missing_value', 'the payload is empty');
    if (DECIMAL.test(text)) return number(out, Number(text));
    if (NO_NUMBER_WORDS.test(text)) return out.fault('not_finite', `the payload is ${text}`);
    return out.fault('not_a_number', 'the payload is no decimal number');
  }
}

function number(out: Reading, value: number): null {
  out.found[0] = Found.NUMBER;
  out.values[0] = value;
  return null;
}
