/** The rules of event-time windows, one by one. */

import { describe, expect, it } from 'vitest';
import { Accepted, Windower } from '../../../src/window/windower.ts';
import { brief, classOf, exactAll, Line, type Sample, SIZE_MS, sample, T0, windowsOf } from './plant.ts';

const DAY_MS = 86_400_000;
const ONE = { a: {} };
const starts = (line: Line) => line.windows().map(({ startMs }) => startMs - T0);

describe('the slices of event time', () => {
  const at = (...times: number[]): Sample[] => times.map((t) => sample(t));

  it.each<[string, Record<string, unknown>, Sample[], [number, number, number[]][]]>([
    [
      'hold their start and not their end',
      {},
      at(0, 999.999, 1000),
      [
        [0, 1000, [0, 999.999]],
        [1000, 2000, [1000]],
      ],
    ],
    [
      'start at multiples of the length plus the offset',
      { offsetMs: 300 },
      at(0, 299, 300),
      [
        [-700, 300, [0, 299]],
        [300, 1300, [300]],
      ],
    ],
    [
      'overlap where the hop is shorter',
      { hopMs: 500 },
      at(0, 600),
      [
        [-500, 500, [0]],
        [0, 1000, [0, 600]],
        [500, 1500, [600]],
      ],
    ],
    [
      'overlap with a hop that does not divide the length',
      { hopMs: 400 },
      at(100, 900),
      [
        [-800, 200, [100]],
        [-400, 600, [100]],
        [0, 1000, [100, 900]],
        [400, 1400, [900]],
        [800, 1800, [900]],
      ],
    ],
    [
      'are aligned to the epoch with a hop that does not divide the length',
      { hopMs: 300, offsetMs: 100 },
      at(0),
      [
        [-800, 200, [0]],
        [-500, 500, [0]],
        [-200, 800, [0]],
      ],
    ],
    [
      'exist only where there is data: a jump of days makes none',
      {},
      at(0, 400 * DAY_MS),
      [
        [0, 1000, [0]],
        [400 * DAY_MS, 400 * DAY_MS + 1000, [400 * DAY_MS]],
      ],
    ],
  ])('%s', (_, window, samples, expected) => {
    const windows = windowsOf(classOf(window, ONE), samples);
    expect(windows.map(brief)).toEqual(expected.map(([start, end, a]) => [start, end, { a }]));
  });

  it('lie before the epoch as after it', () => {
    const old = [-1, 0, 1].map((timeMs) => sample(0, 'a', timeMs, { timeMs }));
    expect(windowsOf(classOf({}, ONE), old).map(({ startMs, endMs }) => [startMs, endMs])).toEqual([
      [-1000, 0],
      [0, 1000],
    ]);
  });

  it('hold a fraction of a millisecond before the end on the right side', () => {
    const last = T0 + SIZE_MS - 2 ** -12;
    const [first] = windowsOf(classOf({}, ONE), [sample(0, 'a', 1, { timeMs: last })]);
    expect(first!.endMs).toBe(T0 + SIZE_MS);
  });
});

