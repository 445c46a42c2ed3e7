/** What zod found wrong with the shape of a configuration -> problems in the operator's words. */

import type { z } from 'zod';
import { formatPath, type JsonPath, valueAt } from './json-path.ts';
import { nearestKey } from './nearest-key.ts';
import type { ConfigProblem } from './problem.ts';
import { describeAllowed, type SchemaNode, schemaAt } from './schema-tree.ts';
import { isSecretPath, MASK, maskUrls } from './secrets.ts';

type Issue = z.core.$ZodIssue;

/** Longest piece of an offending value that is repeated in a message. */
const MAX_SHOWN = 60;

/** One problem per key at fault, in the order zod found them. */
export function shapeProblems(issues: readonly Issue[], schema: SchemaNode, value: unknown): ConfigProblem[] {
  return issues.flatMap((issue) => problemsOf(issue, schema, value));
}

function problemsOf(issue: Issue, schema: SchemaNode, value: unknown): ConfigProblem[] {
  const path = issue.path as JsonPath;
  const node = schemaAt(schema, path, value);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey(path, key, node, value));
  }
  if (issue.code === 'invalid_key') {
    const allowed = issue.issues[0]?.message ?? 'another name';
    return [
      { path, message: `the name ${quote(path.at(-1))} is not allowed; allowed: ${allowed}`, atKey: true },
    ];
  }
  const allowed = node === null ? issue.message : describeAllowed(node);
  const found = valueAt(value, path);
  if (found === undefined) {
    return [{ path, message: `missing; needs ${allowed}${about(node)}` }];
  }
  // A pattern is described by its message in the schema, a length or size by zod; ranges and kinds by the schema.
  const rule = issue.code === 'invalid_format' || isSizeIssue(issue) ? sizeOrFormat(issue) : allowed;
  const meant = nearestWord(found, node);
  const suggestion = meant === null ? '' : `; did you mean ${quote(meant)}?`;
  return [{ path, message: `${showValue(path, found)} is not allowed; allowed: ${rule}${suggestion}` }];
}

/** The allowed word that is nearest to a mistyped one; null where none is near or no list of words is meant. */
function nearestWord(found: unknown, node: SchemaNode | null): string | null {
  const words = (node?.enum ?? []).filter((word) => typeof word === 'string');
  return typeof found === 'string' ? nearestKey(found, words) : null;
}

function isSizeIssue(issue: Issue): boolean {
  return (
    (issue.code === 'too_small' || issue.code === 'too_big') &&
    (issue.origin === 'array' || issue.origin === 'string')
  );
}

function sizeOrFormat(issue: Issue): string {
  if (issue.code !== 'too_small' && issue.code !== 'too_big') return issue.message;
  const unit = issue.origin === 'array' ? 'entries' : 'characters';
  return issue.code === 'too_small'
    ? `at least ${issue.minimum} ${unit}`
    : `at most ${issue.maximum} ${unit}`;
}

function unknownKey(parent: JsonPath, key: string, node: SchemaNode | null, value: unknown): ConfigProblem {
  const known = Object.keys(node?.properties ?? {});
  const present = Object.keys((valueAt(value, parent) ?? {}) as object);
  const near =
    nearestKey(
      key,
      known.filter((k) => !present.includes(k)),
    ) ?? nearestKey(key, known);
  const suggestion = near === null ? `known here: ${known.join(', ')}` : `did you mean ${near}?`;
  return { path: [...parent, key], message: `unknown key; ${suggestion}`, atKey: true };
}

function about(node: SchemaNode | null): string {
  return node?.description === undefined ? '' : ` (${node.description})`;
}

/** The offending value on one line, cut to a length that fits a terminal; secrets are masked. */
export function showValue(path: JsonPath, value: unknown): string {
  if (isSecretPath(path)) return MASK;
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'a mapping';
  return quote(typeof value === 'string' ? maskUrls(value) : value);
}

function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}…`;
}

/** `machineClasses.pump.window.sizeMs: 5 is not allowed; ...` */
export function problemLine(problem: ConfigProblem): string {
  return `${formatPath(problem.path)}: ${problem.message}`;
}
