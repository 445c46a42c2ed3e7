import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REPOSITORY, runCli } from '../support/cli-broker.ts';

const COMMANDS = ['run', 'check', 'demo', 'replay', 'extract', 'evaluate', 'outbox', 'doctor'];

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millwright-usage-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function configFile(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const SMALL = (dataDir: string, mqttPort = 0) => `
dataDir: ${dataDir}
ingest: { embedded: { port: ${mqttPort}, allowAnonymous: true } }
http: { enabled: false }
machineClasses:
  pump:
    topics: ['plant/{machine}/{channel}']
    channels: { temp: { unit: degC, features: [proc.basic] } }
sinks:
  influx: { type: influxdb2, url: 'http://127.0.0.1:1', token: '\${TEST_TOKEN:-hush-hush}' }
`;

describe('millwright', () => {
  it.each(COMMANDS)('%s --help explains itself with an example and exits 0', async (command) => {
    const { code, stdout, stderr } = await runCli([command, '--help']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Usage: millwright ${command}`));
    expect(stdout).toMatch(/Examples?:\n {2}millwright/);
    expect(stdout).toContain('--config');
    expect(stdout).not.toMatch(/\(default:\s+(null|\{)/);
  });

  it('names the topics of replay in its help and in the documentation', async () => {
    const { stdout } = await runCli(['replay', '--help']);
    const topics = [...stdout.matchAll(/^ {2}(\w+) +(\S+\/\{machine\}\S+)$/gm)].map(([, format, topic]) => ({
      format: format!,
      topic: topic!,
    }));
    expect(topics.map(({ format }) => format)).toEqual(['cmapss', 'skab', 'femto', 'cwru', 'csv']);
    const docs = readFileSync(join(REPOSITORY, 'docs/payloads.md'), 'utf8').split('\n');
    for (const { format, topic } of topics)
      expect(docs.find((line) => line.startsWith('|') && line.includes(`\`${format}\``))).toContain(
        `| \`${topic}\` |`,
      );
  });

  it('lists every command in its help', async () => {
    const { code, stdout } = await runCli(['--help']);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
  });

  it('without a command shows the help and exits 64', async () => {
    const { code, stderr } = await runCli([]);
    expect(code).toBe(64);
    expect(stderr).toContain('Usage: millwright');
  });

  it.each([
    [['rpelay'], /error: unknown command 'rpelay'[\s\S]*Did you mean replay\?[\s\S]*Try: millwright --help/],
    [
      ['replay', '--sped', '2', 'x'],
      /error: unknown option '--sped'[\s\S]*--speed[\s\S]*Try: millwright replay --help/,
    ],
    [['replay'], /error: missing required argument 'files'\nTry: millwright replay --help/],
    [['replay', 'x', '--speed', 'fast'], /error: option '--speed <factor>' argument 'fast' is invalid/],
    [['evaluate', 'x'], /error: required option '--task <task>' not specified/],
    [
      ['outbox', 'dead-letters', 'export', '--out', 'f'],
      /Try: millwright outbox dead-letters export --help\n/,
    ],
    [['replay', 'x', '--qos', '2'], /Allowed choices are 0, 1/],
  ])('answers wrong usage %j with 64 and one thing to try', async (args, words) => {
    const { code, stderr, stdout } = await runCli(args);
    expect(stderr).toMatch(words);
    expect(code).toBe(64);
    expect(stdout).toBe('');
  });

  it('exits 78 for a configuration that is not there, is none, or is wrong, naming the place', async () => {
    const missing = await runCli(['check', '--config', join(dir, 'nowhere.yaml')]);
    expect(missing.code).toBe(78);
    expect(missing.stderr).toMatch(/^error: cannot read .*nowhere\.yaml/);
    expect(missing.stderr).toMatch(/\nTry: /);
    const none = await runCli(['check'], { cwd: dir, env: { MILLWRIGHT_CONFIG: '' } });
    expect(none.code).toBe(78);
    const wrong = await runCli(['check', '--config', configFile('wrong.yaml', `${SMALL(dir)}storr: {}\n`)]);
    expect(wrong.code).toBe(78);
    expect(wrong.stderr).toMatch(/wrong\.yaml:\d+:\d+.*storr/);
    expect(wrong.stderr).toContain('store');
  });

  it('names the place of what a feature set can not compute, too', async () => {
    const text = `machineClasses:
  fan:
    topics: ['fans/{machine}/{channel}']
    channels:
      vibration: { kind: waveform, unit: g, sampleRateHz: 1000, features: [vib.iso] }
dataDir: ${dir}
ingest: { embedded: { port: 0, allowAnonymous: true } }
log: { level: loud }
`;
    const both = await runCli(['check', '--config', configFile('both.yaml', text)]);
    expect(both.stderr).toContain('both.yaml:8:15: log.level');
    const slow = configFile('slow.yaml', text.replace('loud', 'warn'));
    const { code, stderr } = await runCli(['check', '--config', slow]);
    expect(code).toBe(78);
    expect(stderr).toMatch(
      /slow\.yaml:5:59: machineClasses\.fan\.channels\.vibration\.sampleRateHz: 1000 is not enough; vib\.iso needs at least 2106 Hz/,
    );
  });

  it('never shows a stack unless asked', async () => {
    const args = ['extract', '--config', configFile('s.yaml', SMALL(dir)), join(dir, 'no.csv')];
    const quiet = await runCli(args);
    expect(quiet.code).toBe(1);
    expect(quiet.stderr).toMatch(
      /^error: cannot read .*no\.csv.*\nTry: check the recording file and its --format\n$/,
    );
    expect((await runCli([...args, '--debug'])).stderr).toMatch(/\n {4}at /);
  });
});

