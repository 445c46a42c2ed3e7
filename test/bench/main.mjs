// `npm run bench -- [--json FILE] [--only TEXT] [--seconds N]`: CPU, latency and memory of the whole gateway process
// under load, each figure beside a reference taken in the same run. Ratios carry over to other machines; seconds don't.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const CLOCK_TICKS_PER_S = 100;
const { values: flags } = parseArgs({
  options: {
    json: { type: 'string' },
    only: { type: 'string', default: '' },
    seconds: { type: 'string', default: '8' },
  },
});
const seconds = Number(flags.seconds);
const results = [];

function record(name, value, unit, reference = null) {
  const ratio = reference === null || reference === 0 ? null : value / reference;
  results.push({ name, value, unit, reference, ratio });
  const beside = reference === null ? '' : `   reference ${reference.toFixed(2)}, ratio ${ratio?.toFixed(2)}`;
  process.stdout.write(`${name.padEnd(58)} ${value.toFixed(2).padStart(10)} ${unit}${beside}\n`);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** User plus system time of a process and its children, seconds. */
function cpuSeconds(pid) {
  const own = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return [pid, ...children(pid)].reduce((sum, id) => {
    const f = id === pid ? own : readFileSync(`/proc/${id}/stat`, 'utf8').split(') ')[1].split(' ');
    return sum + (Number(f[11]) + Number(f[12])) / CLOCK_TICKS_PER_S;
  }, 0);
}

function children(pid) {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  );
}

function rssMb(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}

async function startGateway(patch = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'millwright-bench-'));
  const [port, httpPort] = [await freePort(), await freePort()];
  const config = {
    dataDir: join(directory, 'data'),
    modelsDir: join(REPOSITORY, 'models'),
    http: { port: httpPort },
    ingest: { embedded: { port, allowAnonymous: true } },
    store: { commitWindowMs: 50, ...patch.store },
    sinks: patch.sinks ?? {},
    machineClasses: patch.machineClasses ?? {
      any: {
        topics: ['factory/{machine}/{channel}'],
        channels: { '*': { features: ['proc.basic'], durability: patch.durability ?? 'disk' } },
        window: { sizeMs: 10_000 },
      },
    },
  };
  const file = join(directory, 'bench.yaml');
  writeFileSync(file, stringify(config));
  const child = spawn(process.execPath, [join(REPOSITORY, 'bin/millwright.mjs'), 'run', '--config', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk) => (log = (log + chunk).slice(-20_000)));
  for (let i = 0; ; i += 1) {
    if (child.exitCode !== null || i > 400) throw new Error(`the gateway did not start:\n${log}`);
    const answer = await fetch(`http://127.0.0.1:${httpPort}/readyz`).catch(() => null);
    if (answer?.status === 200) break;
    await new Promise((r) => setTimeout(r, 50));
  }
  return { pid: child.pid, port, httpPort, stop: () => stop(child, directory) };
}

async function startPlain() {
  const port = await freePort();
  const child = spawn(process.execPath, [join(import.meta.dirname, 'plain-aedes.mjs'), String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return { pid: child.pid, port, stop: () => stop(child, null) };
}

async function stop(child, directory) {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
  if (directory) rmSync(directory, { recursive: true, force: true });
}

/** Runs a load against a process after a warm-up; CPU is taken over the load alone. */
async function load(target, options) {
  const run = async (secondsOfRun) => {
    const generator = spawn(
      process.execPath,
      [
        join(import.meta.dirname, 'load-generator.mjs'),
        JSON.stringify({
          connections: 100,
          inFlight: 1000,
          ...options,
          port: target.port,
          seconds: secondsOfRun,
        }),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let out = '';
    generator.stdout.on('data', (chunk) => (out += chunk));
    await once(generator, 'exit');
    return JSON.parse(out);
  };
  await run(2);
  const before = cpuSeconds(target.pid);
  const outcome = await run(seconds);
  const cpu = cpuSeconds(target.pid) - before;
  return {
    ...outcome,
    cpuUsPerMessage: (cpu * 1e6) / outcome.sent,
    cores: cpu / seconds,
    rssMb: rssMb(target.pid),
  };
}

async function withTarget(start, run) {
  const target = await start();
  try {
    return await run(target);
  } finally {
    await target.stop();
  }
}

const wanted = (name) => name.includes(flags.only);

async function messageCosts() {
  for (const ratePerS of [1_000, 10_000, 50_000]) {
    const label = `${ratePerS / 1000}k/s`;
    if (!wanted(`messages ${label}`)) continue;
    const plain = {};
    for (const qos of [0, 1]) plain[qos] = await withTarget(startPlain, (t) => load(t, { qos, ratePerS }));
    const cases = [
      ['QoS 0', 0, {}],
      ['QoS 1, durability memory', 1, { durability: 'memory' }],
      ['durable QoS 1, 50 ms window', 1, {}],
      ['durable QoS 1, 5 ms window', 1, { store: { commitWindowMs: 5 } }],
    ];
    for (const [name, qos, patch] of cases) {
      const outcome = await withTarget(
        () => startGateway(patch),
        (t) => load(t, { qos, ratePerS }),
      );
      record(
        `messages ${label}: ${name}, CPU`,
        outcome.cpuUsPerMessage,
        'us/message',
        plain[qos].cpuUsPerMessage,
      );
      if (qos === 1)
        record(`messages ${label}: ${name}, PUBACK p99`, outcome.ackP99Ms, 'ms', plain[1].ackP99Ms);
      record(`messages ${label}: ${name}, RSS`, outcome.rssMb, 'MB', plain[qos].rssMb);
      record(`messages ${label}: ${name}, delivered rate`, outcome.sentPerS, 'messages/s', ratePerS);
    }
  }
}

async function smallAllowance() {
  const name = 'one client, 20 in flight, durable QoS 1, 50 ms window';
  if (!wanted(name)) return;
  const outcome = await withTarget(startGateway, (t) =>
    load(t, { qos: 1, ratePerS: 20_000, connections: 1, inFlight: 20 }),
  );
  record(name, outcome.acknowledgedPerS, 'acknowledged/s', 20 / 0.05);
}

await messageCosts();
await smallAllowance();
for (const extra of ['./waveforms.mjs', './assessment-latency.mjs']) {
  const { run } = await import(extra).catch(() => ({ run: null }));
  if (run) await run({ wanted, record, withTarget, startGateway, load, REPOSITORY });
}
if (flags.json) writeFileSync(flags.json, `${JSON.stringify(results, null, 2)}\n`);
