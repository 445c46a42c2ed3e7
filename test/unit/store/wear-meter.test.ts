import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.ts';
import { forecast, lifeDays } from '../../../src/store/wear-meter.ts';
import { NOON_MS, point, result, storeFolder, unit } from '../../support/store.ts';

const { flash } = configSchema.parse({ machineClasses: {} }).store;
const DAY_MS = 86_400_000;

describe('the life of a card', () => {
  it('is what its cells bear over what is written, amplified', () => {
    // 32 GB, 500 cycles, amplified by 4: 4 TB of ours.
    expect(lifeDays(flash, 1e9)).toBe(4000);
    expect(lifeDays(flash, 0)).toBe(Number.POSITIVE_INFINITY);
  });

  it('is told from what was observed, after ten minutes of it', () => {
    expect(forecast({ writtenBytes: 5e6, observedMs: 599_999 }, flash)).toMatchObject({
      bytesPerDay: null,
      lifeDays: null,
    });
    expect(forecast({ writtenBytes: 5e6, observedMs: DAY_MS / 2 }, flash)).toMatchObject({
      bytesPerDay: 1e7,
      lifeDays: 400_000,
    });
  });

  it('goes on counting over restarts; a step of the clock is no time', () => {
    const folder = storeFolder();
    let now = NOON_MS;
    const run = (ms: number) => {
      const store = folder.open({}, { now: () => now });
      for (let at = 0; at < ms; at += 30_000) {
        now += 30_000;
        store.commit(unit({ results: [result([point(1)])] }));
      }
      const { wear } = store;
      store.close();
      return wear;
    };
    const first = run(300_000);
    expect(first.observedMs).toBe(300_000);
    now += 30 * DAY_MS;
    const second = run(300_000);
    expect(second.observedMs).toBe(600_000);
    expect(second.writtenBytes).toBeGreaterThanOrEqual(first.writtenBytes);
    expect(second.bytesPerDay).not.toBeNull();
    folder.remove();
  });
});
