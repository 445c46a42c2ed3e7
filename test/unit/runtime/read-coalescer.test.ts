import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ReadCoalescer } from '../../../src/runtime/read-coalescer.ts';

function cell(): { cells: Int32Array; index: number } {
  return { cells: new Int32Array(new SharedArrayBuffer(64)), index: 2 };
}

interface Rest {
  readonly atMostMs: number;
  readonly endedBy: 'ok' | 'not-equal' | 'timed-out';
}

/** How the thread rested in the turn after `read`; null if it did not. */
async function restAfter(read: () => void): Promise<Rest | null> {
  const wait = vi.spyOn(Atomics, 'wait');
  read();
  await new Promise((resolve) => setImmediate(resolve));
  const [call] = wait.mock.calls;
  const [result] = wait.mock.results;
  wait.mockRestore();
  return call === undefined ? null : { atMostMs: call[3]!, endedBy: result!.value };
}

describe('ReadCoalescer', () => {
  afterEach(() => vi.restoreAllMocks());

  it.each([
    [50, 20],
    [10, 4],
    [1000, 20],
  ])(
    'rests two fifths of a commit window of %i ms after a read, 20 ms at most',
    async (commitWindowMs, atMostMs) => {
      const coalescer = new ReadCoalescer(cell(), commitWindowMs);
      expect(await restAfter(coalescer.onRead)).toEqual({ atMostMs, endedBy: 'timed-out' });
    },
  );

  it('does not rest without a read, nor with a commit window too short for it', async () => {
    new ReadCoalescer(cell(), 50);
    expect(await restAfter(() => undefined)).toBeNull();
    expect(await restAfter(new ReadCoalescer(cell(), 2).onRead)).toBeNull();
  });

  it('does not rest while a sender waits for an early commit, and does again after it', async () => {
    const coalescer = new ReadCoalescer(cell(), 50);
    coalescer.hurry();
    expect(await restAfter(coalescer.onRead)).toBeNull();
    coalescer.committed();
    expect(await restAfter(coalescer.onRead)).toMatchObject({ endedBy: 'timed-out' });
  });

  it('does not rest in a turn in which a connection arrived', async () => {
    const coalescer = new ReadCoalescer(cell(), 50);
    coalescer.onConnection();
    expect(await restAfter(coalescer.onRead)).toBeNull();
    expect(await restAfter(coalescer.onRead)).not.toBeNull();
  });

  it('does not rest when a commit came before the rest began', async () => {
    const wake = cell();
    const coalescer = new ReadCoalescer(wake, 50);
    Atomics.add(wake.cells, wake.index, 1);
    expect(await restAfter(coalescer.onRead)).toMatchObject({ endedBy: 'not-equal' });
  });

  it('is woken by a commit of the other thread', async () => {
    const wake = cell();
    const coalescer = new ReadCoalescer(wake, 50);
    const worker = new Worker(
      `const { workerData: cells } = require('node:worker_threads');
       setInterval(() => { Atomics.add(cells, 2, 1); Atomics.notify(cells, 2); }, 2);`,
      { eval: true, workerData: wake.cells },
    );
    await new Promise((resolve) => worker.once('online', resolve));
    await vi.waitFor(() => expect(Atomics.load(wake.cells, 2)).toBeGreaterThan(0));
    coalescer.committed();
    expect((await restAfter(coalescer.onRead))!.endedBy).not.toBe('timed-out');
    await worker.terminate();
  });
});
