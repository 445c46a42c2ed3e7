import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChannelRef } from '../../src/domain/machine.ts';
import { PAGE_BYTES } from '../../src/store/schema.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import { scaledCount, scaledTimeoutMs } from '../support/scale.ts';
import { NOON_MS, point, samples, scalars, storeConfig, storeFolder, unit } from '../support/store.ts';

const SINKS = ['influx', 'archive'];
/** In the file, in the log, and among those in the file on the pages that list the tables: 1,000 in all. */
const FLIPS = scaledCount('MILLWRIGHT_FLIPS', 600, 20_000);
const LOG_FLIPS = scaledCount('MILLWRIGHT_LOG_FLIPS', 280, 10_000);
/** An open with everything read back, on any machine. */
const MAX_OPEN_MS = 5000;
const SAMPLES = 60 * 20;

/** What went in: whatever comes out must be one of these, or be counted as lost. */
const channels: ChannelRef[] = Array.from({ length: 12 }, (_, index) => ({
  index,
  machineClass: 'pump',
  machine: `pump-${index % 4}`,
  channel: `channel-${index}`,
}));
const closedUntil = new Map(Array.from({ length: 4 }, (_, n) => [`pump-${n}`, NOON_MS + 40_000 + n]));
const states = new Map(
  Array.from({ length: 4 }, (_, n) => [`pump-${n}/features`, new Uint8Array(900).fill(n + 1)]),
);
const journal = new Map<number, Uint8Array>();
/** As text: comparing thousands of points structurally for every flip would take minutes. */
const outbox = new Map<number, string>();
const letters = new Map<number, Uint8Array>();

function fill(store: Store): void {
  store.commit(unit({ channels }));
  for (let n = 1; n <= 60; n += 1) {
    const records = scalars(20, n * 20);
    journal.set(n, records);
    store.commit(samples(20, n * 20));
  }
  for (let n = 0; n < 40; n += 1) {
    const points = Array.from({ length: n % 3 === 0 ? 150 : 6 }, (_, i) => point(n * 1000 + i));
    const machine = `pump-${n % 4}`;
    const stateWrites = [{ machine, key: 'features', value: states.get(`${machine}/features`)! }];
    store.commit(
      unit({ results: [{ machine, closedUntilMs: closedUntil.get(machine)!, points, stateWrites }] }),
    );
    outbox.set(n + 1, JSON.stringify(points));
  }
  for (let id = 1; id <= 15; id += 1) {
    const payload = new Uint8Array(300).fill(id);
    letters.set(id, payload);
    const about = { reason: 'malformed_json' as const, detail: '', source: 'a/b', receivedMs: NOON_MS };
    store.commit(unit({ deadLetters: [{ ...about, payload }] }));
  }
  for (const id of [1, 2, 7]) store.settleOutbox('influx', id, { delivered: 1, deadLettered: [] });
  store.settleOutbox('archive', 1, { delivered: 1, deadLettered: [] });
}

const folder = storeFolder();
let sound: Buffer;
/** The same content, but all of it in the log: what a killed gateway leaves. */
let unfolded: { readonly file: Buffer; readonly log: Buffer };

beforeAll(() => {
  const store = folder.open({}, { sinks: SINKS });
  fill(store);
  // Settled batches are saved with the next results.
  store.commit(unit({ results: [{ machine: '', closedUntilMs: 0, points: [], stateWrites: [] }] }));
  const path = join(folder.path, 'millwright.db');
  unfolded = { file: readFileSync(path), log: readFileSync(`${path}-wal`) };
  store.close();
  sound = readFileSync(join(folder.path, 'millwright.db'));
});
afterAll(() => folder.remove());

type Verdict = 'harmless' | 'repaired' | 'row lost' | 'file replaced';
interface Outcome {
  readonly verdict: Verdict;
  /** Rows that went in and did not come out. */
  readonly missing: number;
}

/** Opens a store over `bytes`, reads everything and checks that nothing is wrong and nothing is missing in silence. */
function openDamaged(bytes: Buffer, log?: Buffer): Outcome {
  const dataDir = join(folder.path, 'damaged');
  rmSync(dataDir, { recursive: true, force: true });
  mkdirSync(dataDir);
  writeFileSync(join(dataDir, 'millwright.db'), bytes);
  if (log !== undefined) writeFileSync(join(dataDir, 'millwright.db-wal'), log);
  const startedMs = performance.now();
  const store = openStore({
    dataDir,
    config: storeConfig(),
    sinks: SINKS,
    now: () => NOON_MS,
    logger: SILENT,
  });
  expect(performance.now() - startedMs, 'time to open, ms').toBeLessThan(MAX_OPEN_MS);
  try {
    return verdictOn(store, log !== undefined);
  } finally {
    store.close();
  }
}

function verdictOn(store: Store, isInLog: boolean): Outcome {
  const missingBatches = readJournal(store);
  const missing = readSmallTables(store) + missingBatches + readBacklog(store) + readLetters(store);
  // Commits that are lost at the end of a log take their share of the accounts along.
  const isCut = isInLog && store.recovery.lostRows > 0;
  const openSamples = isCut ? SAMPLES - 20 * missingBatches : SAMPLES;
  if (!isCut) expect(store.nextBatchId()).toBeGreaterThan(60);
  store.bookRecovered(openSamples);
  const check = store.checkLedger(openSamples);
  expect(check).toMatchObject({ balanced: true });
  const { quarantined, lostRows, lostBatches, repairedRows } = store.recovery;
  const quarantinedPoints = store.ledger().points.reduce((sum, account) => sum + account.quarantined, 0);
  const lost = lostRows + lostBatches + quarantinedPoints;
  if (missing > 0)
    expect(quarantined !== null || lost > 0, 'something is missing and nothing says so').toBe(true);
  if (quarantined !== null) return { verdict: 'file replaced', missing };
  if (lost > 0) return { verdict: 'row lost', missing };
  return { verdict: repairedRows > 0 ? 'repaired' : 'harmless', missing };
}

