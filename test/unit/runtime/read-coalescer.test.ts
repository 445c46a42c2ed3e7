import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { ReadCoalescer } from '../../../src/runtime/read-coalescer.ts';

function cell(): { cells: Int32Array; index: number } {
  return { cells: new Int32Array(new SharedArrayBuffer(64)), index: 2 };
}

/** ms the thread rested in the turn after `onRead`. */
async function restAfterRead(coalescer: ReadCoalescer): Promise<number> {
  const before = performance.now();
  coalescer.onRead();
  await new Promise((resolve) => setImmediate(resolve));
  return performance.now() - before;
}

describe('ReadCoalescer', () => {
  it('rests two fifths of the commit window after a read, 20 ms at most', async () => {
    expect(await restAfterRead(new ReadCoalescer(cell(), 50))).toBeGreaterThan(18);
    const shorter = await restAfterRead(new ReadCoalescer(cell(), 10));
    expect(shorter).toBeGreaterThan(3);
    expect(shorter).toBeLessThan(15);
    expect(await restAfterRead(new ReadCoalescer(cell(), 1000))).toBeLessThan(40);
  });

  it('does not rest without a read, nor with a commit window too short for it', async () => {
    const before = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    expect(performance.now() - before).toBeLessThan(10);
    expect(await restAfterRead(new ReadCoalescer(cell(), 2))).toBeLessThan(10);
  });

  it('does not rest while a sender waits for an early commit, and does again after it', async () => {
    const coalescer = new ReadCoalescer(cell(), 50);
    coalescer.hurry();
    expect(await restAfterRead(coalescer)).toBeLessThan(10);
    coalescer.committed();
    expect(await restAfterRead(coalescer)).toBeGreaterThan(18);
  });

  it('does not rest when a commit came before the rest began', async () => {
    const wake = cell();
    const coalescer = new ReadCoalescer(wake, 50);
    Atomics.add(wake.cells, wake.index, 1);
    expect(await restAfterRead(coalescer)).toBeLessThan(10);
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
    await new Promise((resolve) => setTimeout(resolve, 100));
    coalescer.committed();
    expect(await restAfterRead(coalescer)).toBeLessThan(15);
    await worker.terminate();
  });
});
