/** Random streams through the windower: the order of arrival does not show, and a naive slicer agrees. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Accepted } from '../../../src/window/windower.ts';
import { arrival, delays, settings, stream } from './arbitrary.ts';
import { naiveWindows } from './naive-slicer.ts';
import { exactAll, Line, type Sample, windowsOf } from './plant.ts';

/** The watermark of one machine, told from all samples accepted so far. */
function watermarkOf(
  accepted: readonly Sample[],
  isRequired: (channel: string) => boolean,
  lagMs: number,
): number {
  const newest = new Map<string, number>();
  for (const s of accepted) newest.set(s.channel, Math.max(newest.get(s.channel) ?? s.timeMs, s.timeMs));
  const required = [...newest].filter(([channel]) => isRequired(channel)).map(([, timeMs]) => timeMs);
  return (required.length > 0 ? Math.min(...required) : Math.max(...newest.values())) - lagMs;
}

/** Ends of the windows that hold a time. */
function endsOf({ timeMs }: Sample, sizeMs: number, hopMs: number, offsetMs: number): number[] {
  const ends: number[] = [];
  const newest = Math.floor((timeMs - offsetMs) / hopMs) * hopMs + offsetMs;
  for (let startMs = newest; startMs + sizeMs > timeMs; startMs -= hopMs) ends.push(startMs + sizeMs);
  return ends;
}

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

  it('close at the very sample that brings the watermark to their end, and later samples are late', () => {
    const shuffled = stream(30).chain((samples) =>
      fc.shuffledSubarray(samples, { minLength: samples.length }),
    );
    fc.assert(
      fc.property(settings, shuffled, ({ config, outOfOrderMs }, samples) => {
        const { sizeMs, offsetMs, hopMs = sizeMs } = config.window;
        const isRequired = (channel: string) => (config.channels[channel] ?? config.channels['*'])!.required;
        const line = new Line(config);
        const accepted: Sample[] = [];
        const waiting = new Set<number>();
        let watermarkMs = Number.NEGATIVE_INFINITY;
        for (const s of samples.map((one) => ({ ...one, machine: 'm' }))) {
          const ends = endsOf(s, sizeMs, hopMs, offsetMs).filter((endMs) => endMs > watermarkMs);
          expect(line.add(s)).toBe(ends.length > 0 ? Accepted.YES : Accepted.LATE);
          if (ends.length === 0) continue;
          accepted.push(s);
          for (const endMs of ends) waiting.add(endMs);
          watermarkMs = Math.max(watermarkMs, watermarkOf(accepted, isRequired, outOfOrderMs));
          const due = [...waiting].filter((endMs) => endMs <= watermarkMs).sort((x, y) => x - y);
          for (const endMs of due) waiting.delete(endMs);
          expect(line.windows().map(({ endMs }) => endMs)).toEqual(due);
        }
      }),
      { numRuns: 1_500 },
    );
  }, 60_000);
});
