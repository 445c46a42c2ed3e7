import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compileStore } from '../support/compiled-store.ts';
import { type StoreFolder, storeConfig, storeFolder } from '../support/store.ts';

const CHILD = join(import.meta.dirname, '../support/store-faults-child.mjs');
const canInject =
  spawnSync('strace', ['-e', 'inject=fsync:error=EIO', '-o', '/dev/null', 'true']).status === 0;
if (!canInject) console.log('skipped: strace can not inject faults here, failing flushes are not tried');

interface Line {
  readonly opened?: true;
  readonly batch?: number;
  readonly code?: string;
  readonly status?: string;
}

let storeModule: string;
let folder: StoreFolder;
beforeAll(() => {
  if (canInject) storeModule = compileStore();
});
beforeEach(() => {
  folder = storeFolder();
  return () => folder.remove();
});

/** What the child said while `injection` (strace's own words) was in force. */
function runWith(injection: readonly string[], commits: number): Line[] {
  const options = JSON.stringify({ dataDir: folder.path, storeConfig: storeConfig(), commits });
  const strace = ['-f', '-o', '/dev/null', '-P', join(folder.path, 'millwright.db-wal'), ...injection];
  const output = execFileSync('strace', [...strace, process.execPath, CHILD, storeModule, options], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

function storedBatches(): number[] {
  const store = folder.open();
  const ids = [...store.journalBatches()].map(({ id }) => id);
  expect(store.checkLedger(store.ledger().samples.accepted).balanced).toBe(true);
  store.close();
  return ids;
}

describe.skipIf(!canInject)('a flush that fails once', () => {
  it('ends the trust in the handle for good: no later commit succeeds', { timeout: 60_000 }, () => {
    folder.open().close();
    const lines = runWith(['-e', 'inject=fsync,fdatasync:error=EIO:when=8'], 20);
    const first = lines.findIndex(({ code }) => code !== undefined);
    expect(first).toBeGreaterThan(1);
    const after = lines.slice(first);
    expect(after.every(({ code, status }) => code === 'MW_STORE_FSYNC' && status === 'suspect')).toBe(true);
    expect(after.length).toBeGreaterThan(5);
    expect(existsSync(join(folder.path, 'suspect.json'))).toBe(true);
    const acknowledged = lines.slice(0, first).flatMap(({ batch }) => batch ?? []);
    const stored = new Set(storedBatches());
    expect(acknowledged.filter((batch) => !stored.has(batch))).toStrictEqual([]);
    expect(existsSync(join(folder.path, 'suspect.json'))).toBe(false);
  });
});

describe.skipIf(!canInject)('a write that fails', () => {
  it.each(['EIO', 'EROFS', 'ENOSPC'])(
    'with %s refuses that commit alone and changes nothing',
    { timeout: 60_000 },
    (errno) => {
      folder.open().close();
      const lines = runWith(['-e', `inject=pwrite64:error=${errno}:when=9..12`], 30);
      const refused = lines.filter(({ code }) => code !== undefined);
      expect(refused.length).toBeGreaterThan(0);
      expect(refused.every(({ code }) => code === 'MW_STORE_WRITE')).toBe(true);
      const acknowledged = lines.flatMap(({ batch, code }) =>
        batch === undefined || code !== undefined ? [] : [batch],
      );
      // The same batch id is offered again until it is in: no gap, nothing twice.
      expect(acknowledged).toStrictEqual(acknowledged.map((_, n) => n + 1));
      expect(storedBatches()).toStrictEqual(acknowledged);
    },
  );
});
