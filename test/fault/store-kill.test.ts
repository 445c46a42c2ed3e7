import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compileStore } from '../support/compiled-store.ts';
import { type StoreFolder, storeConfig, storeFolder } from '../support/store.ts';

const CHILD = join(import.meta.dirname, '../support/store-child.mjs');
const hasStrace = spawnSync('strace', ['-V']).status === 0;
const canTrace = hasStrace && spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0;
if (!canTrace) console.log('skipped: strace can not trace here, flushes are not counted');

let storeModule: string;
let folder: StoreFolder;

beforeAll(() => {
  storeModule = compileStore();
});
beforeEach(() => {
  folder = storeFolder();
  return () => folder.remove();
});

interface ChildOptions {
  readonly commits: number;
  readonly when: 'after' | 'before' | 'close';
  readonly withResults?: true | 'trimming';
}

function childArguments(options: ChildOptions): string[] {
  return [
    CHILD,
    storeModule,
    JSON.stringify({ dataDir: folder.path, storeConfig: storeConfig(), ...options }),
  ];
}

/** Runs the child until it has printed `lines` lines and some more time has gone, kills it and returns what it printed. */
async function killAfter(lines: number, delayMs: number, options: ChildOptions): Promise<number[]> {
  const child: ChildProcess = spawn(process.execPath, childArguments(options), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    if (text.split('\n').length > lines) setTimeout(() => child.kill('SIGKILL'), delayMs);
  });
  await once(child, 'close');
  return text.split('\n').slice(1, -1).map(Number);
}

/** Flushes of any kind that a traced run of the child asked for. */
function countFlushes(options: ChildOptions): number {
  const trace = join(folder.path, 'trace');
  execFileSync('strace', [
    '-f',
    '-e',
    'trace=fsync,fdatasync',
    '-o',
    trace,
    process.execPath,
    ...childArguments(options),
  ]);
  return readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => /f(data)?sync\(\d+\) += 0/.test(line)).length;
}

describe('a killed store', () => {
  it('has every batch whose commit had returned, and nothing but whole batches', {
    timeout: 120_000,
  }, async () => {
    let next = 1;
    for (let round = 0; round < 12; round += 1) {
      const printed = await killAfter(20 + round * 7, round % 3, {
        commits: 1e6,
        when: 'after',
        withResults: true,
      });
      expect(printed.length).toBeGreaterThan(10);
      expect(printed[0]).toBeLessThanOrEqual(next);
      next = printed.at(-1)! + 1;
      const store = folder.open();
      const batches = [...store.journalBatches()];
      const ids = new Set(batches.map(({ id }) => id));
      expect(printed.filter((id) => !ids.has(id))).toStrictEqual([]);
      expect(batches.every(({ records }) => records.length === 160)).toBe(true);
      expect(store.recovery).toMatchObject({
        quarantined: null,
        lostRows: 0,
        lostBatches: 0,
        pendingDifference: {},
      });
      const { samples } = store.ledger();
      expect(samples.accepted).toBe(batches.length * 5);
      expect(store.checkLedger(samples.accepted - samples.windowed).balanced).toBe(true);
      next = store.nextBatchId();
      store.close();
    }
  });

  it('balances its accounts however it was killed while trimming, settling and folding back', {
    timeout: 120_000,
  }, async () => {
    for (let round = 0; round < 12; round += 1) {
      await killAfter(60 + round * 13, round % 4, { commits: 1e6, when: 'after', withResults: 'trimming' });
      const store = folder.open();
      expect(store.recovery).toMatchObject({
        quarantined: null,
        lostRows: 0,
        lostBatches: 0,
        pendingDifference: {},
      });
      expect(store.checkLedger(store.ledger().samples.open).balanced).toBe(true);
      store.close();
    }
  });

  it('would lose a batch announced before its commit: the test can fail', { timeout: 120_000 }, async () => {
    let lost = 0;
    for (let round = 0; round < 20 && lost === 0; round += 1) {
      const printed = await killAfter(10 + round, 0, { commits: 1e6, when: 'before' });
      const store = folder.open();
      const ids = new Set([...store.journalBatches()].map(({ id }) => id));
      lost += printed.filter((id) => !ids.has(id)).length;
      store.close();
    }
    expect(lost).toBeGreaterThan(0);
  });

  it('leaves the data directory free at once', { timeout: 60_000 }, async () => {
    await killAfter(5, 0, { commits: 1e6, when: 'after' });
    folder.open().close();
  });
});

describe.skipIf(!canTrace)('a commit', () => {
  it('flushes once: fifty more commits are fifty more flushes', { timeout: 60_000 }, () => {
    const few = countFlushes({ commits: 10, when: 'close' });
    rmSync(folder.path, { recursive: true, force: true });
    mkdirSync(folder.path);
    const many = countFlushes({ commits: 60, when: 'close' });
    expect(many - few).toBe(50);
  });
});
