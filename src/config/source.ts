/** Text of a configuration file and the environment -> a plain value, with the line and column of every key in it. */

import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
} from 'yaml';
import { describeError } from '../errors.ts';
import { type Environment, expandEnvironment, typedValue } from './environment.ts';
import { isWithin, type JsonPath } from './json-path.ts';
import type { ConfigProblem } from './problem.ts';

/** Aliases may stand for others; this many resolved nodes stop a file from unfolding into gigabytes. */
const MAX_ALIAS_COUNT = 100;

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A problem with the place it was found at already known, as for YAML syntax. */
export interface PlacedProblem extends ConfigProblem {
  readonly position?: Position;
}

interface MapEntry {
  readonly key: Node | null;
  readonly value: Node | null;
}

/** A parsed configuration file. Reads nothing; `problems` holds what the text and the environment got wrong. */
export class ConfigSource {
  readonly problems: readonly PlacedProblem[];
  /** True if the text is YAML at all; otherwise `value` is null. */
  readonly readable: boolean;
  readonly #lines = new LineCounter();
  readonly #document;
  /** Scalars whose variable was read as a number or boolean, with the text it held. */
  readonly #typed = new Map<Scalar, string>();
  readonly #fromEnvironment = new Set<Scalar>();
  #value: unknown = null;

  constructor(text: string, env: Environment) {
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const problems = this.#syntaxProblems(text);
    if (problems.length === 0) {
      this.#expand(env, problems);
      this.#refresh(problems);
    }
    this.readable = this.#document.errors.length === 0 && this.#value !== undefined;
    this.problems = problems;
  }

  /** Mappings, lists, strings, numbers, booleans, null. */
  get value(): unknown {
    return this.#value;
  }

  /** Where the value (or with `atKey` its key) stands; for a missing one, the nearest mapping around it. */
  locate(path: JsonPath, atKey = false): Position {
    let node: Node | null = this.#document.contents as Node | null;
    let found: Node | null = null;
    for (const [depth, part] of path.entries()) {
      const entry = this.#member(node, part);
      if (entry === null) break;
      const isLast = depth === path.length - 1;
      // A missing member is reported at the key of the mapping that should have it.
      found = isLast && !atKey ? (entry.value ?? entry.key) : (entry.key ?? entry.value);
      node = entry.value;
    }
    return this.#position((found ?? this.#document.contents)?.range?.[0] ?? 0);
  }

  /** True if the value at `path` was written in the file itself, not taken from the environment. */
  isLiteral(path: JsonPath): boolean {
    const node = this.#nodeAt(path);
    return isScalar(node) && !this.#fromEnvironment.has(node);
  }

  /**
   * A variable that looks like a number was taken as one; the schema wants text here, so gives the text back.
   * @returns true if the value at `path` was such a variable and has changed
   */
  readAsText(path: JsonPath): boolean {
    const node = this.#nodeAt(path);
    if (!isScalar(node)) return false;
    const text = this.#typed.get(node);
    if (text === undefined) return false;
    node.value = text;
    this.#typed.delete(node);
    this.#refresh([]);
    return true;
  }

  /** The first fault of each line: what follows on the same line is mostly its echo. */
  #syntaxProblems(text: string): PlacedProblem[] {
    const byLine = new Map<number, PlacedProblem>();
    for (const error of this.#document.errors) {
      const position = this.#position(error.pos[0]);
      if (byLine.has(position.line)) continue;
      const line = text.split('\n')[position.line - 1] ?? '';
      const hint = line.includes('${') ? '; inside { } and [ ] a ${NAME} needs quotes' : '';
      const message = `not valid YAML: ${firstLine(error.message)}${hint}`;
      byLine.set(position.line, { path: [], message, position });
    }
    return [...byLine.values()];
  }

  #expand(env: Environment, problems: PlacedProblem[]): void {
    visit(this.#document, {
      Scalar: (key, node, ancestors) => {
        if (key === 'key' || typeof node.value !== 'string') return;
        const result = expandEnvironment(node.value, env);
        if (!result.ok) {
          const path = pathOf(ancestors, node);
          for (const message of result.problems) {
            problems.push({ path, message, position: this.#position(node.range?.[0] ?? 0) });
          }
          return;
        }
        if (result.expanded) this.#fromEnvironment.add(node);
        node.value = result.whole ? typedValue(result.text) : result.text;
        if (typeof node.value !== 'string') this.#typed.set(node, result.text);
      },
      Pair: (_key, pair, ancestors) => {
        // zod and plain objects would both lose it without a word.
        if (!isScalar(pair.key) || pair.key.value !== '__proto__') return;
        problems.push({
          path: pathOf(ancestors, pair),
          message: 'this name is reserved; choose another',
          position: this.#position(pair.key.range?.[0] ?? 0),
        });
      },
    });
  }

  #refresh(problems: PlacedProblem[]): void {
    try {
      this.#value = this.#document.toJS({ maxAliasCount: MAX_ALIAS_COUNT });
    } catch (error) {
      problems.push({ path: [], message: `not usable YAML: ${firstLine(describeError(error))}` });
      this.#value = undefined;
    }
  }

  #nodeAt(path: JsonPath): Node | null {
    let node: Node | null = this.#document.contents as Node | null;
    for (const part of path) node = this.#member(node, part)?.value ?? null;
    return node !== null && isAlias(node) ? (node.resolve(this.#document) ?? null) : node;
  }

  #member(node: Node | null, part: string | number): MapEntry | null {
    const target = node !== null && isAlias(node) ? node.resolve(this.#document) : node;
    if (isSeq(target)) {
      const item = target.items[Number(part)] as Node | undefined;
      return item === undefined ? null : { key: null, value: item };
    }
    if (!isMap(target)) return null;
    const pair = target.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
    return pair === undefined ? null : { key: pair.key as Node, value: pair.value as Node | null };
  }

  #position(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

/** The way to `leaf` through the ancestors that the visitor gives: keys of pairs, indices in lists. */
function pathOf(ancestors: readonly unknown[], leaf: unknown): JsonPath {
  const chain = [...ancestors, leaf];
  const path: (string | number)[] = [];
  chain.forEach((node, i) => {
    if (isPair(node)) path.push(isScalar(node.key) ? String(node.key.value) : String(node.key));
    else if (isSeq(node)) path.push(node.items.indexOf(chain[i + 1]));
  });
  return path;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!;
}

/** True if one of `problems` already speaks of `path` or of something around it. */
export function isReported(problems: readonly ConfigProblem[], path: JsonPath): boolean {
  return problems.some((problem) => isWithin(path, problem.path));
}
