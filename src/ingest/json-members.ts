/**
 * A JSON payload enters, the members that a mapping names leave: by a byte scanner for flat objects, by JSON.parse
 * for everything else. Both give the same answer for every input (property-tested).
 */

import { JsonNumberReader } from './json-number.ts';

/** What stood at one pointer. */
export const MemberKind = { ABSENT: 0, NULL: 1, NUMBER: 2, TEXT: 3, LIST: 4, OTHER: 5 } as const;

/** Members found in one payload, one slot a pointer; reused. */
export class JsonMembers {
  /** Per slot, a MemberKind. */
  kinds = new Uint8Array(8);
  /** Per slot, valid for NUMBER. */
  numbers = new Float64Array(8);
  /** Per slot, valid for TEXT. */
  readonly texts: string[] = [];
  /** Shape [listLength], valid where a slot is LIST. */
  list = new Float64Array(256);
  listLength = 0;

  begin(slots: number): void {
    if (slots > this.kinds.length) {
      this.kinds = new Uint8Array(2 * slots);
      this.numbers = new Float64Array(2 * slots);
    }
    this.kinds.fill(MemberKind.ABSENT, 0, slots);
  }

  number(slot: number, value: number): void {
    this.kinds[slot] = MemberKind.NUMBER;
    this.numbers[slot] = value;
  }

  text(slot: number, value: string): void {
    this.kinds[slot] = MemberKind.TEXT;
    this.texts[slot] = value;
  }

  beginList(slot: number): void {
    this.kinds[slot] = MemberKind.LIST;
    this.listLength = 0;
  }

  addToList(value: number): void {
    if (this.listLength === this.list.length) {
      const list = new Float64Array(2 * this.list.length);
      list.set(this.list);
      this.list = list;
    }
    this.list[this.listLength] = value;
    this.listLength += 1;
  }
}

/** A member that any mapping may take although nobody named it: `allFields`. Returns its slot, or -1 to leave it. */
export type DiscoverMember = (key: string) => number;

/** Reads the pointers of one mapping out of payloads. */
export class JsonMemberReader {
  readonly #pointers: string[][] = [];
  /** The pointer's only token as bytes; null where the scanner can't look for it. */
  readonly #keys: (Uint8Array | null)[] = [];
  readonly #listSlot: number;
  readonly #discover: DiscoverMember | null;
  readonly #number = new JsonNumberReader();
  #flat = true;
  #at = 0;

  /**
   * @param pointers RFC 6901, one a slot
   * @param listSlot the slot whose value may be a list of numbers (-1: none); lists anywhere else are OTHER
   * @param discover asked for every top-level number that no pointer names
   */
  constructor(pointers: readonly string[], listSlot: number, discover: DiscoverMember | null) {
    this.#listSlot = listSlot;
    this.#discover = discover;
    for (const pointer of pointers) this.add(pointer);
  }

  get slots(): number {
    return this.#pointers.length;
  }

  /** One more slot; returns its number. */
  add(pointer: string): number {
    const tokens = pointerTokens(pointer);
    const key = tokens.length === 1 ? Buffer.from(tokens[0]!, 'utf8') : null;
    const scannable =
      key?.every((byte) => byte >= 0x20 && byte < 0x80 && byte !== 0x22 && byte !== 0x5c) ?? false;
    // A key that two pointers name would have to fill two slots; the tree does that.
    const twice = this.#pointers.some((known) => known.length === 1 && known[0] === tokens[0]);
    if (!scannable || twice) this.#flat = false;
    this.#keys.push(key);
    return this.#pointers.push(tokens) - 1;
  }

