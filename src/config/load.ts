/** A configuration file and the environment -> the one frozen configuration, or every mistake in it at once. */

import { readFileSync, statSync } from 'node:fs';
import { describeError, GatewayError } from '../errors.ts';
import { crossProblems } from './cross-checks.ts';
import { configWarnings } from './delivery-checks.ts';
import type { Environment } from './environment.ts';
import { isWithin, type JsonPath } from './json-path.ts';
import type { ConfigProblem } from './problem.ts';
import { type Config, configSchema } from './schema.ts';
import { STORE_PROFILES } from './schema-delivery.ts';
import { configJsonSchema } from './schema-tree.ts';
import { hasUserinfo, isSecretKey } from './secrets.ts';
import { problemLine, shapeProblems } from './shape-problems.ts';
import { ConfigSource, isReported, type PlacedProblem } from './source.ts';

/** No configuration is this long; a longer file is a mistake (a log, a disk image). */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Rules of another room about a configuration whose shape is right, such as what a feature set needs. */
export type FurtherChecks = (config: Config) => readonly ConfigProblem[];

/** Read permission for everyone, in the mode bits of a file. */
const WORLD_READABLE = 0o004;

export interface ConfigOverrides {
  /** Takes the place of `dataDir` in the file, as with --data-dir. */
  readonly dataDir?: string;
}

/**
 * Reads and checks a configuration before anything else is opened. The order is: defaults, then the file with
 * `${NAME}` taken from `env`, then `overrides`.
 * @param path the YAML file, as the operator wrote it; messages repeat it
 * @param further rules beyond those of the schema and between keys
 * @returns deep-frozen
 * @throws GatewayError MW_CONFIG_READ if the file cannot be read; MW_CONFIG_INVALID with one line per mistake, each
 *   with file, line, column, key, offending value and what is allowed
 */
export function loadConfig(
  path: string,
  overrides: ConfigOverrides,
  env: Environment,
  further?: FurtherChecks,
): Config {
  return parseConfig(readConfigFile(path).text, { path, overrides, env, ...(further && { further }) });
}

/**
 * What an operator should know about a configuration that is allowed all the same: one line each.
 * @param config as loaded from `path`
 */
export function configFileWarnings(path: string, config: Config, env: Environment): string[] {
  const { text, worldReadable } = readConfigFile(path);
  const source = new ConfigSource(text, env);
  const exposed = worldReadable ? exposedSecrets(source) : [];
  return [...placedLines(path, source, exposed), ...configWarnings(config)];
}

export interface ParseOptions {
  /** Named in messages. */
  readonly path: string;
  readonly overrides?: ConfigOverrides;
  readonly env: Environment;
  readonly further?: FurtherChecks;
}

/** {@link loadConfig} for text that was already read. */
export function parseConfig(text: string, options: ParseOptions): Config {
  const { path, overrides = {}, env, further = () => [] } = options;
  const source = new ConfigSource(text, env);
  const problems: PlacedProblem[] = source.problems.filter(
    (problem) =>
      overrides.dataDir === undefined || problem.path.length !== 1 || problem.path[0] !== 'dataDir',
  );
  let config: Config | null = null;
  if (source.readable) {
    if (source.value === null) problems.push({ path: [], message: 'empty; machineClasses is required' });
    else config = checkShape(source, overrides, problems);
    if (config !== null) problems.push(...inSoundSections(further(config), problems));
  }
  if (problems.length > 0 || config === null) throw invalid(path, source, problems);
  return deepFreeze(config);
}

function readConfigFile(path: string): { text: string; worldReadable: boolean } {
  try {
    const { size, mode } = statSync(path);
    if (size > MAX_FILE_BYTES) throw new Error(`it has ${size} bytes; the limit is ${MAX_FILE_BYTES}`);
    // Windows has no such bit: every file looks readable to all there.
    const worldReadable = process.platform !== 'win32' && (mode & WORLD_READABLE) !== 0;
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path)), worldReadable };
  } catch (error) {
    throw new GatewayError('MW_CONFIG_READ', `cannot read ${path}: ${describeError(error)}`, {
      cause: error,
    });
  }
}

/** Adds what is wrong to `problems`; null unless the shape is right. */
function checkShape(
  source: ConfigSource,
  overrides: ConfigOverrides,
  problems: PlacedProblem[],
): Config | null {
  let result = configSchema.safeParse(withOverrides(source.value, overrides));
  // A password of digits comes out of the environment as a number; each round gives back at least one as text.
  while (!result.success && rereadAsText(source, result.error.issues)) {
    result = configSchema.safeParse(withOverrides(source.value, overrides));
  }
  if (result.success) {
    problems.push(...unreported(crossProblems(result.data), problems));
    return result.data;
  }
  const value = withOverrides(source.value, overrides);
  const shape = shapeProblems(result.error.issues, configJsonSchema(), value);
  problems.push(...unreported(shape, problems));
  const rest = judgeableRest(value, shape);
  if (rest !== null) problems.push(...unreported(crossProblems(rest), problems));
  return null;
}

