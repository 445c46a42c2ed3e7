/**
 * SIGKILL at random moments while machines are commissioned, watched and raise alarms: what remembers earlier windows
 * (trends, usage, baseline, health) must go on as if nothing had happened.
 *
 * The same recording goes through a gateway that is never killed and through one that is killed again and again. A
 * small HTTP server takes the line protocol of both and keeps the text of every row, so that equal means equal in
 * every bit. It also keeps every version of a row: what was sent twice must have been the same twice.
 */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort, temporaryDirectory, waitUntil } from '../support/gateway-process.ts';
import { playKilled } from '../support/killed-recording.ts';

const KILLS = Number(process.env['MILLWRIGHT_MODEL_KILLS'] ?? 8);
const MACHINES = 3;
const WINDOW_MS = 1000;
const SAMPLE_MS = 100;
/** Windows of each machine; commissioning takes the first 30, the fault comes at 110. */
const WINDOWS = 150;
const FAULT_AT = 110;
const START_MS = 1_767_225_600_000;

/** Rows of a run without the gateway's own: `measurement,tags time` -> versions of the fields, oldest first. */
type Rows = ReadonlyMap<string, readonly string[]>;

interface RecordingSink {
  readonly url: string;
  readonly rows: Rows;
  close(): Promise<void>;
}