  /** Fills `out`; false if the payload is no JSON. */
  read(bytes: Buffer, from: number, to: number, out: JsonMembers): boolean {
    return (this.#flat && this.scan(bytes, from, to, out)) || this.parse(bytes, from, to, out);
  }

  /** The scanner alone: false where it can't vouch for the answer; `out` is then undefined. */
  scan(bytes: Buffer, from: number, to: number, out: JsonMembers): boolean {
    out.begin(this.slots);
    let at = skipSpace(bytes, from, to);
    if (bytes[at] !== OPEN_OBJECT) return false;
    at = skipSpace(bytes, at + 1, to);
    if (bytes[at] === CLOSE_OBJECT) return skipSpace(bytes, at + 1, to) === to;
    let expected = 0;
    for (;;) {
      if (at >= to || bytes[at] !== QUOTE) return false;
      const keyFrom = at + 1;
      const keyTo = plainTextEnd(bytes, keyFrom, to);
      if (keyTo < 0) return false;
      at = skipSpace(bytes, keyTo + 1, to);
      if (at >= to || bytes[at] !== COLON) return false;
      const slot = this.#slotOf(bytes, keyFrom, keyTo, expected);
      if (slot >= 0) expected = slot + 1;
      at = skipSpace(bytes, at + 1, to);
      if (at >= to || !this.#value(bytes, at, to, slot, keyFrom, keyTo, out)) return false;
      at = skipSpace(bytes, this.#at, to);
      if (at >= to) return false;
      if (bytes[at] === CLOSE_OBJECT) return skipSpace(bytes, at + 1, to) === to;
      if (bytes[at] !== COMMA) return false;
      at = skipSpace(bytes, at + 1, to);
    }
  }

  /** The tree alone. */
  parse(bytes: Buffer, from: number, to: number, out: JsonMembers): boolean {
    let root: unknown;
    try {
      root = JSON.parse(bytes.toString('utf8', from, to));
    } catch {
      return false;
    }
    if (this.#discover !== null && isObject(root)) this.#discoverIn(root);
    out.begin(this.slots);
    for (let slot = 0; slot < this.#pointers.length; slot++) {
      putMember(valueAt(root, this.#pointers[slot]!), slot, slot === this.#listSlot, out);
    }
    return true;
  }

  /** Senders keep the order of their members, so the slot after the last one is looked at first. */
  #slotOf(bytes: Buffer, from: number, to: number, expected: number): number {
    const keys = this.#keys;
    if (expected < keys.length && sameBytes(keys[expected]!, bytes, from, to)) return expected;
    for (let slot = 0; slot < keys.length; slot++) {
      if (sameBytes(keys[slot]!, bytes, from, to)) return slot;
    }
    return -1;
  }

  /** Reads the value at `at` into `slot` (or over it); leaves where it ended in #at. */
  #value(
    bytes: Buffer,
    at: number,
    to: number,
    slot: number,
    keyFrom: number,
    keyTo: number,
    out: JsonMembers,
  ): boolean {
    const first = bytes[at]!;
    if (first === QUOTE) {
      const end = slot >= 0 ? plainTextEnd(bytes, at + 1, to) : textEnd(bytes, at + 1, to);
      if (end < 0) return false;
      if (slot >= 0) out.text(slot, bytes.toString('latin1', at + 1, end));
      this.#at = end + 1;
      return true;
    }
    if (first === OPEN_LIST)
      return slot >= 0 && slot === this.#listSlot && this.#list(bytes, at, to, slot, out);
    if (first === MINUS || (first >= 0x30 && first <= 0x39)) {
      const value = this.#number.read(bytes, at, to);
      if (Number.isNaN(value)) return false;
      this.#at = this.#number.at;
      const target =
        slot < 0 && this.#discover !== null
          ? this.#found(bytes.toString('latin1', keyFrom, keyTo), out)
          : slot;
      if (target >= 0) out.number(target, value);
      return true;
    }
    return this.#word(bytes, at, to, slot, out);
  }

  #list(bytes: Buffer, openAt: number, to: number, slot: number, out: JsonMembers): boolean {
    out.beginList(slot);
    let at = skipSpace(bytes, openAt + 1, to);
    if (bytes[at] === CLOSE_LIST) {
      this.#at = at + 1;
      return at < to;
    }
    for (;;) {
      const value = this.#number.read(bytes, at, to);
      if (Number.isNaN(value)) return false;
      out.addToList(value);
      at = skipSpace(bytes, this.#number.at, to);
      if (at >= to) return false;
      if (bytes[at] === CLOSE_LIST) break;
      if (bytes[at] !== COMMA) return false;
      at = skipSpace(bytes, at + 1, to);
    }
    this.#at = at + 1;
    return true;
  }

  #word(bytes: Buffer, at: number, to: number, slot: number, out: JsonMembers): boolean {
    const word = WORDS.find(
      ({ text }) => at + text.length <= to && sameBytes(text, bytes, at, at + text.length),
    );
    if (word === undefined) return false;
    if (slot >= 0) out.kinds[slot] = word.kind;
    this.#at = at + word.text.length;
    return true;
  }

  #found(key: string, out: JsonMembers): number {
    const before = this.slots;
    const slot = this.#discover!(key);
    // A slot made just now has to be readable in this very message.
    if (this.slots > before) growMembers(out, this.slots);
    return slot;
  }

  #discoverIn(root: object): void {
    for (const [key, value] of Object.entries(root)) {
      if (
        typeof value === 'number' &&
        !this.#pointers.some((known) => known.length === 1 && known[0] === key)
      ) {
        this.#discover!(key);
      }
    }
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const WORDS = [
  { text: Buffer.from('true'), kind: MemberKind.OTHER },
  { text: Buffer.from('false'), kind: MemberKind.OTHER },
  { text: Buffer.from('null'), kind: MemberKind.NULL },
] as const;

function growMembers(out: JsonMembers, slots: number): void {
  if (slots <= out.kinds.length) {
    out.kinds[slots - 1] = MemberKind.ABSENT;
    return;
  }
  const kinds = new Uint8Array(2 * slots);
  const numbers = new Float64Array(2 * slots);
  kinds.set(out.kinds);
  numbers.set(out.numbers);
  out.kinds = kinds;
  out.numbers = numbers;
}

function skipSpace(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09))
    at += 1;
  return at;
}

/** Where a text of plain ASCII without escapes ends; -1 for any other. */
function plainTextEnd(bytes: Buffer, from: number, to: number): number {
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at;
    if (byte < 0x20 || byte >= 0x80 || byte === BACKSLASH) return -1;
  }
  return -1;
}

