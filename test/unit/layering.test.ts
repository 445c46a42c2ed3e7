/** Holds the rules of the house: who may import whom, one fence per library, which rooms are pure. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { factsOf, type SourceFacts } from './source-facts.ts';

const STAGES = ['ingest', 'window', 'features', 'inference', 'health', 'store', 'privacy', 'forward'];
const STAGE = { imports: ['domain', 'errors.ts', 'telemetry'], types: ['config'] };

/** Room -> rooms it may import, always including itself; `types` only by `import type`. */
const ROOMS: Readonly<
  Record<string, { readonly imports: readonly string[]; readonly types?: readonly string[] }>
> = {
  'errors.ts': { imports: [] },
  'version.ts': { imports: [] },
  domain: { imports: [] },
  config: { imports: ['domain', 'errors.ts'] },
  telemetry: { imports: ['domain', 'errors.ts'], types: ['config'] },
  ...Object.fromEntries(STAGES.map((stage) => [stage, STAGE])),
  http: STAGE,
  'pipeline.ts': { imports: ['domain', 'errors.ts', 'telemetry', 'runtime', ...STAGES], types: ['config'] },
  runtime: {
    imports: ['domain', 'errors.ts', 'telemetry', 'version.ts', 'pipeline.ts', ...STAGES],
    types: ['config'],
  },
  'gateway.ts': {
    imports: [
      'domain',
      'errors.ts',
      'version.ts',
      'config',
      'telemetry',
      'runtime',
      'pipeline.ts',
      'http',
      ...STAGES,
    ],
  },
  cli: {
    imports: [
      'domain',
      'errors.ts',
      'version.ts',
      'config',
      'telemetry',
      'gateway.ts',
      'runtime',
      'http',
      ...STAGES,
    ],
  },
};

/** Package -> the only files that may import it, not even for a type elsewhere. A package not named here is an error. */
const FENCES: Readonly<Record<string, RegExp>> = {
  aedes: /^src\/ingest\//,
  mqtt: /^src\/(ingest|cli\/publishing)\//,
  'mqtt-packet': /^src\/ingest\/packet-number-cache\.ts$/,
  'onnxruntime-node': /^src\/inference\/inference-worker\.ts$/,
  'better-sqlite3': /^src\/store\//,
  '@influxdata/influxdb-client': /^src\/forward\//,
  fastify: /^src\/http\//,
  pino: /^src\/telemetry\/logger\.ts$/,
  zod: /^src\/config\//,
  yaml: /^src\/config\//,
  commander: /^src\/cli\//,
  'hyparquet-writer': /^src\/cli\/history-exports\/parquet\.ts$/,
  'fft.js': /^src\/features\/fft\.ts$/,
};

/** Same input, same output: time and chance are arguments, nothing is read, written, logged or waited for. */
const PURE =
  /^src\/(domain|window|features|health)\/|^src\/ingest\/([a-z-]+-decoder|json-[a-z]+|waveform-block|event-time|packet-framer)\.ts$|^src\/forward\/(line-protocol|retry-policy)\.ts$/;
/** Hashing is arithmetic. */
const PURE_EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  'src/domain/feature-contract.ts': ['node:crypto'],
};

const MAY_LOAD_CONFIGURATION = /^src\/(config|cli)\/|^src\/gateway\.ts$/;
const MAY_USE_CONSOLE = /^src\/cli\//;
/** Names that attract whatever has no room, and files that only hand on. */
const NO_ROOM = /(^|\/)(utils?|helpers?|common|shared|misc|managers?|index)(\.ts|\/|$)/;

/** Every rule the file breaks, one line each. */
function violations(path: string, facts: SourceFacts): string[] {
  return [...imports(path, facts), ...purity(path, facts), ...shape(path, facts)].map(
    (text) => `${path}: ${text}`,
  );
}

