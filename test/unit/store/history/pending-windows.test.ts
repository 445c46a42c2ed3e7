import { describe, expect, it } from 'vitest';
import { PendingWindows } from '../../../../src/store/history/pending-windows.ts';

const section = (startMs: number, value: number) => ({
  machineId: 1,
  startMs,
  finalMs: startMs + 1000,
  series: Uint16Array.of(0),
  values: Float32Array.of(value, value, value, value),
});

const nothingFolded = () => Number.NEGATIVE_INFINITY;

describe('windows that no block holds yet', () => {
  it('keep the row of a window whose revision stands in the same row, and give it back once both are folded', () => {
    const pending = new PendingWindows();
    pending.add(1, 100, [section(0, 1), section(0, 2)], nothingFolded);
    expect(pending.bytes).toBe(100);
    expect(pending.freeRow()).toBeUndefined();
    expect(pending.before(1, 1000)).toMatchObject([{ startMs: 0, values: Float32Array.of(2, 2, 2, 2) }]);
    pending.settled(1, 1000);
    expect(pending.bytes).toBe(0);
    expect(pending.freeRow()).toBe(1);
  });

  it('give back a row whose windows are all replaced or folded already', () => {
    const pending = new PendingWindows();
    pending.add(1, 100, [section(0, 1)], nothingFolded);
    pending.add(2, 50, [section(0, 2)], nothingFolded);
    expect([pending.bytes, pending.freeRow()]).toEqual([50, 1]);
    expect(pending.add(3, 70, [section(0, 3)], () => 1000)).toBe(1);
    expect(pending.bytes).toBe(50);
  });
});