/** Where a text without escapes ends that nobody reads; -1 for any other. */
function textEnd(bytes: Buffer, from: number, to: number): number {
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at;
    if (byte < 0x20 || byte === BACKSLASH) return -1;
  }
  return -1;
}

function sameBytes(key: Uint8Array, bytes: Buffer, from: number, to: number): boolean {
  if (key.length !== to - from) return false;
  for (let i = 0; i < key.length; i++) {
    if (key[i] !== bytes[from + i]) return false;
  }
  return true;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function putMember(value: unknown, slot: number, mayBeList: boolean, out: JsonMembers): void {
  if (value === undefined) return;
  if (typeof value === 'number') out.number(slot, value);
  else if (typeof value === 'string') out.text(slot, value);
  else if (value === null) out.kinds[slot] = MemberKind.NULL;
  else if (mayBeList && Array.isArray(value) && value.every((item) => typeof item === 'number')) {
    out.beginList(slot);
    for (const item of value) out.addToList(item);
  } else out.kinds[slot] = MemberKind.OTHER;
}

function pointerTokens(pointer: string): string[] {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value at a pointer; undefined where nothing is. Source: RFC 6901 §4. */
function valueAt(root: unknown, tokens: readonly string[]): unknown {
  let value = root;
  for (const token of tokens) {
    if (Array.isArray(value)) value = /^(0|[1-9]\d*)$/.test(token) ? value[Number(token)] : undefined;
    else if (isObject(value) && Object.hasOwn(value, token))
      value = (value as Record<string, unknown>)[token];
    else return undefined;
  }
  return value;
}