function* imports(path: string, facts: SourceFacts): Iterable<string> {
  const room = roomOf(path);
  const rule = ROOMS[room];
  if (rule === undefined) {
    yield `${room} is no room of the house`;
    return;
  }
  for (const { target, typeOnly } of facts.imports) {
    if (target.startsWith('node:')) {
      if (target === 'node:events') yield 'calls and queues join the parts, not events';
    } else if (!target.startsWith('src/')) {
      const fence = FENCES[packageOf(target)];
      if (fence === undefined) yield `${packageOf(target)} has no fence`;
      else if (!fence.test(path)) yield `${packageOf(target)} stays behind its fence`;
    } else {
      const other = roomOf(target);
      if (other !== room && !rule.imports.includes(other) && !(typeOnly && rule.types?.includes(other))) {
        yield `${room} may not import ${target}${rule.types?.includes(other) ? ' but for types' : ''}`;
      }
      if (target === 'src/config/load.ts' && !MAY_LOAD_CONFIGURATION.test(path))
        yield 'configuration comes as an argument';
    }
  }
}

function* purity(path: string, { imports: imported, surroundings }: SourceFacts): Iterable<string> {
  if (surroundings.includes('console') && !MAY_USE_CONSOLE.test(path)) yield 'only the command line prints';
  if (!PURE.test(path)) return;
  for (const { target, typeOnly } of imported) {
    const excepted = PURE_EXCEPTIONS[path]?.includes(target) === true;
    if (target.startsWith('node:') && !typeOnly && !excepted) yield `pure, but imports ${target}`;
    if (roomOf(target) === 'telemetry' && !typeOnly) yield `pure, but imports ${target}`;
  }
  for (const name of surroundings) yield `pure, but uses ${name}`;
}

function* shape(path: string, { exportsAll }: SourceFacts): Iterable<string> {
  if (NO_ROOM.test(path)) yield 'a name that says nothing';
  if (exportsAll) yield 'a barrel';
}

function roomOf(path: string): string {
  return path.split('/')[1]!;
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

const ROOT = join(import.meta.dirname, '../..');
const FILES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .map((path) => `src/${path.replaceAll('\\', '/')}`)
  .filter((path) => /\.(ts|js)$/.test(path) && !path.endsWith('.d.ts'))
  .sort();
const FACTS = new Map(FILES.map((path) => [path, factsOf(path, readFileSync(join(ROOT, path), 'utf8'))]));

describe('the house', () => {
  it('has every file in its room, and no file breaks a rule', () => {
    expect(FILES.length).toBeGreaterThan(50);
    expect([...FACTS].flatMap(([path, facts]) => violations(path, facts))).toEqual([]);
  });

  it('has no circle of files that need each other to run', () => {
    expect(firstCircle()).toBe('');
  });

  it('has a fence for every package it depends on, and no fence around nothing', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    expect(Object.keys(FENCES).sort()).toEqual(Object.keys(dependencies).sort());
  });
});

