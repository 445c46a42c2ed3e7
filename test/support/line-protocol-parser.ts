/** Lines of line protocol -> points, written from the reference alone: what a server reads, for comparison. */

export interface ParsedLine {
  readonly measurement: string;
  readonly tags: Record<string, string>;
  readonly fields: Record<string, number | string | boolean>;
  readonly time: number;
}

/** Splits a body at line ends outside string fields; throws on anything a server would refuse. */
export function parseLineProtocol(body: string): ParsedLine[] {
  const parsed: ParsedLine[] = [];
  const reader = new Reader(body);
  while (!reader.atEnd) {
    parsed.push(parseLine(reader));
    if (!reader.atEnd) reader.expect('\n');
  }
  return parsed;
}

function parseLine(reader: Reader): ParsedLine {
  if (reader.peek() === '#') throw new Error('a comment, not a point');
  const measurement = reader.token(', ', ', ');
  if (measurement === '') throw new Error('missing measurement');
  const tags: Record<string, string> = {};
  while (reader.peek() === ',') {
    reader.expect(',');
    const key = reader.token('=', ',= ');
    reader.expect('=');
    const value = reader.token(', ', ',= ');
    if (key === '' || value === '' || key in tags) throw new Error(`bad tag ${key}=${value}`);
    tags[key] = value;
  }
  reader.expect(' ');
  const fields: Record<string, number | string | boolean> = {};
  for (;;) {
    const key = reader.token('=', ',= ');
    reader.expect('=');
    if (key === '') throw new Error('missing field key');
    fields[key] = reader.value();
    if (reader.peek() !== ',') break;
    reader.expect(',');
  }
  reader.expect(' ');
  const time = reader.token('\n', '');
  if (!/^-?\d+$/.test(time)) throw new Error(`bad timestamp ${time}`);
  return { measurement, tags, fields, time: Number(time) };
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  peek(): string {
    return this.#text.charAt(this.#at);
  }

  expect(character: string): void {
    if (this.peek() !== character) {
      throw new Error(
        `expected ${JSON.stringify(character)} at ${this.#at} of ${JSON.stringify(this.#text)}`,
      );
    }
    this.#at++;
  }

  /** Up to an unescaped character of `ends`; a backslash escapes the characters of `escapable` only. */
  token(ends: string, escapable: string): string {
    let token = '';
    for (; !this.atEnd && !ends.includes(this.peek()); this.#at++) {
      const next = this.#text.charAt(this.#at + 1);
      if (this.peek() === '\n') throw new Error('line break inside a name');
      if (this.peek() === '\\' && next !== '' && escapable.includes(next)) this.#at++;
      token += this.peek();
    }
    return token;
  }

  value(): number | string | boolean {
    if (this.peek() === '"') return this.#quoted();
    const text = this.token(', ', '');
    if (text === 'true' || text === 'false') return text === 'true';
    if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text)) throw new Error(`bad field value ${text}`);
    return Number(text);
  }

  #quoted(): string {
    let text = '';
    this.expect('"');
    for (; this.peek() !== '"'; this.#at++) {
      if (this.atEnd) throw new Error('string field without end');
      const next = this.#text.charAt(this.#at + 1);
      if (this.peek() === '\\' && (next === '"' || next === '\\')) this.#at++;
      text += this.peek();
    }
    this.expect('"');
    return text;
  }
}
