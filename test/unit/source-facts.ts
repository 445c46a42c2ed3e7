/** A source file enters, what it imports and which parts of its surroundings it touches leave. */

import { posix } from 'node:path';
import { parseSync } from 'vite';

export interface ImportFact {
  /** Path below the repository for our own files, the package or `node:` name otherwise. */
  readonly target: string;
  /** Gone at run time. */
  readonly typeOnly: boolean;
}

export interface SourceFacts {
  readonly imports: readonly ImportFact[];
  /** Names of clocks, chance, timers, processes and consoles in use, such as `Date.now` or `setTimeout`. */
  readonly surroundings: readonly string[];
  /** Hands on everything of another file. */
  readonly exportsAll: boolean;
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** Whatever is reached through one of these comes from outside the program. */
const SURROUNDING_NAMES: ReadonlySet<string> = new Set([
  'console',
  'crypto',
  'fetch',
  'globalThis',
  'performance',
  'process',
  'queueMicrotask',
  'require',
  'setImmediate',
  'setInterval',
  'setTimeout',
]);
const SURROUNDING_MEMBERS: ReadonlySet<string> = new Set(['Date.now', 'Math.random']);

/**
 * @param path below the repository, with forward slashes
 * @throws Error if the source does not parse
 */
export function factsOf(path: string, source: string): SourceFacts {
  const { program, errors } = parseSync(path, source);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]!.message}`);
  const imports: ImportFact[] = [];
  const surroundings = new Set<string>();
  let exportsAll = false;
  walk(program as unknown as Node, null, '', (node, parent, key) => {
    const specifier = specifierOf(node);
    if (specifier !== null) {
      const typeOnly =
        node['importKind'] === 'type' || node['exportKind'] === 'type' || node.type === 'TSImportType';
      imports.push({ target: resolved(path, specifier), typeOnly });
    }
    if (node.type === 'ExportAllDeclaration') exportsAll = true;
    const surrounding = surroundingOf(node, parent, key);
    if (surrounding !== null) surroundings.add(surrounding);
  });
  return { imports, surroundings: [...surroundings].sort(), exportsAll };
}

/** The file or package a node names; a worker's entry, `new URL('./x.ts', import.meta.url)`, counts as an import. */
function specifierOf(node: Node): string | null {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return literal(node['source']);
    case 'NewExpression': {
      if (nameOf(node['callee']) !== 'URL') return null;
      const [file] = node['arguments'] as unknown[];
      const path = literal(file);
      return path !== null && /^\.\.?\/.*\.ts$/.test(path) ? path : null;
    }
    default:
      return null;
  }
}

function surroundingOf(node: Node, parent: Node | null, key: string): string | null {
  if (node.type === 'MemberExpression') {
    const member = `${nameOf(node['object'])}.${nameOf(node['property']) ?? literal(node['property'])}`;
    return SURROUNDING_MEMBERS.has(member) ? member : null;
  }
  const argumentCount = (node['arguments'] as unknown[] | undefined)?.length;
  if (node.type === 'NewExpression' && nameOf(node['callee']) === 'Date' && argumentCount === 0)
    return 'new Date()';
  if (node.type !== 'Identifier' || !SURROUNDING_NAMES.has(node['name'] as string)) return null;
  const isOnlyAName = (key === 'property' || key === 'key') && parent?.['computed'] !== true;
  return isOnlyAName ? null : (node['name'] as string);
}

function walk(
  node: Node,
  parent: Node | null,
  key: string,
  visit: (node: Node, parent: Node | null, key: string) => void,
): void {
  visit(node, parent, key);
  for (const [name, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value])
      if (isNode(child)) walk(child, node, name, visit);
  }
}

function isNode(value: unknown): value is Node {
  return (
    typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
  );
}

function nameOf(node: unknown): string | null {
  return isNode(node) && node.type === 'Identifier' ? (node['name'] as string) : null;
}

function literal(node: unknown): string | null {
  return isNode(node) && node.type === 'Literal' && typeof node['value'] === 'string' ? node['value'] : null;
}

function resolved(path: string, specifier: string): string {
  return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier;
}