describe('the rules', () => {
  const broken = (path: string, source: string) => violations(path, factsOf(path, source));

  it.each([
    ['src/window/a.ts', "import { b } from '../features/b.ts';", 'window may not import src/features/b.ts'],
    ['src/window/a.ts', "import type { B } from '../store/b.ts';", 'window may not import src/store/b.ts'],
    ['src/store/a.ts', "export { b } from '../forward/b.ts';", 'store may not import src/forward/b.ts'],
    [
      'src/store/a.ts',
      "new Worker(new URL('../forward/b.ts', import.meta.url));",
      'store may not import src/forward/b.ts',
    ],
    ['src/store/a.ts', "await import('../forward/b.ts');", 'store may not import src/forward/b.ts'],
    ['src/store/a.ts', "let b: import('../forward/b.ts').B;", 'store may not import src/forward/b.ts'],
    [
      'src/store/a.ts',
      "import { b } from '../config/schema.ts';",
      'store may not import src/config/schema.ts but for types',
    ],
    [
      'src/domain/a.ts',
      "import { GatewayError } from '../errors.ts';",
      'domain may not import src/errors.ts',
    ],
    [
      'src/http/a.ts',
      "import type { Store } from '../store/store.ts';",
      'http may not import src/store/store.ts',
    ],
    ['src/runtime/a.ts', "import { b } from '../gateway.ts';", 'runtime may not import src/gateway.ts'],
    ['src/store/a.ts', "import fastify from 'fastify';", 'fastify stays behind its fence'],
    ['src/store/a.ts', "import type { Logger } from 'pino';", 'pino stays behind its fence'],
    ['src/inference/a.ts', "import 'onnxruntime-node/web';", 'onnxruntime-node stays behind its fence'],
    ['src/store/a.ts', "import { map } from 'lodash';", 'lodash has no fence'],
    ['src/store/a.ts', "import { once } from 'node:events';", 'calls and queues join the parts, not events'],
    ['src/health/a.ts', "import { readFileSync } from 'node:fs';", 'pure, but imports node:fs'],
    ['src/features/a.ts', "import { createHash } from 'node:crypto';", 'pure, but imports node:crypto'],
    ['src/window/a.ts', "import { b } from '../telemetry/b.ts';", 'pure, but imports src/telemetry/b.ts'],
    ['src/window/a.ts', 'const now = Date.now;', 'pure, but uses Date.now'],
    ['src/window/a.ts', 'const now = new Date();', 'pure, but uses new Date()'],
    ['src/features/a.ts', "const r = Math['random']();", 'pure, but uses Math.random'],
    ['src/health/a.ts', 'later(setTimeout);', 'pure, but uses setTimeout'],
    ['src/forward/retry-policy.ts', 'const t = performance.now();', 'pure, but uses performance'],
    ['src/ingest/json-decoder.ts', 'const e = process.env;', 'pure, but uses process'],
    ['src/store/a.ts', 'console.log(1);', 'only the command line prints'],
    ['src/store/utils.ts', '', 'a name that says nothing'],
    ['src/store/helpers/a.ts', '', 'a name that says nothing'],
    ['src/store/a.ts', "export * from './b.ts';", 'a barrel'],
    ['src/lib/a.ts', '', 'lib is no room of the house'],
  ])('catch in %s: %s', (path, source, problem) => {
    expect(broken(path, source)).toEqual([`${path}: ${problem}`]);
  });

  it('catch a stage that loads the configuration itself', () => {
    const problems = broken('src/runtime/a.ts', "import { loadConfig } from '../config/load.ts';");
    expect(problems).toContain('src/runtime/a.ts: configuration comes as an argument');
  });

  it.each([
    ['src/window/a.ts', "import type { WindowConfig } from '../config/schema.ts';"],
    ['src/domain/feature-contract.ts', "import { createHash } from 'node:crypto';"],
    [
      'src/window/a.ts',
      '// Date.now() and "setTimeout" in words\nconst text = "console.log(Math.random())";',
    ],
    ['src/window/a.ts', 'const at = new Date(startMs); part.process(); const o = { fetch: 1 };'],
    ['src/gateway.ts', "import { loadConfig } from './config/load.ts';"],
  ])('allow in %s: %s', (path, source) => {
    expect(broken(path, source)).toEqual([]);
  });
});

/** Files of one circle of run-time imports, joined; empty if there is none. */
function firstCircle(): string {
  const done = new Set<string>();
  const open: string[] = [];
  const visit = (path: string): string => {
    if (open.includes(path)) return [...open.slice(open.indexOf(path)), path].join(' -> ');
    if (done.has(path)) return '';
    open.push(path);
    for (const { target, typeOnly } of FACTS.get(path)?.imports ?? []) {
      const circle = typeOnly ? '' : visit(target);
      if (circle !== '') return circle;
    }
    open.pop();
    done.add(path);
    return '';
  };
  for (const path of FILES) {
    const circle = visit(path);
    if (circle !== '') return circle;
  }
  return '';
}