/**
 * The configuration as it would be without the keys at fault, so that the rest of the file is judged in the same
 * run: first only those keys go (defaults stand in), then the whole section around whatever cannot do without them.
 */
function judgeableRest(value: unknown, faults: readonly ConfigProblem[]): Config | null {
  const trimmed = without(
    value,
    faults.map((problem) => problem.path),
  );
  const first = configSchema.safeParse(trimmed);
  if (first.success) return first.data;
  const sections = first.error.issues.map((issue) => issue.path.slice(0, 2) as (string | number)[]);
  const second = configSchema.safeParse(without(trimmed, sections));
  return second.success ? second.data : null;
}

function rereadAsText(
  source: ConfigSource,
  issues: readonly { code: string; path: PropertyKey[]; expected?: string }[],
): boolean {
  let changed = false;
  for (const issue of issues) {
    if (issue.code !== 'invalid_type' || issue.expected !== 'string') continue;
    changed = source.readAsText(issue.path as (string | number)[]) || changed;
  }
  return changed;
}

/** Leaves out what lies in the section (one machine class, one sink) of another problem, and may come of it. */
function inSoundSections(
  found: readonly ConfigProblem[],
  known: readonly ConfigProblem[],
): readonly ConfigProblem[] {
  return found.filter(({ path }) => !known.some((problem) => isWithin(problem.path, path.slice(0, 2))));
}

/** Leaves out what repeats, or rests on, a key that already has a problem. */
function unreported(found: readonly ConfigProblem[], known: readonly ConfigProblem[]): ConfigProblem[] {
  return found.filter((problem) => {
    const rests = [problem.path, ...(problem.involves ?? [])];
    return !rests.some(
      (path) => isReported(known, path) || known.some((k) => k.path.length > 0 && isWithin(k.path, path)),
    );
  });
}

function withOverrides(value: unknown, overrides: ConfigOverrides): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const profiled = withProfile(value as Readonly<Record<string, unknown>>);
  return overrides.dataDir === undefined ? profiled : { ...profiled, dataDir: overrides.dataDir };
}

/** The keys of the chosen `store.profile` stand in where the file says nothing. */
function withProfile(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const store = value['store'] as { readonly profile?: unknown } | null | undefined;
  if (typeof store !== 'object' || store === null || typeof store.profile !== 'string') return value;
  const keys = Object.hasOwn(STORE_PROFILES, store.profile) ? STORE_PROFILES[store.profile] : undefined;
  return keys === undefined ? value : { ...value, store: { ...keys, ...store } };
}

/** A copy of `value` that lacks the given paths. */
function without(value: unknown, paths: readonly JsonPath[]): unknown {
  const copy = structuredClone(value);
  for (const path of paths) {
    let parent: unknown = copy;
    for (const part of path.slice(0, -1))
      parent = (parent as Record<string | number, unknown> | undefined)?.[part];
    if (typeof parent === 'object' && parent !== null)
      delete (parent as Record<string | number, unknown>)[path.at(-1) ?? ''];
  }
  return copy;
}

/** Secrets that stand in a file everyone on the machine may read. */
function exposedSecrets(source: ConfigSource): ConfigProblem[] {
  const found: ConfigProblem[] = [];
  const look = (value: unknown, path: JsonPath): void => {
    if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        look(inner, [...path, Array.isArray(value) ? Number(key) : key]);
      }
      return;
    }
    const isSecret = isSecretKey(String(path.at(-1)))
      ? value !== '' && value !== null
      : typeof value === 'string' && hasUserinfo(value);
    if (isSecret && source.isLiteral(path)) {
      found.push({
        path,
        message: `a secret in a file that every user can read; write \${ENV_NAME}, or chmod 640 the file`,
      });
    }
  };
  look(source.value, []);
  return found;
}

function invalid(path: string, source: ConfigSource, problems: readonly PlacedProblem[]): GatewayError {
  const lines = placedLines(path, source, problems);
  const message =
    lines.length === 1 ? lines[0]! : `${lines.length} mistakes in the configuration\n  ${lines.join('\n  ')}`;
  return new GatewayError('MW_CONFIG_INVALID', message, { details: { file: path, mistakes: lines.length } });
}

/** `file:line:column: what`, in the order of the file. */
function placedLines(path: string, source: ConfigSource, problems: readonly PlacedProblem[]): string[] {
  const placed = problems.map((problem) => ({
    at: problem.position ?? source.locate(problem.path, problem.atKey),
    problem,
  }));
  placed.sort((a, b) => a.at.line - b.at.line || a.at.column - b.at.column);
  return placed.map(({ at, problem }) => `${path}:${at.line}:${at.column}: ${problemLine(problem)}`);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
