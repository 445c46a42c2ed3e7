/**
 * The ways in which the database can fail, one after the other under load, at one gateway whose sink is a real InfluxDB
 * behind a fault proxy: down (with a SIGKILL in between), slow, frozen, too large, too many, overloaded, reset, answers
 * that get lost, answers that are none. After each every window is in the database, once, with the right numbers.
 *
 * Controls: the official client with its default retries gets the same windows and meets the same outages; where its
 * way of retrying must lose, it has to lose. And the oracle sees a window that is taken away.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ScriptedAnswer, SeenRequest } from '../support/fault-proxy.ts';
import { findInfluxd, NO_INFLUXD } from '../support/influx.ts';
import { differences, type MachineLoad, OutagePlant, quantile, WINDOW_MS } from '../support/outage-plant.ts';
import { scaled, scaledTimeoutMs } from '../support/scale.ts';

const available = findInfluxd() !== null;
if (!available) console.log(NO_INFLUXD);

const OUTAGE_MS = scaled(1_600, 20_000);
/** Recordings pass by at some eighty times their own speed, and must not reach the present, which is guarded. */
const RECORDED_BEFORE_MS = scaled(7_200_000, 3 * 86_400_000);
const DOWN_MS = scaled(4_000, 600_000);
/** Newest windows are visible this long after the database is back. */
const VISIBLE_WITHIN_MS = 5_000;
const DRAINED_WITHIN_MS = scaled(20_000, 120_000);

interface Outage {
  readonly name: string;
  begin(plant: OutagePlant): Promise<void>;
  /** Without it the proxy passes everything again. */
  end?(plant: OutagePlant): Promise<void>;
  readonly lastsMs?: number;
  /** Halfway gateway and control are killed. */
  readonly kills?: boolean;
  /** The official client gives such a request up. */
  readonly naiveLoses?: boolean;
  /** What the status says meanwhile. */
  readonly says: RegExp;
  readonly state?: 'held';
}

const answers = (plant: OutagePlant, answer: (request: SeenRequest) => ScriptedAnswer | null) =>
  plant.proxy.set({ kind: 'answer', answer });
const HOTEL = {
  status: 200,
  headers: { 'content-type': 'text/html' },
  body: '<html><title>Welcome to the hotel WLAN</title></html>',
};
let flip = 0;

const OUTAGES: readonly Outage[] = [
  {
    name: 'down, and gateway killed meanwhile',
    begin: (plant) => plant.proxy.set({ kind: 'refuse' }),
    lastsMs: DOWN_MS,
    kills: true,
    naiveLoses: true,
    says: /ECONNREFUSED|ECONNRESET|socket hang up/,
  },
  {
    name: 'on a line of 300 bytes a second',
    begin: (plant) => plant.proxy.set({ kind: 'slow', bytesPerSecond: 300 }),
    says: /no answer within|^$/,
  },
  {
    name: 'frozen: accepts and never answers',
    begin: (plant) => plant.proxy.set({ kind: 'freeze' }),
    says: /no answer within 1000 ms/,
  },
  {
    name: 'stopped: the server process itself is suspended',
    begin: async (plant) => plant.influx.freeze(),
    end: async (plant) => plant.influx.thaw(),
    says: /no answer within 1000 ms/,
  },
  {
    name: 'taking five lines at a time (413)',
    begin: (plant) =>
      answers(plant, ({ lines }) => (lines.length > 5 ? { status: 413, body: 'too large' } : null)),
    naiveLoses: true,
    says: /^$/,
  },
  {
    name: 'asking for a pause (429 with Retry-After)',
    begin: (plant) =>
      answers(plant, () => ({ status: 429, headers: { 'retry-after': '1' }, body: 'slow down' })),
    says: /HTTP 429: slow down/,
  },
  {
    name: 'failing with 500 and 503 in turns',
    begin: (plant) => answers(plant, () => ({ status: flip++ % 2 === 0 ? 500 : 503, body: 'overloaded' })),
    says: /HTTP 50[03]: overloaded/,
  },
  {
    name: 'cut off in the middle of every request',
    begin: (plant) => plant.proxy.set({ kind: 'reset', afterBodyBytes: 10 }),
    says: /ECONNRESET|EPIPE|socket hang up|aborted/,
  },
  {
    name: 'storing everything and losing its answer (204, then reset)',
    begin: (plant) => plant.proxy.set({ kind: 'swallow' }),
    says: /ECONNRESET|socket hang up|aborted/,
  },
  {
    name: 'ending its answer after nine bytes',
    begin: (plant) => plant.proxy.set({ kind: 'truncate' }),
    says: /Parse Error|socket hang up|ECONNRESET|aborted/i,
  },
  {
    name: 'answering byte by byte, for ever',
    begin: (plant) => plant.proxy.set({ kind: 'drip', everyMs: 50 }),
    says: /no answer within 1000 ms/,
  },
  {
    name: 'behind a portal that answers 200 with a web page',
    begin: (plant) => answers(plant, () => HOTEL),
    naiveLoses: true,
    says: /HTTP 200: a web page instead of an answer: Welcome to the hotel WLAN/,
  },
  {
    name: 'behind a redirect',
    begin: (plant) => answers(plant, () => ({ status: 307, headers: { location: 'http://moved.example/' } })),
    naiveLoses: true,
    says: /HTTP 307/,
    state: 'held',
  },
];

