import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeConfig } from '../../../src/config/describe.ts';
import type { Environment } from '../../../src/config/environment.ts';
import { configFileWarnings, loadConfig, parseConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { GatewayError } from '../../../src/errors.ts';

const MINIMAL = `machineClasses:
  pump:
    topics: ['plant/{machine}/{channel}']
    channels: { temperature: { unit: degC } }
`;

function parse(text: string, env: Environment = {}): Config {
  return parseConfig(text, { path: 'gw.yaml', env });
}

/** Message of the refusal; fails when there is none. */
function refusal(text: string, env: Environment = {}): string {
  try {
    parse(text, env);
  } catch (error) {
    expect(error).toBeInstanceOf(GatewayError);
    expect((error as GatewayError).code).toBe('MW_CONFIG_INVALID');
    expect((error as GatewayError).exitCode).toBe(78);
    return (error as GatewayError).message;
  }
  throw new Error('the configuration was accepted');
}

function file(text: string, mode = 0o600): string {
  const path = join(mkdtempSync(join(tmpdir(), 'mw-config-')), 'gateway.yaml');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe('loadConfig', () => {
  it('fills in every default of a minimal file', () => {
    const config = loadConfig(file(MINIMAL), {}, {});
    expect(config.ingest.embedded).toMatchObject({ host: '127.0.0.1', port: 1883, allowAnonymous: false });
    expect(config.machineClasses['pump']?.window.sizeMs).toBe(10_000);
    expect(config.machineClasses['pump']?.channels['temperature']?.features).toEqual(['proc.basic']);
  });

  it('gives out an object that nobody can change', () => {
    const config = loadConfig(file(MINIMAL), {}, {});
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(frozen));
    expect(frozen(config)).toBe(true);
  });

  it('lets --data-dir win, even over a variable that is not set', () => {
    const config = loadConfig(file(`dataDir: \${NOWHERE}\n${MINIMAL}`), { dataDir: '/var/lib/x' }, {});
    expect(config.dataDir).toBe('/var/lib/x');
  });

  it.each([
    ['a missing file', () => join(tmpdir(), 'mw-no-such-file.yaml'), /ENOENT/],
    ['a directory', () => tmpdir(), /EISDIR/],
    ['bytes that are no text', () => file('\0'), null],
  ])('refuses %s', (_what, path, reason) => {
    const name = path();
    const load = (): Config => loadConfig(name, {}, {});
    if (reason === null) expect(load).toThrow(GatewayError);
    else
      expect(load).toThrow(
        expect.objectContaining({
          code: 'MW_CONFIG_READ',
          exitCode: 78,
          message: expect.stringMatching(reason),
        }),
      );
  });

  it('refuses a file that is not UTF-8', () => {
    const path = file('');
    writeFileSync(path, Buffer.from([0x61, 0xff, 0xfe]));
    expect(() => loadConfig(path, {}, {})).toThrow(expect.objectContaining({ code: 'MW_CONFIG_READ' }));
  });

  it('warns of secrets in a file that every user can read, and of nothing in a private one', () => {
    const text = `${MINIMAL}sinks:\n  a: { type: influxdb2, url: http://h:8086, token: abcdef }\n`;
    const warnings = (path: string, env = {}) => configFileWarnings(path, loadConfig(path, {}, env), env);
    const exposed = warnings(file(text, 0o644)).filter((line) => line.includes('sinks.a.token'));
    expect(exposed).toEqual([
      expect.stringMatching(
        /gateway\.yaml:6:\d+: sinks\.a\.token: a secret in a file that every user can read/,
      ),
    ]);
    expect(exposed.join()).not.toContain('abcdef');
    expect(warnings(file(text, 0o640)).join()).not.toContain('sinks.a.token');
    const fromEnvironment = file(text.replace('abcdef', '"${TOKEN}"'), 0o644);
    expect(warnings(fromEnvironment, { TOKEN: 'abcdef' }).join()).not.toContain('sinks.a.token');
  });
});

describe('the environment', () => {
  it('gives numbers and booleans where the schema wants them, and text where it wants text', () => {
    const text = `${MINIMAL}gateway: { id: "\${ID}" }\nhttp: { enabled: "\${ON}", port: "\${PORT}" }
sinks:
  a: { type: influxdb2, url: "http://\${HOST}:\${PORT}", token: "\${PIN}" }
`;
    const config = parse(text, { ID: '12', ON: 'false', PORT: '9000', HOST: 'db', PIN: '007' });
    expect(config.gateway.id).toBe('12');
    expect(config.http).toMatchObject({ enabled: false, port: 9000 });
    expect(config.sinks['a']).toMatchObject({ url: 'http://db:9000', token: '007' });
  });

  it('names key and variable where one is not set, and speaks of the key once', () => {
    const message = refusal(`${MINIMAL}http:\n  port: \${HTTP_PORT}\n`, {});
    expect(message).toBe(
      'gw.yaml:6:9: http.port: environment variable HTTP_PORT is not set; set it, or write ${HTTP_PORT:-fallback}',
    );
  });

  it('names the place inside lists and maps', () => {
    const message = refusal(
      "machineClasses:\n  p:\n    topics: ['a/{machine}/{channel}', '${T}']\n    channels: { x: {} }\n",
    );
    expect(message).toMatch(
      /^gw\.yaml:3:39: machineClasses\.p\.topics\[1\]: environment variable T is not set/,
    );
  });

  it('does not read a variable inside a variable', () => {
    const config = parse(`${MINIMAL}dataDir: \${A}\n`, { A: '${B}', B: 'x' });
    expect(config.dataDir).toBe('${B}');
  });
});

describe('refusals', () => {
  it('name file, line, column, key, value and what is allowed', () => {
    expect(refusal(`${MINIMAL}http:\n  port: 99999\n`)).toBe(
      'gw.yaml:6:9: http.port: 99999 is not allowed; allowed: a whole number from 0 to 65535',
    );
    expect(refusal(`${MINIMAL}log: { level: loud }\n`)).toBe(
      'gw.yaml:5:15: log.level: "loud" is not allowed; allowed: one of "debug", "info", "warn", "error"',
    );
  });

  it('suggest the word that was probably meant', () => {
    const text = MINIMAL.replace('unit: degC', 'kind: waveform, features: [vib.bearings]');
    expect(refusal(text)).toMatch(
      /features\[0\]: "vib\.bearings" is not allowed; .*; did you mean "vib\.bearing"\?$/m,
    );
  });

  it('take in the rules of other rooms, but not in a class that has a mistake already', () => {
    const further = ({ machineClasses }: Config) =>
      Object.keys(machineClasses).map((name) => ({
        path: ['machineClasses', name, 'topics'],
        message: 'no good',
      }));
    const load = (text: string) => () => parseConfig(text, { path: 'gw.yaml', env: {}, further });
    expect(load(MINIMAL)).toThrow('gw.yaml:3:13: machineClasses.pump.topics: no good');
    const wrong = `${MINIMAL}    window: { sizeMs: 1000, hopMs: 2000 }\n`;
    expect(load(wrong)).toThrow(/hopMs/);
    expect(load(wrong)).not.toThrow(/no good/);
  });

  it.each([
    [
      'ingest: { limits: { maxConections: 5 } }',
      /gw\.yaml:5:21: ingest\.limits\.maxConections: unknown key; did you mean maxConnections\?/,
    ],
    ['htpp: {}', /gw\.yaml:5:1: htpp: unknown key; did you mean http\?/],
    ['store: { commit_window_ms: 5 }', /unknown key; did you mean commitWindowMs\?/],
    ['gateway: { zzzzzz: 5 }', /unknown key; known here: id/],
  ])('name the nearest known key for %s', (line, expected) => {
    expect(refusal(`${MINIMAL}${line}\n`)).toMatch(expected);
  });

  it('come all at once, in the order of the file, rules between keys included', () => {
    const message = refusal(`http: { port: no }
ingest:
  ringBytes: 3000000
  embedded: { host: 0.0.0.0 }
machineClasses:
  a:
    channels: { x: {} }
  b:
    topics: ['t/{machine}']
    channels: { x: { kind: waveform } }
sinks:
  s: { type: carrier-pigeon }
`);
    const lines = message.split('\n');
    expect(lines[0]).toBe('8 mistakes in the configuration');
    expect(lines.slice(1).map((line) => line.replace(/^ *gw\.yaml:(\d+):\d+: ([^:]+):.*/, '$1 $2'))).toEqual([
      '1 http.port',
      '3 ingest.ringBytes',
      '4 ingest.embedded.host',
      '6 machineClasses.a.topics',
      '9 machineClasses.b.topics[0]',
      '10 machineClasses.b.channels.x.sampleRateHz',
      '10 machineClasses.b.channels.x.features[0]',
      '12 sinks.s.type',
    ]);
  });

  it('do not repeat themselves: a rule that rests on a wrong key is silent', () => {
    const message = refusal(
      MINIMAL.replace('channels:', 'window: { sizeMs: ten, hopMs: 20000 }\n    channels:'),
    );
    expect(message).not.toContain('mistakes');
    expect(message).toContain('window.sizeMs: "ten" is not allowed');
  });

  it.each([
    ['', /gw\.yaml:1:1: the configuration: empty; machineClasses is required/],
    ['# nothing\n', /empty/],
    ['- a\n', /the configuration: a list of 1 is not allowed; allowed: a mapping/],
    ['a: [1\nb: 2\n', /gw\.yaml:\d:\d+: the configuration: not valid YAML/],
    ['http: {}\nhttp: {}\n', /gw\.yaml:2:1: the configuration: not valid YAML: Map keys must be unique/],
    [`${MINIMAL}---\n${MINIMAL}`, /not valid YAML/],
    ['machineClasses: {}\n', /machineClasses: empty; declare at least one class/],
  ])('cover files that are no configuration: %j', (text, expected) => {
    expect(refusal(text)).toMatch(expected);
  });

  it('say what a variable inside braces needs', () => {
    const message = refusal(`${MINIMAL}http: { port: \${PORT} }\n`);
    expect(message).toMatch(
      /^gw\.yaml:5:\d+: the configuration: not valid YAML: .*; inside \{ \} and \[ \] a \$\{NAME\} needs quotes$/,
    );
  });

  it('stop a file that would unfold into gigabytes', () => {
    const levels = Array.from({ length: 12 }, (_, i) =>
      `a${i}: &a${i} [${`*a${i - 1},`.repeat(9)}]`.replaceAll('*a-1', '1'),
    );
    expect(refusal(`${levels.join('\n')}\n`)).toMatch(/not usable YAML: Excessive alias count/);
  });

  it('cover names that plain objects lose', () => {
    expect(refusal(MINIMAL.replace('temperature:', '__proto__:'))).toMatch(
      /:4:17: machineClasses\.pump\.channels\.__proto__: this name is reserved/,
    );
  });

  it('find keys behind anchors and aliases', () => {
    const text = `machineClasses:
  a: &a
    topics: ['a/{machine}/{channel}']
    machines: ['a-*']
    channels: { x: {} }
    window: { sizeMs: 1 }
  b: *a
`;
    expect(refusal(text)).toMatch(/gw\.yaml:6:23: machineClasses\.a\.window\.sizeMs: 1 is not allowed/);
  });

  it('never show a secret', () => {
    const message = refusal(`${MINIMAL}sinks:
  a: { type: influxdb2, url: "ftp://user:hunter2@h", token: [hunter2] }
ingest: { embedded: { users: [{ username: u, password: [hunter2] }] }, external: { url: "mqt://u:hunter2@h" } }
`);
    expect(message).toContain('***');
    expect(message).not.toContain('hunter2');
  });
});

describe('describeConfig', () => {
  it('shows the values in force and no secret', () => {
    const text = `${MINIMAL}sinks:
  a: { type: influxdb2, url: "http://user:hunter2@h:8086", token: hunter2 }
ingest: { embedded: { users: [{ username: u, password: hunter2 }] } }
`;
    const described = describeConfig(parse(text));
    expect(described).not.toContain('hunter2');
    expect(described).toContain('url: http://***@h:8086');
    expect(described).toContain('commitWindowMs: 50');
  });

  it('is a configuration itself: reading it back gives the same values', () => {
    const config = parse(MINIMAL);
    expect(parse(describeConfig(config))).toEqual(config);
  });
});

describe('store.profile', () => {
  const store = (text: string) =>
    parseConfig(
      `store: ${text}\nmachineClasses: { pump: { topics: ['f/{machine}/{channel}'], channels: { a: {} } } }`,
      { path: 'g.yaml', env: {} },
    ).store;

  it('stands in where the file says nothing; a key that is written out wins', () => {
    expect(store('{}')).toMatchObject({ profile: 'default', commitWindowMs: 50, compressJournal: false });
    expect(store('{ profile: sd-saver }')).toMatchObject({
      commitWindowMs: 500,
      adaptiveCommit: false,
      compressJournal: true,
    });
    expect(store('{ profile: sd-saver, commitWindowMs: 200, adaptiveCommit: true }')).toMatchObject({
      commitWindowMs: 200,
      adaptiveCommit: true,
      compressJournal: true,
    });
  });

  it('that is not known is refused with the ones there are', () => {
    expect(() => store('{ profile: constructor }')).toThrow(/store\.profile.*"default", "sd-saver"/s);
  });
});