async function recordingSink(): Promise<RecordingSink> {
  const rows = new Map<string, string[]>();
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString();
      for (const line of text.split('\n')) if (line !== '') keep(rows, line);
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    rows,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Identifiers here hold no blanks, so the first and the last blank of a line part it. */
function keep(rows: Map<string, string[]>, line: string): void {
  if (line.startsWith('gateway')) return;
  const [first, last] = [line.indexOf(' '), line.lastIndexOf(' ')];
  const key = line.slice(0, first) + line.slice(last);
  const fields = line.slice(first + 1, last);
  const versions = rows.get(key);
  if (versions === undefined) rows.set(key, [fields]);
  else if (versions.at(-1) !== fields) versions.push(fields);
}

function config(sinkUrl: string, window: Record<string, number>): Record<string, unknown> {
  const channel = { features: ['proc.basic', 'proc.trend'], periodMs: SAMPLE_MS };
  return {
    machineClasses: {
      pump: {
        topics: ['plant/{machine}/{channel}'],
        channels: { load: channel, temperature: channel },
        parameters: { running: { channel: 'load', above: 5 } },
        usage: true,
        window: { sizeMs: WINDOW_MS, outOfOrderMs: 1000, idleTimeoutMs: 120_000, ...window },
        baseline: {
          enabled: true,
          minWindows: 30,
          minSpanMs: 0,
          smoothingWindows: 3,
          falseAlarmsPerMachinePer30Days: 1000,
        },
        health: { raiseCount: 3, raiseOutOf: 5, clearCount: 5 },
      },
    },
    inference: { deadlineMs: 20_000 },
    ingest: { clockGuard: { maxPastMs: 0 } },
    sinks: { recorder: { type: 'line-protocol', url: sinkUrl, flushIntervalMs: 100 } },
  };
}

/** Deterministic noise in [-0.5, 0.5). */
function noise(seed: number): number {
  const x = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  return ((Math.imul(x ^ (x >>> 13), 0xc2b2ae35) >>> 0) % 65536) / 65536 - 0.5;
}

/** The n-th message of a machine: both channels in turn, a stop now and then, drift, and a fault near the end. */
function messageOf(machine: number, n: number): { topic: string; payload: string } | null {
  const sample = n >> 1;
  const timeMs = START_MS + sample * SAMPLE_MS + machine;
  const window = Math.floor((sample * SAMPLE_MS) / WINDOW_MS);
  if (window >= WINDOWS) return null;
  const isLoad = n % 2 === 0;
  const stopped = window % 23 === 22;
  const fault = window >= FAULT_AT && window < FAULT_AT + 20 ? 40 : 0;
  const random = noise(machine * 1_000_003 + n);
  const value = isLoad ? (stopped ? 0 : 10 + 3 * random + fault) : 40 + machine + random + fault * random;
  const topic = `plant/m${machine}/${isLoad ? 'load' : 'temperature'}`;
  return { topic, payload: JSON.stringify({ t: timeMs, v: value }) };
}

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Run {
  readonly rows: Rows;
  readonly samples: Readonly<Record<string, number>>;
}

/** Plays the recording; `complete` says when everything has arrived at the sink. */
async function run(
  kills: number,
  window: Record<string, number>,
  complete: (rows: Rows) => boolean,
): Promise<Run> {
  const sink = await recordingSink();
  cleanups.push(() => sink.close());
  const directory = temporaryDirectory('model-state');
  cleanups.push(() => directory.remove());
  const options = {
    config: config(sink.url, window),
    dataDir: join(directory.path, 'data'),
    mqttPort: await freePort(),
  };
  const recording = { machines: MACHINES, messages: (2 * WINDOWS * WINDOW_MS) / SAMPLE_MS, messageOf };
  const gateway = await playKilled(options, recording, { kills }, (cleanup) => cleanups.push(cleanup));
  await waitUntil(
    () => complete(sink.rows),
    30_000,
    () => `rows never arrived: ${sink.rows.size}\n${gateway.log()}`,
  );
  const status = (await gateway.status()) as { store: { ledger: { samples: Record<string, number> } } };
  return { rows: sink.rows, samples: status.store.ledger.samples };
}

/** Rows of windows that went on without their scores: health and alarms of later windows may follow from them. */
function unscored(rows: Rows): string[] {
  return [...rows].flatMap(([key, versions]) =>
    versions.some((fields) => /reason="(deadline|model_down|queue_full|stopping)"/.test(fields)) ? [key] : [],
  );
}

function differences(expected: Rows, got: Rows): unknown[] {
  const wrong: unknown[] = [];
  for (const key of new Set([...expected.keys(), ...got.keys()])) {
    const [want, versions] = [expected.get(key), got.get(key)];
    if (want?.length !== 1 || versions?.length !== 1 || want[0] !== versions[0])
      wrong.push({ key, want, versions });
  }
  return wrong;
}

function count(rows: Rows, measurement: string): number {
  return [...rows.keys()].filter((key) => key.startsWith(`${measurement},`)).length;
}

/** The recording without kills, then with them. */
async function bothRuns(window: Record<string, number>): Promise<{ reference: Run; killed: Run }> {
  const reference = await run(
    0,
    window,
    (rows) => count(rows, 'machine_health') >= MACHINES * (WINDOWS - 2) && count(rows, 'machine_alarm') > 0,
  );
  expect(unscored(reference.rows)).toEqual([]);
  expect(count(reference.rows, 'machine_alarm')).toBeGreaterThan(0);
  const killed = await run(KILLS, window, (rows) => rows.size >= reference.rows.size);
  const { accepted, open, windowed, late, duplicate, evicted, quarantined } = killed.samples;
  expect(accepted).toBe(open! + windowed! + late! + duplicate! + evicted! + quarantined!);
  expect(evicted! + quarantined!).toBe(0);
  return { reference, killed };
}

describe('SIGKILL while machines are learned and watched', () => {
  it(`gives features, scores, health and alarms of an unkilled run, bit for bit, over ${KILLS} kills`, async () => {
    const { reference, killed } = await bothRuns({});
    const missed = unscored(killed.rows);
    expect(missed.length).toBeLessThan(10);
    // A window without a score casts no vote: from there on the machine's health may differ.
    if (missed.length === 0) expect(differences(reference.rows, killed.rows)).toEqual([]);
    console.log(
      `model state: ${KILLS} kills, ${killed.rows.size} rows identical, ${missed.length} unscored, ${killed.samples['duplicate']} + ${killed.samples['late']} redelivered`,
    );
  });

  it('gives the same features, scores and alarms where late samples are still allowed', async () => {
    const { reference, killed } = await bothRuns({ allowedLatenessMs: 3_000 });
    const missed = unscored(killed.rows);
    expect(missed.length).toBeLessThan(10);
    // Windows that are not final come again after a kill, as a revision with the same content.
    if (missed.length === 0)
      expect(differences(withoutRevisions(reference.rows), withoutRevisions(killed.rows))).toEqual([]);
  });
});

/**
 * Health is left out, and of scores the first version counts: a revised window is judged under the present state of the
 * machine's baseline.
 */
function withoutRevisions(rows: Rows): Rows {
  const plain = [...rows].filter(([key]) => !key.startsWith('machine_health,'));
  return new Map(
    plain.map(([key, versions]) => [
      key,
      [...new Set(versions.map((fields) => fields.replace(/,?revision=[^,]+/, '')))].slice(
        0,
        key.startsWith('machine_assessment,') ? 1 : undefined,
      ),
    ]),
  );
}
