/** Random streams through the windower: the order of arrival does not show, and a naive slicer agrees. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrival, delays, settings, stream } from './arbitrary.ts';
import { naiveWindows } from './naive-slicer.ts';
import { exactAll, Line, windowsOf } from './plant.ts';

describe('windows of a random stream', () => {
  it('are bit for bit the same in any order within outOfOrderMs', () => {
    fc.assert(
      fc.property(settings, stream(40), delays, delays, ({ config, outOfOrderMs }, samples, one, other) => {
        const first = windowsOf(config, arrival(samples, outOfOrderMs, one));
        const second = windowsOf(config, arrival(samples, outOfOrderMs, other));
        expect(exactAll(second)).toEqual(exactAll(first));
      }),
      { numRuns: 3_000 },
    );
  }, 60_000);

  it('are those of a slicer that looks at the whole recording at once', () => {
    fc.assert(
      fc.property(settings, stream(40), delays, ({ config, outOfOrderMs }, samples, shares) => {
        const windows = windowsOf(config, arrival(samples, outOfOrderMs, shares));
        expect(exactAll(windows)).toEqual(exactAll(naiveWindows(config, samples)));
      }),
      { numRuns: 4_000 },
    );
  }, 60_000);

  it('leave per machine by start, settle every sample once and leave nothing behind', () => {
    fc.assert(
      fc.property(settings, stream(40), delays, ({ config, outOfOrderMs }, samples, shares) => {
        const line = new Line(config);
        arrival(samples, outOfOrderMs, shares).forEach((s, i) => {
          line.add(s, i + 1);
        });
        line.windower.flush();
        const newestStart = new Map<string, number>();
        let settled = 0;
        for (const { window, closedUntilMs, settled: counts } of line.taken()) {
          expect(window.startMs).toBeGreaterThan(newestStart.get(window.machine) ?? 0);
          newestStart.set(window.machine, window.startMs);
          settled += counts.samples + counts.duplicates;
          expect(line.windower.oldestBatchNeeded()).toBeLessThan(Number.POSITIVE_INFINITY);
          line.windower.committed(window.machine, closedUntilMs);
        }
        const received = samples.reduce(
          (sum, s) => sum + (typeof s.value === 'number' ? 1 : s.value.length),
          0,
        );
        expect(settled).toBe(received);
        expect(line.windower.takeRefused()).toEqual({ late: 0, overLimit: 0 });
        expect(line.windower.openSamples()).toBe(0);
        expect(line.windower.oldestBatchNeeded()).toBe(Number.POSITIVE_INFINITY);
      }),
      { numRuns: 1_500 },
    );
  }, 60_000);
});
