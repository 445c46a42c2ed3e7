/**
 * One line of line protocol, as `encodeLine` writes it and a person edits it -> the point. Pure.
 *
 * Stricter than a server where leniency would change what is stored: integers (`5i`) are refused, as the gateway's
 * numbers are floats; so are a missing time, a repeated key and an empty tag.
 */

import type { FieldValue, Point } from '../domain/point.ts';

/** The point, or what is wrong with the line and where. Time is in milliseconds. */
export function decodeLine(line: string): Point | string {
  const reader = new LineReader(line.trim());
  try {
    return reader.point();
  } catch (error) {
    return error instanceof Fault ? `${error.message} at character ${reader.at + 1}` : String(error);
  }
}

class Fault extends Error {}

class LineReader {
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  point(): Point {
    if (this.#next === '#') throw new Fault('a comment instead of a measurement');
    const measurement = this.#name(', ', ', ');
    if (measurement === '') throw new Fault('no measurement');
    const tags = this.#pairs(' ', () => this.#tagValue());
    this.#skip(' ', 'a space and then fields');
    // Fields begin as tags do, without the comma before the first.
    const fields = this.#pairs(' ', () => this.#fieldValue(), true);
    this.#skip(' ', 'a space and then the time in milliseconds');
    const time = this.#text.slice(this.at);
    if (!/^-?\d{1,16}$/.test(time)) throw new Fault('the time in milliseconds is no whole number');
    return { pointClass: 'aggregate', measurement, tags, fields, timeMs: Number(time) };
  }

  get #next(): string {
    return this.#text.charAt(this.at);
  }

  #skip(character: string, expected: string): void {
    if (this.#next !== character) throw new Fault(`expected ${expected}`);
    this.at += 1;
  }

  /** `key=value` pairs up to `end`, each after a comma but, where `isBare`, the first. */
  #pairs<T>(end: string, value: () => T, isBare = false): Record<string, T> {
    const pairs = new Map<string, T>();
    while (isBare && pairs.size === 0 ? true : this.#next !== end && this.#next !== '') {
      if (!isBare || pairs.size > 0) this.#skip(',', 'a comma');
      const key = this.#name('=, ', ',= ');
      if (key === '' || pairs.has(key)) throw new Fault(key === '' ? 'a key is missing' : `a second ${key}`);
      this.#skip('=', `= after ${key}`);
      pairs.set(key, value());
    }
    return Object.fromEntries(pairs);
  }

  #tagValue(): string {
    const value = this.#name(', ', ',= ');
    if (value === '') throw new Fault('a tag without a value');
    return value;
  }

  #fieldValue(): FieldValue {
    if (this.#next === '"') return this.#quoted();
    const word = this.#name(', ', '');
    if (/^(t|T|true|True|TRUE)$/.test(word)) return true;
    if (/^(f|F|false|False|FALSE)$/.test(word)) return false;
    if (/^-?\d+[iu]$/.test(word))
      throw new Fault(`numbers are floats: ${word.slice(0, -1)} instead of ${word}`);
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word) ? Number(word) : Number.NaN;
    if (!Number.isFinite(value)) throw new Fault(`${word === '' ? 'nothing' : word} is no value`);
    return value;
  }

  #quoted(): string {
    let text = '';
    for (this.at += 1; this.#next !== '"'; this.at += 1) {
      if (this.#next === '') throw new Fault('a string without its closing quote');
      if (this.#next === '\\' && '"\\'.includes(this.#text.charAt(this.at + 1))) this.at += 1;
      text += this.#next;
    }
    this.at += 1;
    return text;
  }

  /** Up to a character of `ends`; a backslash takes its special meaning from those of `escapable` alone. */
  #name(ends: string, escapable: string): string {
    let name = '';
    for (; this.#next !== '' && !ends.includes(this.#next); this.at += 1) {
      const following = this.#text.charAt(this.at + 1);
      if (this.#next === '\\' && following !== '' && escapable.includes(following)) this.at += 1;
      name += this.#next;
    }
    return name;
  }
}