describe('millwright check', () => {
  it('prints the configuration in force with secrets masked, and what fits on the disk', async () => {
    const { code, stdout } = await runCli([
      'check',
      '--config',
      configFile('c.yaml', SMALL(dir)),
      '--machines',
      'pump=10',
    ]);
    expect(code).toBe(0);
    expect(stdout).not.toContain('hush-hush');
    expect(stdout).toMatch(/token: "?\*\*\*/);
    expect(stdout).toMatch(/pump +10 /);
    expect(stdout).toMatch(/holds [\d.]+ days without any sink/);
  });

  it('reports the same as JSON, in proportion to the machines', async () => {
    const path = configFile('j.yaml', SMALL(dir));
    const bytes = async (count: number) => {
      const { stdout } = await runCli(['check', '--json', '--config', path, '--machines', `pump=${count}`]);
      expect(stdout).not.toContain('hush-hush');
      return JSON.parse(stdout).storage.bytesPerDay as number;
    };
    const one = await bytes(1);
    expect(one).toBeGreaterThan(100_000);
    expect(await bytes(7)).toBeCloseTo(7 * one, 3);
  });

  it('reports a wrong configuration as JSON, each mistake with its place', async () => {
    const path = configFile('bad.yaml', `${SMALL(dir)}storr: {}\nstore: { maxBytes: many }\n`);
    const { code, stdout, stderr } = await runCli(['check', '--json', '--config', path]);
    expect(code).toBe(78);
    expect(stderr).toMatch(/^error: .*\nTry: /s);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ path, valid: false, code: 'MW_CONFIG_INVALID' });
    expect(report.errors).toHaveLength(2);
    for (const line of report.errors) expect(line).toMatch(/bad\.yaml:\d+:\d+/);
    const nowhere = await runCli(['check', '--json', '--config', join(dir, 'nowhere.yaml')]);
    expect(nowhere.code).toBe(78);
    expect(JSON.parse(nowhere.stdout)).toMatchObject({ valid: false, code: 'MW_CONFIG_READ' });
  });

  it('counts the channels of a wildcard that it is told, and says which it does not count', async () => {
    const env = { MILLWRIGHT_DATA_DIR: dir, MILLWRIGHT_MQTT_PORT: '0', MILLWRIGHT_INFLUX_URL: 'http://h:1' };
    const check = (...args: string[]) =>
      runCli(['check', '--config', join(REPOSITORY, 'config/bench.yaml'), ...args], { env });
    const blind = await check('--machines', 'bench=25');
    expect(blind.stdout).toContain("not in the estimate: channel '*' of class bench; --channels bench=4");
    const told = await check('--machines', 'bench=25', '--channels', 'bench=4', '--json');
    const { storage, wear, uncounted } = JSON.parse(told.stdout);
    expect(uncounted).toEqual([]);
    expect(storage.classes).toMatchObject([{ machines: 25, featuresPerWindow: 4 * 10 }]);
    expect(wear.messagesPerSecond).toBeCloseTo(100, 10);
    const stranger = await check('--channels', 'pump=4');
    expect(stranger.code).toBe(64);
    expect(stranger.stderr).toContain('no class "pump" with a channel \'*\'');
  });

  it('exits 1 for a model that is not installed', async () => {
    const text = SMALL(dir).replace('sinks:', '    models: [{ name: no-such-model }]\nsinks:');
    const { code, stdout } = await runCli(['check', '--config', configFile('m.yaml', text)]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/no-such-model@latest of class pump: not found below/);
  });

  it('writes the generated files exactly as they are committed', async () => {
    const out = join(dir, 'generated');
    const { code } = await runCli(['check', '--write-schema', out]);
    expect(code).toBe(0);
    for (const name of ['gateway.schema.json', 'gateway.example.yaml']) {
      expect(readFileSync(join(out, name), 'utf8')).toBe(
        readFileSync(join(REPOSITORY, 'config', name), 'utf8'),
      );
    }
  });

  it('does not touch the data directory', async () => {
    const untouched = join(dir, 'untouched');
    await runCli(['check', '--config', configFile('u.yaml', SMALL(untouched))]);
    expect(await runCli(['check', '--config', configFile('u.yaml', SMALL(untouched))])).toMatchObject({
      code: 0,
    });
    expect(existsSync(untouched)).toBe(false);
  });
});

