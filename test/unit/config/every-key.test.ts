/** Every key of the schema, made wrong in every way it can be: exit code 78, and the message names the key. */

import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { exampleYaml } from '../../../src/config/generate.ts';
import { formatPath, type JsonPath } from '../../../src/config/json-path.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { configJsonSchema, type SchemaNode, schemaAt } from '../../../src/config/schema-tree.ts';
import { GatewayError } from '../../../src/errors.ts';

const SCHEMA = configJsonSchema();
const FULL = parse(exampleYaml()) as Record<string, unknown>;

interface Leaf {
  readonly path: JsonPath;
  readonly node: SchemaNode;
}

function leaves(value: unknown, path: JsonPath = []): Leaf[] {
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, inner]) =>
      leaves(inner, [...path, Array.isArray(value) ? Number(key) : key]),
    );
  }
  return [{ path, node: schemaAt(SCHEMA, path, FULL)! }];
}

function mappings(value: unknown, path: JsonPath = []): JsonPath[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const inside = Object.entries(value).flatMap(([key, inner]) => mappings(inner, [...path, key]));
  return schemaAt(SCHEMA, path, FULL)?.properties === undefined ? inside : [path, ...inside];
}

type Container = Record<string | number, unknown>;

function containerAt(root: unknown, path: JsonPath): Container {
  return path.reduce((at, part) => at[part] as Container, root as Container);
}

function withValue(path: JsonPath, value: unknown): string {
  const copy = structuredClone(FULL);
  containerAt(copy, path.slice(0, -1))[path.at(-1)!] = value;
  return stringify(copy);
}

/** The message of the refusal, which must be one of ours with the exit code for configurations. */
function refusal(text: string): string {
  try {
    parseConfig(text, { path: 'gw.yaml', env: {} });
  } catch (error) {
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({ code: 'MW_CONFIG_INVALID', exitCode: 78 });
    return (error as Error).message;
  }
  return 'accepted';
}

/** The line a message points to. */
function pointedLine(text: string, message: string, path: JsonPath): string {
  const line = message.split('\n').find((l) => l.includes(`: ${formatPath(path)}: `)) ?? '';
  const number = Number(/gw\.yaml:(\d+):/.exec(line)?.[1]);
  return text.split('\n')[number - 1] ?? '';
}

function wrongValues(node: SchemaNode): unknown[] {
  const types = typeof node.type === 'string' ? [node.type] : (node.type ?? []);
  const wrong: unknown[] = [{ a: 1 }, [['x']]];
  if (types.includes('integer') || types.includes('number')) {
    wrong.push('many', true, Number.NaN, Number.POSITIVE_INFINITY);
    if (node.minimum !== undefined) wrong.push(node.minimum - 1);
    if (node.exclusiveMinimum !== undefined) wrong.push(node.exclusiveMinimum);
    if (node.maximum !== undefined && node.maximum < Number.MAX_SAFE_INTEGER) wrong.push(node.maximum + 1);
    if (types.includes('integer')) wrong.push(1.5);
  }
  if (types.includes('boolean')) wrong.push('yes', 1);
  if (types.includes('string')) wrong.push(17, false);
  if (node.enum !== undefined || node.const !== undefined) wrong.push('nope');
  if (!types.includes('null') && node.default === undefined) wrong.push(null);
  return wrong;
}

describe('every key', () => {
  const all = leaves(FULL);

  it('is in the full example', () => {
    expect(all.length).toBeGreaterThan(100);
    expect(refusal(stringify(FULL))).toBe('accepted');
  });

  it.each(all.map((leaf) => [formatPath(leaf.path), leaf] as const))(
    '%s is refused with every wrong value, at its line',
    (_name, { path, node }) => {
      for (const wrong of wrongValues(node)) {
        const text = withValue(path, wrong);
        const message = refusal(text);
        expect(message, `value ${JSON.stringify(wrong)}`).toContain(`: ${formatPath(path)}`);
        const key = path.findLast((part) => typeof part === 'string')!;
        if (typeof wrong !== 'object' && typeof path.at(-1) === 'string')
          expect(pointedLine(text, message, path)).toContain(`${key}:`);
      }
    },
  );

  it.each(mappings(FULL).map((path) => [formatPath(path), path] as const))(
    '%s takes no unknown key',
    (_name, path) => {
      const key: JsonPath = [...path, 'noSuchKey'];
      const message = refusal(withValue(key, 1));
      expect(message).toContain(`: ${formatPath(key)}: unknown key`);
    },
  );

  it.each(mappings(FULL).map((path) => [formatPath(path), path] as const))(
    '%s says which required key is missing',
    (_name, path) => {
      for (const key of schemaAt(SCHEMA, path, FULL)?.required ?? []) {
        const copy = structuredClone(FULL);
        delete containerAt(copy, path)[key];
        expect(refusal(stringify(copy))).toContain(`: ${formatPath([...path, key])}: `);
      }
    },
  );
});
