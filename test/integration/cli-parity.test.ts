import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { RandomSource } from '../../src/cli/simulator/random.ts';
import { runCli } from '../support/cli-broker.ts';
import { startGatewayProcess, waitUntil } from '../support/gateway-process.ts';

const ROWS = 900;
const BLOCKS = 40;
const START = '2026-01-05T00:00:00Z';

const MACHINE_CLASSES = {
  rig: {
    machines: ['rig-*'],
    topics: ['plant/{machine}/row'],
    payload: { format: 'json', allFields: true },
    usage: true,
    window: { sizeMs: 5000, outOfOrderMs: 500, idleTimeoutMs: 5000 },
    channels: {
      temp: { unit: 'degC', periodMs: 1000, features: ['proc.basic', 'proc.trend'] },
      '*': { features: ['proc.basic'] },
    },
  },
  bearing: {
    topics: ['rig/{machine}/{channel}'],
    payload: { format: 'block' },
    window: { sizeMs: 2000, outOfOrderMs: 500, idleTimeoutMs: 5000 },
    parameters: {
      shaftSpeedRpm: 1797,
      bearing: { rollingElements: 9, ballDiameter: 7.94, pitchDiameter: 39.04 },
      isoGroup: 2,
      isoSupport: 'rigid',
    },
    channels: {
      DE: {
        kind: 'waveform',
        unit: 'g',
        sampleRateHz: 12000,
        features: ['vib.basic', 'vib.iso', 'vib.bearing'],
      },
    },
  },
};

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millwright-parity-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Two machines, irregular times, empty cells, numbers that use every digit of a double. */
function rowsFile(): string {
  const random = new RandomSource(11, 'rows');
  const lines = ['t,machine,temp,flow'];
  for (let i = 0; i < ROWS; i += 1) {
    const t = 1_700_000_000_000 + i * 1000 + Math.floor(300 * random.uniform());
    const flow = random.uniform() < 0.1 ? '' : String(random.normal() * 1e-3);
    lines.push(`${t},rig-${1 + (i % 2)},${40 + random.normal() / 3},${flow}`);
  }
  const path = join(dir, 'rows.csv');
  writeFileSync(path, lines.join('\n'));
  return path;
}

function waveformFile(): string {
  const random = new RandomSource(12, 'wave');
  const counts = Int16Array.from(
    { length: 12_000 * BLOCKS },
    (_, i) => 900 * Math.sin(i / 7) + 300 * random.normal(),
  );
  const header = `{'descr': '<i2', 'fortran_order': False, 'shape': (${counts.length},), }`.padEnd(117);
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length + 1);
  const magic = Buffer.from('\x93NUMPY\x01\x00', 'latin1');
  mkdirSync(join(dir, 'wave'));
  writeFileSync(
    join(dir, 'wave', 'manifest.csv'),
    'file,channel,sample_rate_hz,scale_per_count\nw_DE.npy,DE,12000,0.000162435\n',
  );
  const path = join(dir, 'wave', 'w_DE.npy');
  writeFileSync(
    path,
    Buffer.concat([magic, length, Buffer.from(`${header}\n`), new Uint8Array(counts.buffer)]),
  );
  return path;
}

/** `machine|start|feature` -> text of the number, from a table of `extract`. */
function fromTable(text: string): Map<string, string> {
  const [header, ...lines] = text
    .trimEnd()
    .split('\n')
    .map((line) => line.split(','));
  const found = new Map<string, string>();
  for (const cells of lines) {
    cells.forEach((cell, c) => {
      if (c >= 5 && cell !== '') found.set(`${cells[0]}|${cells[1]}|${header![c]}`, cell);
    });
  }
  return found;
}

/** The same from line protocol; none of these names holds an escaped character. */
function fromLines(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of text.trimEnd().split('\n')) {
    const [series, fields, time] = line.split(' ') as [string, string, string];
    const [measurement, ...tags] = series.split(',');
    if (measurement !== 'machine_features') continue;
    const tag = Object.fromEntries(tags.map((text) => text.split('=') as [string, string]));
    for (const field of fields.split(',')) {
      const [name, value] = field.split('=') as [string, string];
      if (['coverage', 'quality', 'revision'].includes(name)) continue;
      const prefix = tag['channel'] === undefined ? '' : `${tag['channel']}.`;
      found.set(`${tag['machine']}|${time}|${prefix}${name}`, value);
    }
  }
  return found;
}

it('extract gives digit for digit what the running gateway stores of the same recording', async () => {
  const files: [string, string[]][] = [
    [rowsFile(), ['--machine-column', 'machine']],
    [waveformFile(), []],
  ];
  const config = {
    ingest: { clockGuard: { maxPastMs: 0 }, embedded: { allowAnonymous: true } },
    machineClasses: MACHINE_CLASSES,
    // Nobody is there: what the gateway computes stays in the outbox, to be looked at.
    sinks: { nowhere: { type: 'line-protocol', url: 'http://127.0.0.1:1' } },
  };
  const dataDir = join(dir, 'data');
  const gateway = await startGatewayProcess({ config, dataDir });
  try {
    for (const [file, options] of files) {
      const url = `mqtt://127.0.0.1:${gateway.mqttPort}`;
      const { code, stderr } = await runCli(['replay', file, ...options, '--url', url, '--start', START]);
      expect(stderr).toMatch(/ messages acknowledged /);
      expect(code).toBe(0);
    }
    // The last windows close when their channels have been silent for the idle timeout.
    const open = async () => {
      const status = (await gateway.status()) as {
        store: { ledger: { samples: { open: number; accepted: number } } };
      };
      return status.store.ledger.samples;
    };
    await waitUntil(
      async () => (await open()).accepted > 0 && (await open()).open === 0,
      30_000,
      () => gateway.log(),
    );
  } finally {
    await gateway.stop();
  }
  const exported = join(dir, 'outbox.lp');
  expect((await runCli(['outbox', 'export', '--data-dir', dataDir, '--out', exported])).code).toBe(0);
  const stored = fromLines(readFileSync(exported, 'utf8'));

  const configPath = join(dir, 'extract.yaml');
  writeFileSync(configPath, stringify(config), { mode: 0o600 });
  const extracted = new Map<string, string>();
  for (const [file, options] of files) {
    const { code, stdout, stderr } = await runCli([
      'extract',
      '--config',
      configPath,
      file,
      ...options,
      '--start',
      START,
    ]);
    expect(stderr).not.toContain('error');
    expect(code).toBe(0);
    for (const [key, value] of fromTable(stdout)) extracted.set(key, value);
  }
  expect(extracted.size).toBeGreaterThan(5000);
  expect([...stored.keys()].sort()).toEqual([...extracted.keys()].sort());
  const different = [...extracted].filter(([key, value]) => Number(stored.get(key)) !== Number(value));
  expect(different).toEqual([]);
});