describe('the watermark', () => {
  it('closes a window when the slowest required channel has reached its end', () => {
    const line = new Line(classOf());
    line.addAll([sample(0, 'a'), sample(0, 'b'), sample(5_000, 'a'), sample(999, 'b')]);
    expect(starts(line)).toEqual([]);
    line.add(sample(1_000, 'b'));
    expect(starts(line)).toEqual([0]);
  });

  it('lags outOfOrderMs behind', () => {
    const line = new Line(classOf({ outOfOrderMs: 200 }, ONE));
    line.addAll([sample(0), sample(1_199)]);
    expect(starts(line)).toEqual([]);
    expect(line.add(sample(999))).toBe(Accepted.YES);
    line.add(sample(1_200));
    expect(starts(line)).toEqual([0]);
    expect(line.add(sample(999))).toBe(Accepted.LATE);
  });

  it('is each machine its own: a sensor with a fast clock affects nobody else', () => {
    const line = new Line(classOf({}, ONE));
    line.addAll([sample(0, 'a', 1, { machine: 'other' }), sample(0), sample(10 * DAY_MS)]);
    expect(line.windows().map(({ machine }) => machine)).toEqual(['m']);
    expect(line.add(sample(1, 'a', 1, { machine: 'other' }))).toBe(Accepted.YES);
  });

  it('does not wait for optional channels, and takes what they send in time', () => {
    const line = new Line(classOf({}, { a: {}, c: { required: false } }));
    line.addAll([sample(0, 'c'), sample(0, 'a'), sample(1_000, 'a')]);
    expect(line.windows().map(brief)).toEqual([[0, 1000, { a: [0], c: [0] }]]);
  });

  it('follows the newest optional channel while no required one speaks', () => {
    const line = new Line(classOf({}, { c: { required: false }, d: { required: false } }));
    line.addAll([sample(0, 'c'), sample(10, 'd'), sample(1_000, 'c'), sample(2_000, 'd')]);
    expect(starts(line)).toEqual([0, 1_000]);
  });

  it('waits for a channel of the wildcard as for a declared one', () => {
    const line = new Line(classOf({}, { '*': {} }));
    line.addAll([sample(0, 'x'), sample(0, 'y'), sample(1_000, 'x')]);
    expect(starts(line)).toEqual([]);
  });

  it('is not set back by a channel first seen with late samples', () => {
    const line = new Line(classOf());
    line.addAll([sample(0, 'a'), sample(1_000, 'a')]);
    expect(line.add(sample(500, 'b'))).toBe(Accepted.LATE);
    line.add(sample(2_000, 'a'));
    expect(starts(line)).toEqual([0, 1_000]);
  });
});

describe('a channel that falls silent', () => {
  it('holds back the others until exactly idleTimeoutMs after its last record', () => {
    const line = new Line(classOf());
    line.add(sample(0, 'b'), 1, 0);
    line.addAll([sample(0, 'a'), sample(1_000, 'a')], 1, 4_000);
    line.windower.advance(4_999);
    expect(starts(line)).toEqual([]);
    line.windower.advance(5_000 + 99);
    expect(starts(line)).toEqual([0]);
  });

  it('holds back again once it speaks, and never reopens what is closed', () => {
    const line = new Line(classOf());
    line.add(sample(0, 'b'), 1, 0);
    line.addAll([sample(0, 'a'), sample(1_000, 'a')], 1, 4_000);
    line.windower.advance(5_100);
    expect(starts(line)).toEqual([0]);
    expect(line.add(sample(900, 'b'), 1, 5_200)).toBe(Accepted.LATE);
    expect(line.add(sample(1_100, 'b'), 1, 5_200)).toBe(Accepted.YES);
    line.add(sample(2_000, 'a'), 1, 5_300);
    expect(starts(line)).toEqual([]);
  });

  it('with all others closes the open windows for good', () => {
    const line = new Line(classOf({ outOfOrderMs: 2_000, hopMs: 500 }));
    line.addAll([sample(0, 'a'), sample(700, 'b')], 1, 0);
    line.windower.advance(5_000);
    const windows = line.windows();
    expect(windows.map(brief)).toEqual([
      [-500, 500, { a: [0] }],
      [0, 1000, { a: [0], b: [700] }],
      [500, 1500, { b: [700] }],
    ]);
    expect(windows.map(({ closedBy }) => closedBy)).toEqual(['idle', 'idle', 'idle']);
    expect(line.add(sample(800, 'a'), 1, 5_001)).toBe(Accepted.LATE);
    expect(line.windower.takeRefused()).toEqual({ late: 1, overLimit: 0 });
    expect(line.add(sample(1_500, 'a'), 1, 5_002)).toBe(Accepted.YES);
  });

  it('closes ten thousands of windows that were held back, at once', () => {
    const line = new Line(classOf({ sizeMs: 100 }));
    line.add(sample(0, 'b'));
    const count = 200_000;
    for (let i = 0; i < count; i += 1) line.add(sample(i * 100, 'a', i));
    line.windower.flush();
    expect(line.windows()).toHaveLength(count);
  });
});

