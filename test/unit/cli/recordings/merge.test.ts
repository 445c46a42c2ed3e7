import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrange, shift } from '../../../../src/cli/recording-options.ts';
import { mergeByTime } from '../../../../src/cli/recordings/merge.ts';
import { rowsRecording } from '../../../../src/cli/recordings/rows-recording.ts';
import { UnreadableCells } from '../../../../src/cli/recordings/unreadable-cells.ts';

const recordingOf = (machine: string, times: readonly number[], absolute = false) =>
  rowsRecording(
    machine,
    ['v'],
    times.map((timeMs, i) => ({ timeMs, values: { v: i } })),
    absolute,
  );

describe('mergeByTime', () => {
  it('gives every message exactly once, ascending, equal times in the order of the recordings', () => {
    const times = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(fc.array(times, { maxLength: 8 }), (runs) => {
        const placed = runs.map((run, i) => ({ recording: recordingOf(String(i), run), startMs: i % 3 }));
        const merged = [...mergeByTime(placed)].map((m) => [m.timeMs, Number(m.machine)] as const);
        const expected = placed
          .flatMap(({ recording, startMs }) =>
            [...recording.messages()].map((m) => [startMs + m.offsetMs, Number(recording.machine)] as const),
          )
          .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        expect(merged).toEqual(expected);
      }),
    );
  });
});

describe('arrange', () => {
  const file = (path: string, ...recordings: ReturnType<typeof recordingOf>[]) => ({
    path,
    format: 'csv' as const,
    unreadable: new UnreadableCells(),
    recordings,
  });

  it('lets files follow each other one spacing apart', () => {
    const timeline = arrange(
      [file('a', recordingOf('a', [0, 10, 20])), file('b', recordingOf('b', [0, 10]))],
      false,
    );
    expect(timeline.placed.map((p) => p.startMs)).toEqual([0, 30]);
    expect(timeline.lastMs).toBe(40);
  });

  it('begins all files together in parallel', () => {
    const timeline = arrange(
      [file('a', recordingOf('a', [0, 10, 20])), file('b', recordingOf('b', [0, 10]))],
      true,
    );
    expect(timeline.placed.map((p) => p.startMs)).toEqual([0, 0]);
    expect(timeline.lastMs).toBe(20);
  });

  it('keeps the distances that machines of one file state themselves', () => {
    const timeline = arrange(
      [file('a', recordingOf('a', [1000, 2000], true), recordingOf('b', [1500], true))],
      false,
    );
    expect(shift(timeline.placed, 7).map((p) => p.startMs)).toEqual([7, 507]);
  });
});