describe.skipIf(!available)('a database that is', () => {
  let plant: OutagePlant;
  const quiet: number[] = [];
  const troubled: number[] = [];
  const report: string[] = [];

  beforeAll(async () => {
    plant = await OutagePlant.start();
    const load = plant.load('quiet', Date.now() - RECORDED_BEFORE_MS);
    load.start();
    await sleep(scaled(3_000, 30_000));
    await load.finish();
    for (const ms of load.latenciesMs.slice(100)) quiet.push(ms);
  });
  afterAll(async () => {
    console.log(report.join('\n'));
    await plant?.stop();
  });

  async function suffer(outage: Outage, load: MachineLoad): Promise<void> {
    const lastsMs = outage.lastsMs ?? OUTAGE_MS;
    const feed = setInterval(() => plant.naive.take(load), 100);
    onTestFinished(() => clearInterval(feed));
    load.start();
    await sleep(500);
    await outage.begin(plant);
    await sleep(lastsMs / 2);
    if (outage.kills) await plant.killAndRestart();
    await sleep(lastsMs / 2);
    const view = await plant.untilSink('far', ({ reason }) => outage.says.test(reason));
    if (outage.state) expect(view).toMatchObject({ state: outage.state });
    // A connection that broke with the gateway says nothing about the database.
    if (!outage.kills) for (const ms of load.latenciesMs.slice(100)) troubled.push(ms);
    const newestMs = Math.max(...load.windows().keys()) + 2 * WINDOW_MS;
    await (outage.end?.(plant) ?? plant.proxy.set({ kind: 'pass' }));
    const visibleMs = await plant.newestVisibleMs(load, newestMs, DRAINED_WITHIN_MS);
    await sleep(300);
    await load.finish();
    report.push(`${outage.name}: newest window visible ${visibleMs.toFixed(0)} ms after its end`);
    expect(visibleMs).toBeLessThan(VISIBLE_WITHIN_MS);
  }

  it.each(OUTAGES.map((outage, index) => ({ ...outage, index })))(
    '$name loses nothing',
    async (outage) => {
      const load = plant.load(`m${outage.index}`, Date.now() - RECORDED_BEFORE_MS);
      await suffer(outage, load);
      expect(await plant.settled(load, DRAINED_WITHIN_MS)).toEqual([]);
      const expected = load.windows();
      report.push(`${report.pop()!}; ${expected.size} windows, 0 missing, 0 wrong`);
      if (outage.naiveLoses !== true) return;
      await sleep(1_200);
      const got = await plant.naiveCount(load.name);
      report.push(`  control: the official client brought ${got} of ${expected.size} through`);
      expect(got).toBeLessThan(expected.size);
    },
    scaledTimeoutMs(90_000, 1_200_000),
  );

  it('has cost no point: the ledger balances, nothing was refused or evicted', async () => {
    const [far] = await plant.accounts();
    const { produced, delivered, deadLettered, evicted, quarantined, pending } = far!;
    expect({ deadLettered, evicted, quarantined }).toEqual({ deadLettered: 0, evicted: 0, quarantined: 0 });
    expect(produced).toBe(delivered + pending);
    expect(delivered).toBeGreaterThan(OUTAGES.length * 10);
  });

  it('is not noticed by sensors: acknowledgements come as on quiet days', () => {
    const figures = [quiet, troubled].map((list) => [quantile(list, 0.5), quantile(list, 0.99)] as const);
    const [[quietP50, quietP99], [p50, p99]] = figures as [
      readonly [number, number],
      readonly [number, number],
    ];
    report.push(
      `acknowledgement p50/p99: quiet ${quietP50.toFixed(1)}/${quietP99.toFixed(1)} ms of ${quiet.length}, ` +
        `during outages ${p50.toFixed(1)}/${p99.toFixed(1)} ms of ${troubled.length}`,
    );
    expect(p50).toBeLessThan(2 * quietP50 + 20);
    expect(p99).toBeLessThan(3 * quietP99 + 100);
  });

  it('is read by an oracle that sees one window less', async () => {
    const stored = await plant.stored('m1');
    const [first] = stored.keys();
    const lacking = new Map([...stored].filter(([start]) => start !== first));
    expect(differences(stored, lacking)).toHaveLength(1);
  });
});