function readSmallTables(store: Store): number {
  const found = store.channels();
  for (const ref of found) expect(ref).toStrictEqual(channels[ref.index]);
  const ends = store.closedUntil();
  const latest = Math.max(...closedUntil.values());
  for (const [machine, endMs] of ends) expect([closedUntil.get(machine), latest]).toContain(endMs);
  let seen = 0;
  for (const { machine, key, value } of store.machineStates()) {
    expect(Buffer.compare(value, states.get(`${machine}/${key}`)!), `state of ${machine}`).toBe(0);
    seen += 1;
  }
  return channels.length - found.length + (closedUntil.size - ends.size) + (states.size - seen);
}

function readJournal(store: Store): number {
  let seen = 0;
  for (const { id, records } of store.journalBatches()) {
    expect(Buffer.compare(records, journal.get(id)!), `records of batch ${id}`).toBe(0);
    seen += 1;
  }
  return journal.size - seen;
}

function readBacklog(store: Store): number {
  while (store.salvageStep());
  let missing = 0;
  for (const sink of SINKS) {
    const batches = store.readOutbox(sink, Infinity, 'backlog');
    for (const { id, points } of batches)
      expect(JSON.stringify(points) === outbox.get(id), `points of batch ${id}`).toBe(true);
    const ids = new Set(batches.map(({ id }) => id));
    const taken = sink === 'influx' ? [1, 2, 7] : [1];
    missing += [...outbox.keys()].filter((id) => !ids.has(id) && !taken.includes(id)).length;
  }
  return missing;
}

function readLetters(store: Store): number {
  const found = store.deadLetters();
  for (const { id, payload } of found)
    expect(Buffer.compare(payload, letters.get(id)!), `letter ${id}`).toBe(0);
  return letters.size - found.length;
}

/** Numerical Recipes' linear congruential generator: the same flips in every run. */
function* positions(count: number, below: number, seed: number): Generator<number> {
  let state = seed;
  for (let n = 0; n < count; n += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield Math.floor((state / 2 ** 32) * below);
  }
}

function flipped(from: Buffer, bit: number): Buffer {
  const bytes = Buffer.from(from);
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return bytes;
}

function outcomes(count: number, bytes: number, seed: number): Outcome[] {
  return [...positions(count, bytes * 8, seed)].map((bit) => {
    try {
      return openDamaged(flipped(sound, bit));
    } catch (error) {
      throw new Error(`bit ${bit} (byte ${bit >> 3})`, { cause: error });
    }
  });
}

describe('a store with one flipped bit', () => {
  it('opened without a flip gives back everything', () => {
    expect(openDamaged(sound)).toStrictEqual({ verdict: 'harmless', missing: 0 });
  });

  it(`never gives a wrong value and never loses in silence (${FLIPS} bits anywhere)`, {
    timeout: scaledTimeoutMs(300_000),
  }, () => {
    const found = outcomes(FLIPS, sound.length, 1);
    const noticed = found.filter(({ verdict }) => verdict !== 'harmless');
    // The test would be blind if flips were never noticed.
    expect(noticed.length).toBeGreaterThan(FLIPS / 4);
  });

  it('in the first pages, which list the tables, gives back every row', () => {
    const found = outcomes(120, 4 * PAGE_BYTES, 2);
    expect(found.some(({ verdict }) => verdict === 'file replaced')).toBe(true);
    expect(found.map(({ missing }) => missing)).toStrictEqual(found.map(() => 0));
  });

  it(`in the log is put right, or what stands behind it is counted as lost (${LOG_FLIPS} bits)`, {
    timeout: scaledTimeoutMs(300_000),
  }, () => {
    const { file, log } = unfolded;
    expect(openDamaged(file, log)).toStrictEqual({ verdict: 'harmless', missing: 0 });
    const found = [...positions(LOG_FLIPS, log.length * 8, 3)].map((bit) => {
      try {
        return openDamaged(file, flipped(log, bit));
      } catch (error) {
        throw new Error(`bit ${bit} (byte ${bit >> 3}) of the log`, { cause: error });
      }
    });
    const of = (verdict: Verdict) => found.filter((outcome) => outcome.verdict === verdict);
    console.log(`log flips: ${of('repaired').length} repaired, ${of('row lost').length} counted as lost`);
    // `verdictOn` has refused anything missing that nothing says; what was put right must be whole.
    expect(found.filter(({ verdict, missing }) => verdict !== 'row lost' && missing > 0)).toStrictEqual([]);
    expect(of('repaired').length).toBeGreaterThan(LOG_FLIPS / 2);
  });

  it('control: without its last frames a log loses rows, so the comparison can tell', () => {
    const { file, log } = unfolded;
    expect(() => expect(openDamaged(file, log.subarray(0, log.length >> 1)).missing).toBe(0)).toThrow();
  });
});