describe('a late sample', () => {
  const LATENESS = { allowedLatenessMs: 1_000 };

  it('within the allowed lateness computes its window again with the next revision', () => {
    const line = new Line(classOf(LATENESS, ONE));
    line.addAll([sample(0), sample(1_000)]);
    expect(line.add(sample(500))).toBe(Accepted.YES);
    line.windower.advance(0);
    expect(line.windows().map((w) => [w.revision, ...brief(w)])).toEqual([
      [0, 0, 1000, { a: [0] }],
      [1, 0, 1000, { a: [0, 500] }],
    ]);
  });

  it('is refused and counted beyond it', () => {
    const line = new Line(classOf(LATENESS, ONE));
    line.addAll([sample(0), sample(2_000)]);
    expect(line.add(sample(500))).toBe(Accepted.LATE);
    expect(line.windower.takeRefused()).toEqual({ late: 1, overLimit: 0 });
    expect(line.windower.takeRefused()).toEqual({ late: 0, overLimit: 0 });
  });

  it('computes only windows that hold it', () => {
    const line = new Line(classOf({ ...LATENESS, allowedLatenessMs: 5_000, hopMs: 400 }, ONE));
    line.addAll([sample(100), sample(3_000)]);
    line.windows();
    line.add(sample(350));
    line.windower.advance(0);
    // 350 lies in bucket 0, of which the window that ends at 200 holds only the first half.
    expect(line.windows().map((w) => [w.startMs - T0, w.revision])).toEqual([
      [-400, 1],
      [0, 1],
    ]);
  });

  it('brings a window that was empty when its time came', () => {
    const line = new Line(classOf({ allowedLatenessMs: 5_000 }, ONE));
    line.addAll([sample(0), sample(3_000), sample(1_500)]);
    line.windower.advance(0);
    expect(line.windows().map((w) => [w.revision, ...brief(w)])).toEqual([
      [0, 0, 1000, { a: [0] }],
      [0, 1000, 2000, { a: [1_500] }],
    ]);
  });

  it('counts for a window that closed because its channel fell silent', () => {
    const line = new Line(classOf({ allowedLatenessMs: 5_000 }, { a: {}, b: {} }));
    line.add(sample(0, 'b'), 1, 0);
    line.addAll([sample(1_500, 'a'), sample(500, 'a')], 1, 4_000);
    line.windower.advance(5_000);
    expect(starts(line)).toEqual([0]);
    line.add(sample(600, 'a'), 1, 5_001);
    line.windower.advance(5_200);
    expect(line.windows().map((w) => [w.revision, ...brief(w)])).toEqual([
      [1, 0, 1000, { a: [500, 600], b: [0] }],
    ]);
  });

  it('may not come to windows that one jump of the watermark closed and made final, from the first of them on', () => {
    const line = new Line(classOf({ allowedLatenessMs: 3_000 }, { a: {}, b: {} }));
    const seconds = Array.from({ length: 11 }, (_, s) => s * 1_000);
    line.add(sample(0, 'b'));
    line.addAll(seconds.map((at) => sample(at, 'a')));
    line.add(sample(10_000, 'b'));
    const closed = line.taken();
    expect(closed.map(({ window }) => window.endMs - T0)).toEqual(seconds.slice(1));
    // What a crash right after any of them repeats: no more than the allowed lateness.
    expect(closed.map(({ closedUntilMs }) => closedUntilMs - T0)).toEqual(
      seconds.slice(1).map((end) => Math.min(end, 7_000)),
    );
    expect(closed.map(({ settled }) => settled.samples)).toEqual([2, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
  });

  it('leaves no sample unsettled and no journal batch needed once all fell silent', () => {
    const line = new Line(classOf({ allowedLatenessMs: 60_000 }, ONE));
    line.addAll([sample(0), sample(2_000), sample(500), sample(4_000)], 7);
    line.windower.flush();
    const closed = line.taken();
    expect(closed.reduce((sum, { settled }) => sum + settled.samples, 0)).toBe(4);
    for (const { window, closedUntilMs } of closed) line.windower.committed(window.machine, closedUntilMs);
    expect(line.windower.openSamples()).toBe(0);
    expect(line.windower.oldestBatchNeeded()).toBe(Number.POSITIVE_INFINITY);
    expect(closed.every(({ closedUntilMs }) => Number.isFinite(closedUntilMs))).toBe(true);
  });
});

describe('samples of equal time', () => {
  const pairs: [string, Sample, Sample, number[], number][] = [
    ['are one where sequence and value are the same', sample(1, 'a', 5), sample(1, 'a', 5), [5], 1],
    [
      'are one, of the better quality, where only quality differs',
      sample(1, 'a', 5, { quality: 2 }),
      sample(1, 'a', 5),
      [5],
      1,
    ],
    ['are one where only the sign of zero differs', sample(1, 'a', -0), sample(1, 'a', 0), [0], 1],
    ['are two where the value differs', sample(1, 'a', 6), sample(1, 'a', 5), [5, 6], 0],
    [
      'are two where the sequence differs',
      sample(1, 'a', 5, { sequence: 2 }),
      sample(1, 'a', 5, { sequence: 1 }),
      [5, 5],
      0,
    ],
    [
      'stand in the order of their sequence',
      sample(1, 'a', 5, { sequence: 2 }),
      sample(1, 'a', 9, { sequence: 1 }),
      [9, 5],
      0,
    ],
  ];

  it.each(pairs)('%s', (_, one, other, values, duplicates) => {
    const config = classOf({}, ONE);
    const windows = [
      [one, other],
      [other, one],
    ].map((samples) => {
      const line = new Line(config);
      line.addAll(samples);
      line.windower.flush();
      const [closed] = line.taken();
      expect(closed!.settled).toMatchObject({ samples: values.length, duplicates });
      return closed!.window;
    });
    expect(brief(windows[0]!)[2]).toEqual({ a: values });
    expect(windows[0]!.quality).toBe('good');
    expect(exactAll(windows.slice(1))).toEqual(exactAll(windows.slice(0, 1)));
  });
});

describe('a held sample', () => {
  it('is the newest before the window, also across empty windows, and null at first', () => {
    const windows = windowsOf(classOf({}, ONE), [sample(100), sample(900), sample(7_000)]);
    expect(windows.map(({ slices: [slice] }) => slice!.kind === 'scalar' && slice!.held)).toEqual([
      null,
      { timeMs: T0 + 900, value: 900 },
    ]);
  });

  it('may lie inside the window before where windows overlap', () => {
    const windows = windowsOf(classOf({ hopMs: 500 }, ONE), [sample(100), sample(400), sample(600)]);
    expect(windows.map(({ slices: [slice] }) => slice!.kind === 'scalar' && slice!.held?.value)).toEqual([
      undefined,
      undefined,
      400,
    ]);
  });

  it('outlives a restart', () => {
    const config = classOf({}, ONE);
    const before = new Line(config);
    before.addAll([sample(900, 'a', 0.1), sample(1_000)]);
    const [closed] = before.taken();
    const after = new Line(config);
    after.register('m', 'a');
    after.windower.restore('m', closed!.state, closed!.closedUntilMs);
    after.add(sample(1_500));
    const [slice] = after.flushed()[0]!.slices;
    expect(slice).toMatchObject({ held: { timeMs: T0 + 900, value: 0.1 } });
  });
});

describe('the channels of a window', () => {
  const CHANNELS = { z: {}, a: {}, c: { required: false }, '*': {} };

  it('stand in declared order, then those of the wildcard by name', () => {
    const samples = ['y', 'c', 'x', 'a', 'z'].map((channel) => sample(0, channel));
    const [window] = windowsOf(classOf({}, CHANNELS), samples);
    expect(window!.slices.map(({ channel }) => channel)).toEqual(['z', 'a', 'c', 'x', 'y']);
  });

  it.each<[string, string[], number, string]>([
    ['without a required one it covers nothing', ['z', 'x'], 0, 'bad'],
    ['without an optional one it is complete', ['z', 'a'], 1, 'good'],
    ['without one of the wildcard it is complete', ['z', 'a', 'c'], 1, 'good'],
  ])('%s', (_, channels, coverage, quality) => {
    const [window] = windowsOf(
      classOf({}, CHANNELS),
      channels.map((channel) => sample(0, channel)),
    );
    expect(window).toMatchObject({ coverage, quality });
  });

  it('may be called like a member of every object', () => {
    const [window] = windowsOf(classOf({}, { '*': {} }), [
      sample(0, 'constructor', 3),
      sample(0, 'toString', 4),
    ]);
    expect(brief(window!)[2]).toEqual({ constructor: [3], toString: [4] });
  });

  it('are no others than the class has', () => {
    const line = new Line(classOf({}, ONE));
    expect(line.add(sample(0, 'stranger'))).toBe(Accepted.UNKNOWN_CHANNEL);
    expect(line.add(sample(0, 'a', [1, 2, 3]))).toBe(Accepted.UNKNOWN_CHANNEL);
    expect(line.windower.takeRefused()).toEqual({ late: 0, overLimit: 4 });
    expect(line.flushed()).toEqual([]);
  });

  it('are ignored in a class that is not configured', () => {
    const windower = new Windower({ pump: classOf() });
    windower.register({ index: 0, machineClass: 'fan', machine: 'm', channel: 'a' });
    expect(windower.addScalar(0, T0, 1, 0, 0, { batchId: 1, nowMs: 0 })).toBe(Accepted.UNKNOWN_CHANNEL);
  });
});

describe('coverage and quality', () => {
  const quality = (qualities: number[], channels: Record<string, unknown>) => {
    const samples = qualities.map((q, i) => sample(i * 10, 'a', i, { quality: q }));
    const [window] = windowsOf(classOf({}, channels), samples);
    return [window!.coverage, window!.quality];
  };
  const good = (n: number) => Array.from({ length: n }, () => 0);

  it.each<[string, number[], Record<string, unknown>, [number, string]]>([
    ['of nine samples in ten are good', good(9), { a: { periodMs: 100 } }, [0.9, 'good']],
    ['of eight in ten are uncertain', good(8), { a: { periodMs: 100 } }, [0.8, 'uncertain']],
    ['of half are uncertain', good(5), { a: { periodMs: 100 } }, [0.5, 'uncertain']],
    ['of four in ten are bad', good(4), { a: { periodMs: 100 } }, [0.4, 'bad']],
    ['of more than expected are one', good(20), { a: { periodMs: 100 } }, [1, 'good']],
    ['without a period are one', good(1), ONE, [1, 'good']],
    ['of samples declared uncertain are uncertain', [1, 1], ONE, [1, 'uncertain']],
    ['of samples declared bad are bad', [2, 2, 0], ONE, [1, 'bad']],
    ['of one bad sample in twenty are good', [2, ...good(19)], ONE, [1, 'good']],
  ])('%s', (_, qualities, channels, expected) => {
    expect(quality(qualities, channels)).toEqual(expected);
  });
});

describe('waveform blocks', () => {
  const WAVE = { w: { kind: 'waveform', sampleRateHz: 100, unit: 'g' } };
  const w = (at: number, values: number[], more: Partial<Sample> = {}) => sample(at, 'w', values, more);

  it.each<[string, Sample[], number[][]]>([
    ['are joined where one follows the other', [w(0, [1, 2]), w(20, [3])], [[1, 2, 3]]],
    ['are joined in the order of their time', [w(20, [3]), w(0, [1, 2])], [[1, 2, 3]]],
    ['are joined up to half a sample apart', [w(0, [1, 2]), w(24.9, [3]), w(30.1, [4])], [[1, 2, 3, 4]]],
    ['are not joined at half a sample', [w(0, [1, 2]), w(25, [3])], [[1, 2], [3]]],
    ['are not joined over a gap', [w(0, [1, 2]), w(500, [3])], [[1, 2], [3]]],
    ['are not joined where they overlap', [w(0, [1, 2]), w(10, [3])], [[1, 2], [3]]],
    ['that are the same are one', [w(0, [1, 2]), w(0, [1, 2])], [[1, 2]]],
    ['of equal time and other content are both kept', [w(0, [2]), w(0, [1])], [[1], [2]]],
  ])('%s', (_, samples, segments) => {
    const [window] = windowsOf(classOf({}, WAVE), samples);
    expect(brief(window!)[2]).toEqual({ w: segments });
  });

  it('belong to the window that holds their first sample', () => {
    const windows = windowsOf(classOf({}, WAVE), [w(990, [1, 2, 3]), w(1_020, [4])]);
    expect(windows.map(brief)).toEqual([
      [0, 1000, { w: [[1, 2, 3]] }],
      [1000, 2000, { w: [[4]] }],
    ]);
  });

  it('do not depend on the memory they came from', () => {
    const line = new Line(classOf({}, WAVE));
    const values = Float32Array.of(1, 2);
    line.windower.addWaveform(line.register('m', 'w'), T0, 100, values, 0, 0, { batchId: 1, nowMs: 0 });
    values.fill(9);
    expect(brief(line.flushed()[0]!)[2]).toEqual({ w: [[1, 2]] });
  });

  it('give the same window in either order of twins of different quality', () => {
    const twins = [w(0, [1, 2], { quality: 2 }), w(0, [1, 2], { quality: 0 })];
    const config = classOf({}, { w: { ...WAVE.w, samplesPerWindow: 2 } });
    const [one, other] = [windowsOf(config, twins), windowsOf(config, twins.toReversed())];
    expect(exactAll(one)).toEqual(exactAll(other));
    expect(one[0]!.quality).toBe('good');
  });

  it.each<[string, number | undefined, number]>([
    ['cover their share of a continuous signal', undefined, 0.5],
    ['cover a snapshot of as many samples', 50, 1],
    ['cover half of a snapshot twice as long', 100, 0.5],
  ])('%s', (_, samplesPerWindow, coverage) => {
    const config = classOf({}, { w: { ...WAVE.w, samplesPerWindow } });
    const [window] = windowsOf(config, [
      w(
        0,
        Array.from({ length: 50 }, (_v, i) => i),
      ),
    ]);
    expect(window!.coverage).toBe(coverage);
  });

  it('settle by samples, not by blocks', () => {
    const line = new Line(classOf({}, WAVE));
    line.addAll([w(0, [1, 2]), w(0, [1, 2]), w(20, [3])]);
    expect(line.windower.openSamples()).toBe(5);
    line.windower.flush();
    expect(line.taken()[0]!.settled).toMatchObject({ samples: 3, duplicates: 2 });
  });
});

describe('a channel that sends too much', () => {
  const LIMIT = { maxSamplesPerWindow: 5 };

  it('is cut at twice maxSamplesPerWindow and counted', () => {
    const line = new Line(classOf(LIMIT, ONE));
    const codes = line.addAll(Array.from({ length: 12 }, (_, i) => sample(i)));
    expect(codes.filter((code) => code === Accepted.YES)).toHaveLength(10);
    expect(line.windower.takeRefused()).toEqual({ late: 0, overLimit: 2 });
    expect(brief(line.flushed()[0]!)[2]).toEqual({ a: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] });
  });

  it('may fill the bound with one waveform block, and not exceed it', () => {
    const line = new Line(classOf(LIMIT, { w: { kind: 'waveform', sampleRateHz: 100, unit: 'g' } }));
    const block = (n: number) => Array.from({ length: n }, (_, i) => i);
    expect(line.add(sample(0, 'w', block(11)))).toBe(Accepted.OVER_LIMIT);
    expect(line.add(sample(0, 'w', block(10)))).toBe(Accepted.YES);
    expect(line.add(sample(100, 'w', block(1)))).toBe(Accepted.OVER_LIMIT);
  });

  it('still closes its windows: the refused samples tell the time', () => {
    const line = new Line(classOf(LIMIT, ONE));
    line.addAll(Array.from({ length: 1_001 }, (_, i) => sample(i)));
    expect(starts(line)).toEqual([0]);
    expect(line.add(sample(1_002))).toBe(Accepted.YES);
  });
});

describe('a restart', () => {
  it('waits for channels it knew before, for as long as an idle channel may be silent', () => {
    const line = new Line(classOf());
    for (const channel of ['a', 'b']) line.register('m', channel);
    line.windower.beginReplay();
    line.add(sample(0, 'a'), 1, 0);
    line.windower.endReplay(0);
    line.add(sample(1_000, 'a'), 2, 1_000);
    expect(starts(line)).toEqual([]);
    expect(line.add(sample(500, 'b'), 2, 1_100)).toBe(Accepted.YES);
    line.windower.advance(6_200);
    expect(line.windows().map(brief)[0]).toEqual([0, 1000, { a: [0], b: [500] }]);
  });

  it('refuses nothing from the journal as over the limit, and skips what is settled', () => {
    const line = new Line(classOf({ maxSamplesPerWindow: 1 }, ONE));
    line.register('m', 'a');
    line.windower.restore('m', new Uint8Array(0), T0 + 1_000);
    line.windower.beginReplay();
    const codes = line.addAll([sample(999), sample(1_000), sample(1_001), sample(1_002)]);
    line.windower.endReplay(0);
    expect(codes).toEqual([Accepted.SETTLED_BEFORE, Accepted.YES, Accepted.YES, Accepted.YES]);
    expect(line.windower.takeRefused()).toEqual({ late: 0, overLimit: 0 });
    expect(line.windower.openSamples()).toBe(3);
  });
});

describe('a restart while late samples are allowed', () => {
  it('goes on counting the revisions of its windows', () => {
    const config = classOf({ allowedLatenessMs: 10_000 }, ONE);
    const before = new Line(config);
    before.addAll([sample(100), sample(1_100), sample(200)]);
    before.windower.advance(1_000);
    const [, last] = before.taken();
    expect(last!.window.revision).toBe(1);

    const after = new Line(config);
    after.register('m', 'a');
    after.windower.restore('m', last!.state, last!.closedUntilMs);
    after.windower.beginReplay();
    after.addAll([sample(100), sample(1_100), sample(200)]);
    after.windower.endReplay(0);
    after.add(sample(300));
    after.windower.advance(1_000);
    expect(after.windows().map(({ revision }) => revision)).toEqual([2]);
  });
});

describe('the oldest journal batch needed', () => {
  it('is that of the oldest sample whose last window is not committed, closed or not', () => {
    const line = new Line(classOf({ hopMs: 500 }, ONE));
    line.add(sample(0), 4);
    line.add(sample(600), 5);
    line.add(sample(2_000), 6);
    const needed = [line.windower.oldestBatchNeeded()];
    for (const { window, closedUntilMs } of line.taken()) {
      line.windower.committed(window.machine, closedUntilMs);
      needed.push(line.windower.oldestBatchNeeded());
    }
    expect(needed).toEqual([4, 4, 5, 6]);
  });
});