describe('millwright doctor', () => {
  it('answers one line per question, with what to do about an absent sink', async () => {
    const { code, stdout } = await runCli([
      'doctor',
      '--config',
      configFile('d.yaml', SMALL(join(dir, 'data'))),
    ]);
    expect(stdout).toMatch(/^ok {4}node /m);
    expect(stdout).toMatch(/^ok {4}better-sqlite3 /m);
    expect(stdout).toMatch(/^ok {4}onnxruntime-node /m);
    expect(stdout).toMatch(/^(ok|warn) +disk flush +a flush takes/m);
    expect(stdout).toMatch(/^warn {2}sink influx +http:\/\/127\.0\.0\.1:1 cannot be reached.*\n +Try: /m);
    expect(code).toBe(0);
  });

  it('looks at the device alone where no configuration is given', async () => {
    const { code, stdout } = await runCli(['doctor'], { cwd: dir });
    expect(stdout).toMatch(/^warn {2}configuration +none given/m);
    expect(stdout).toMatch(/^ok {4}node /m);
    expect(code).toBe(0);
  });

  it('fails on a port that another program holds, and on a configuration that is wrong', async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      const { port } = server.address() as { port: number };
      const path = configFile('p.yaml', SMALL(join(dir, 'data'), port));
      const { code, stdout } = await runCli(['doctor', '--json', '--config', path]);
      expect(code).toBe(1);
      const failed = JSON.parse(stdout).checks.filter((check: { status: string }) => check.status === 'fail');
      expect(failed).toMatchObject([
        { name: 'MQTT port', hint: expect.stringContaining('ingest.embedded.port') },
      ]);
    } finally {
      server.close();
    }
    const wrong = await runCli(['doctor', '--config', configFile('w.yaml', 'machineClasses: 3\n')]);
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toMatch(/^fail {2}configuration/m);
    expect(wrong.stdout).toMatch(/^ok {4}node /m);
  });
});
