/**
 * SIGKILL at random moments while history is written: afterwards every row of every series at every resolution is, bit
 * for bit, that of a gateway which was never killed, and that of a model which computes it from the messages alone.
 */

import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import { openStoreReadOnly } from '../../src/store/store.ts';
import { freePort, temporaryDirectory, waitUntil } from '../support/gateway-process.ts';
import { everything, reading, rowsIn } from '../support/history.ts';
import { playKilled } from '../support/killed-recording.ts';
import type { SequenceMessage } from '../support/sequence-publisher.ts';

const KILLS = Number(process.env['MILLWRIGHT_HISTORY_KILLS'] ?? 6);
const MACHINES = 3;
const WINDOW_MS = 1000;
const SAMPLE_MS = 250;
/** Event time is far ahead of real time, so that blocks of all archives are filled while it is killed. */
const WINDOWS = 800;
const START_MS = 1_767_225_600_000;
const ARCHIVES = [
  { stepMs: 1000, rows: 480 },
  { stepMs: 4000, rows: 480 },
  { stepMs: 16_000, rows: 480 },
];

function config(window: Record<string, number>): Record<string, unknown> {
  return {
    machineClasses: {
      pump: {
        topics: ['plant/{machine}/{channel}'],
        channels: { load: { features: ['proc.basic'], periodMs: SAMPLE_MS } },
        window: { sizeMs: WINDOW_MS, outOfOrderMs: 0, idleTimeoutMs: 600_000, ...window },
        baseline: { enabled: false },
      },
    },
    history: { archives: ARCHIVES, features: ['load.std', 'load.max'] },
    ingest: { clockGuard: { maxPastMs: 0 } },
  };
}

/** The n-th sample of a machine; null after the last. Some windows are missing. */
function sampleOf(machine: number, n: number): { timeMs: number; value: number } | null {
  const perWindow = WINDOW_MS / SAMPLE_MS;
  // Four windows of a hundred are left out.
  const window = Math.floor(n / perWindow);
  const shown = window + 4 * Math.floor(window / 96);
  if (shown > WINDOWS) return null;
  const timeMs = START_MS + shown * WINDOW_MS + (n % perWindow) * SAMPLE_MS + machine;
  return { timeMs, value: Math.fround(10 * machine + Math.sin(n * 0.7) + (n % 97) / 10) };
}

function messageOf(machine: number, n: number): SequenceMessage | null {
  const sample = sampleOf(machine, n);
  if (sample === null) return null;
  return { topic: `plant/m${machine}/load`, payload: JSON.stringify({ t: sample.timeMs, v: sample.value }) };
}

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Plays the recording and gives back the data directory once every window is in the history. */
async function play(
  kills: number,
  window: Record<string, number>,
  afterKill: (dataDir: string) => void = () => {},
): Promise<string> {
  const directory = temporaryDirectory('history-kill');
  cleanups.push(() => directory.remove());
  const dataDir = join(directory.path, 'data');
  const options = { config: config(window), dataDir, mqttPort: await freePort() };
  const recording = { machines: MACHINES, messages: messageCount(), messageOf };
  const after = { kills, afterKill: () => afterKill(dataDir) };
  const gateway = await playKilled(options, recording, after, (cleanup) => cleanups.push(cleanup));
  await waitUntil(
    () => newestRows(dataDir).every((untilMs) => untilMs >= START_MS + (WINDOWS - 4) * WINDOW_MS),
    30_000,
    () => `windows never came: ${newestRows(dataDir)}\n${gateway.log()}`,
  );
  await gateway.stop();
  return dataDir;
}

function messageCount(): number {
  let n = 0;
  while (sampleOf(0, n) !== null) n += 1;
  return n;
}

function newestRows(dataDir: string): number[] {
  const store = openStoreReadOnly(dataDir);
  try {
    const list = store.history(0.5).list();
    return list.length < 3 * MACHINES ? [0] : list.map(({ untilMs }) => untilMs ?? 0);
  } finally {
    store.close();
  }
}

/** Rows of the channel from the messages alone, by start. */
function model(machine: number, stepMs: number): Map<number, readonly number[]> {
  const windows = new Map<number, number[]>();
  for (let n = 0; ; n += 1) {
    const sample = sampleOf(machine, n);
    if (sample === null) break;
    const start = Math.floor(sample.timeMs / WINDOW_MS) * WINDOW_MS;
    windows.set(start, [...(windows.get(start) ?? []), sample.value]);
  }
  // The last window never closes.
  windows.delete(START_MS + WINDOWS * WINDOW_MS);
  const rows = new Map<number, number[][]>();
  for (const [start, values] of windows) {
    const row = Math.floor(start / stepMs) * stepMs;
    rows.set(row, [...(rows.get(row) ?? []), values]);
  }
  return new Map(
    [...rows].map(([row, each]) => {
      const all = each.flat();
      return [row, [Math.min(...all), Math.max(...all), each.at(-1)!.at(-1)!, each.length]];
    }),
  );
}

function expectAsModel(dataDir: string): number {
  let compared = 0;
  reading(
    dataDir,
    (view) => {
      for (let machine = 0; machine < MACHINES; machine += 1) {
        for (const { stepMs, rows } of ARCHIVES) {
          const reach = START_MS + WINDOWS * WINDOW_MS - rows * stepMs;
          const within = <T>(all: Map<number, T>) => [...all].filter(([row]) => row >= reach);
          const got = within(rowsIn(view, `m${machine}`, 'load', stepMs)).map(
            ([row, [, ...exact]]) => [row, exact] as const,
          );
          expect(got).toEqual(within(model(machine, stepMs)));
          compared += got.length;
        }
      }
    },
    0.999,
  );
  return compared;
}

describe('SIGKILL while history is written', () => {
  it(`leaves the history of an unkilled run, over ${KILLS} kills`, async () => {
    const calm = await play(0, {});
    const killed = await play(KILLS, {});
    const compared = expectAsModel(calm);
    expectAsModel(killed);
    const [want, got] = [reading(calm, everything), reading(killed, everything)];
    expect(got).toEqual(want);
    console.log(
      `history: ${KILLS} kills, ${Object.keys(got).length} archives identical, ${compared} rows as the model`,
    );
  });

  it('counts no window twice where late samples are still allowed', async () => {
    expect(expectAsModel(await play(3, { allowedLatenessMs: 5000 }))).toBeGreaterThan(1000);
  });

  it('loses windows where a kill takes what no block holds yet (negative control)', async () => {
    const killed = await play(2, {}, (dataDir) => {
      const db = new Database(join(dataDir, 'millwright.db'));
      db.exec('DELETE FROM history_log');
      db.close();
    });
    expect(() => expectAsModel(killed)).toThrow();
  });
});
