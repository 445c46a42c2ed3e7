/** The configuration schema as JSON Schema, and what it says about one path: known keys and allowed values. */

import { z } from 'zod';
import type { JsonPath } from './json-path.ts';
import { configSchema } from './schema.ts';

/** The part of JSON Schema 2020-12 that our schema uses. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | SchemaNode;
  readonly items?: SchemaNode;
  readonly prefixItems?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly anyOf?: readonly SchemaNode[];
}

let inputSchema: SchemaNode | undefined;

/** What may be written in the file: defaults make keys optional. Made once, when first asked for. */
export function configJsonSchema(): SchemaNode {
  inputSchema ??= z.toJSONSchema(configSchema, { io: 'input' }) as SchemaNode;
  return inputSchema;
}

/**
 * The schema node that governs `path` in `value`, or null where the path is unknown. Where the schema offers
 * alternatives, the one whose fixed member (`type`, `format`) equals the value's is taken.
 */
export function schemaAt(root: SchemaNode, path: JsonPath, value: unknown): SchemaNode | null {
  let node: SchemaNode | null = root;
  let here = value;
  for (const part of path) {
    node = childSchema(alternativeFor(node, here), part);
    if (node === null) return null;
    here = memberOf(here, part);
  }
  return alternativeFor(node, here);
}

function memberOf(value: unknown, part: string | number): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
  return (value as Record<string | number, unknown>)[part];
}

function alternativeFor(node: SchemaNode, value: unknown): SchemaNode {
  if (node.oneOf === undefined) return node;
  const match = node.oneOf.find((option) =>
    Object.entries(option.properties ?? {}).some(
      ([key, inner]) => inner.const !== undefined && inner.const === memberOf(value, key),
    ),
  );
  return match ?? node;
}

function childSchema(node: SchemaNode, part: string | number): SchemaNode | null {
  if (typeof part === 'number') return node.prefixItems?.[part] ?? node.items ?? null;
  const known = node.properties;
  if (known !== undefined && Object.hasOwn(known, part)) return known[part]!;
  // No alternative was chosen yet: the discriminator itself is what is asked for.
  if (node.oneOf !== undefined) {
    const values = node.oneOf
      .map((option) => option.properties?.[part]?.const)
      .filter((v) => v !== undefined);
    return values.length > 0 ? { enum: values } : null;
  }
  return typeof node.additionalProperties === 'object' ? node.additionalProperties : null;
}

/** What a value must be, for a person: `a whole number from 100 to 86400000`, `one of "s", "ms"`. */
export function describeAllowed(node: SchemaNode): string {
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum !== undefined) return `one of ${node.enum.map((v) => JSON.stringify(v)).join(', ')}`;
  const options = node.anyOf ?? node.oneOf;
  if (options !== undefined) return options.map(describeAllowed).join(' or ');
  const types = typeof node.type === 'string' ? [node.type] : (node.type ?? []);
  return types.map((type) => describeType(type, node)).join(' or ');
}

function describeType(type: string, node: SchemaNode): string {
  switch (type) {
    case 'integer':
      return `a whole number${describeRange(node)}`;
    case 'number':
      return `a number${describeRange(node)}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      return node.minLength === undefined ? 'text' : 'text that is not empty';
    case 'array':
      return node.items === undefined
        ? `a list of ${node.prefixItems?.length ?? 'any'} values`
        : `a list, each ${describeAllowed(node.items)}`;
    case 'object':
      return 'a mapping';
    default:
      return type;
  }
}

/** ` from 1 to 10`, ` above 0 and up to 5`, or '' where nothing bounds the number. */
export function describeRange(node: SchemaNode): string {
  const { minimum, exclusiveMinimum } = node;
  // zod states the limits of exact integers where we set none.
  const maximum = node.maximum === Number.MAX_SAFE_INTEGER ? undefined : node.maximum;
  if (exclusiveMinimum !== undefined) {
    return maximum === undefined
      ? ` above ${exclusiveMinimum}`
      : ` above ${exclusiveMinimum} and up to ${maximum}`;
  }
  if (minimum !== undefined && minimum !== Number.MIN_SAFE_INTEGER) {
    return maximum === undefined ? ` of at least ${minimum}` : ` from ${minimum} to ${maximum}`;
  }
  return maximum === undefined ? '' : ` up to ${maximum}`;
}
