import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../../src/config/load.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const docker = (name: string) => join(root, 'deploy/docker', name);
const text = (name: string) => readFileSync(docker(name), 'utf8');
const compose = parse(text('compose.yaml'), { merge: true });
const envKeys = [...text('.env.example').matchAll(/^#?([A-Z_]+)=(.*)$/gm)];

describe('the compose file', () => {
  it('takes every secret from the environment and refuses to start without it', () => {
    const secrets = [...text('compose.yaml').matchAll(/\$\{(\w*(?:PASSWORD|TOKEN)\w*)([^}]*)/g)];
    expect(secrets.length).toBeGreaterThanOrEqual(6);
    for (const [, name, fallback] of secrets) {
      if (name === 'GRAFANA_INFLUX_TOKEN') continue;
      expect(`${name}${fallback}`).toBe(`${name}:?set it in deploy/docker/.env`);
    }
  });

  it('has an example for every secret, and no secret in the example', () => {
    const required = new Set([...text('compose.yaml').matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name));
    const shown = new Map(envKeys.map(([, name, value]) => [name, value]));
    for (const name of required) expect(shown.get(name!)).toBe('');
  });

  it('mounts only what exists', () => {
    const mounts = Object.values(compose.services as Record<string, { volumes: string[] }>).flatMap(
      ({ volumes }) => volumes,
    );
    const paths = mounts.map((mount) => mount.split(':')[0]!);
    const named = Object.keys(compose.volumes);
    for (const path of paths)
      expect(path.startsWith('.') ? existsSync(docker(path)) : named.includes(path)).toBe(true);
    expect(paths.filter((path) => path.startsWith('.')).length).toBe(3);
  });

  it('gives the gateway nothing to write on but its volume, and no rights', () => {
    expect(compose.services.gateway).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
    expect(compose.services.gateway.volumes).toContain('gateway-data:/var/lib/millwright');
  });

  it('publishes the pages without a login to this host only', () => {
    const ports: string[] = [...compose.services.gateway.ports, ...compose.services.influxdb.ports];
    for (const port of ports.filter((entry) => !entry.endsWith(':1883')))
      expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('gives Grafana the variables that its data source names', () => {
    const source = readFileSync(join(root, 'deploy/grafana/provisioning/datasources/influxdb.yaml'), 'utf8');
    const content = source.replace(/^\s*#.*$/gm, '');
    for (const [, name] of content.matchAll(/\$(\w+)/g))
      expect(compose.services.grafana.environment).toHaveProperty(name!);
  });

  it('mounts a configuration that the gateway accepts, with the variables it is given', () => {
    const { environment } = compose.services.gateway;
    const env = Object.fromEntries(Object.keys(environment).map((name) => [name, `value-of-${name}`]));
    const config = loadConfig(docker('gateway.yaml'), {}, env);
    expect(config.sinks['plant']).toMatchObject({
      url: 'http://influxdb:8086',
      token: 'value-of-INFLUX_TOKEN',
    });
    expect(config.ingest.embedded).toMatchObject({ host: '0.0.0.0', port: 1883, allowAnonymous: false });
    expect(config.http).toMatchObject({ host: '0.0.0.0', port: 8080 });
  });
});

describe('the Dockerfile', () => {
  const dockerfile = text('Dockerfile')
    .replace(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ');
  const lines = dockerfile.split('\n');

  it('copies only what exists and what its ignore file lets through', () => {
    const ignore = text('Dockerfile.dockerignore').split('\n');
    const sources = lines
      .filter((line) => /^COPY (?!--from)/.test(line))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    expect(sources.length).toBeGreaterThan(8);
    for (const source of sources) {
      const name = source.replace(/^\.\//, '');
      expect(ignore).toContain(`!${name}`);
      expect(existsSync(join(root, name))).toBe(true);
    }
  });

  it('builds and runs on the same Node, and not as root', () => {
    const images = lines.filter((line) => line.startsWith('FROM ')).map((line) => line.split(' ')[1]);
    expect(images.length).toBe(2);
    expect(new Set(images).size).toBe(1);
    expect(lines.findLast((line) => line.startsWith('USER '))).toBe('USER 10001:10001');
  });

  it('keeps the model runtime of its own platform and removes the others', () => {
    const find = /find node_modules\/onnxruntime-node\/bin .*?\{\} \+/.exec(dockerfile)![0];
    const folder = mkdtempSync(join(tmpdir(), 'millwright-image-'));
    const bin = join(folder, 'node_modules/onnxruntime-node/bin/napi-v6');
    for (const platform of ['linux/x64', 'linux/arm64', 'darwin/arm64', 'win32/x64', 'win32/arm64']) {
      mkdirSync(join(bin, platform, 'deeper'), { recursive: true });
    }
    execFileSync('sh', ['-c', find], {
      cwd: folder,
      env: { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env['PATH']}` },
    });
    const kept = readdirSync(bin).flatMap((system) =>
      readdirSync(join(bin, system)).map((arch) => `${system}/${arch}`),
    );
    rmSync(folder, { recursive: true });
    expect(kept).toEqual([`linux/${process.arch}`]);
  });

  it('starts, as its command line says, what the gateway understands', () => {
    const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)![1]!);
    const command = JSON.parse(/^CMD (\["run".*)$/m.exec(dockerfile)![1]!);
    expect(entry).toEqual(['node', 'bin/millwright.mjs']);
    expect(command).toEqual([
      'run',
      '--config',
      '/etc/millwright/gateway.yaml',
      '--data-dir',
      '/var/lib/millwright',
    ]);
  });
});
