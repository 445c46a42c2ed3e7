/** Records into the windower, and what of them must become durable. */

import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.ts';
import { RecordFlag, SCALAR_BYTES } from '../../../src/domain/record.ts';
import { waveformRecordBytes } from '../../../src/domain/record-codec.ts';
import { RecordFeed } from '../../../src/runtime/record-feed.ts';
import { createRing, RingReader, RingWriter } from '../../../src/runtime/record-ring.ts';
import { Windower } from '../../../src/window/windower.ts';

const T0 = 1_767_225_600_000;
const A = { index: 0, machineClass: 'pump', machine: 'm', channel: 'a' };
const W = { index: 1, machineClass: 'pump', machine: 'm', channel: 'w' };
const LETTER = {
  reason: 'malformed_json',
  detail: 'line 1',
  source: 'p/m/a',
  payload: Uint8Array.of(123),
  receivedMs: T0,
} as const;

const { machineClasses } = configSchema.parse({
  machineClasses: {
    pump: {
      topics: ['p/{machine}/{channel}'],
      channels: { a: {}, w: { kind: 'waveform', sampleRateHz: 100, unit: 'g', required: false } },
      window: { sizeMs: 1_000, outOfOrderMs: 0 },
    },
  },
});

/** A feed behind a real ring. */
class Bench {
  readonly windower = new Windower(machineClasses);
  readonly feed = new RecordFeed(this.windower);
  readonly #shared = createRing(65_536);
  readonly writer = new RingWriter(this.#shared);
  readonly #reader = new RingReader(this.#shared);

  scalar(at: number, flags = 0, channelIndex = 0): void {
    this.writer.scalar(channelIndex, flags, 0, 0, T0 + at, at);
  }

  /** Takes what stands in the ring into batch `batchId` and answers what must become durable, with a copy of the bytes. */
  take(batchId = 1) {
    const spans = this.#reader.peek(Number.POSITIVE_INFINITY);
    this.feed.take(spans, batchId, 0);
    this.#reader.release(spans.reduce((sum, { from, to }) => sum + to - from, 0));
    const taken = this.feed.drain();
    return taken && { ...taken, journal: taken.journal?.slice() ?? null };
  }

  windows(): unknown[] {
    this.windower.flush();
    const windows: unknown[] = [];
    for (let c = this.windower.takeClosed(); c !== null; c = this.windower.takeClosed())
      windows.push(c.window);
    return windows;
  }
}

describe('the record feed', () => {
  it('has nothing to commit when nothing came', () => {
    expect(new Bench().take()).toBeNull();
  });

  it('hands on channels and dead letters, and keeps them out of the journal', () => {
    const bench = new Bench();
    bench.writer.channel(A);
    bench.writer.deadLetter(LETTER);
    expect(bench.take()).toEqual({ journal: null, acceptedSamples: 0, channels: [A], deadLetters: [LETTER] });
    expect(bench.take()).toBeNull();
  });

  it('journals exactly the records that a window needs and that are not volatile', () => {
    const bench = new Bench();
    bench.writer.channel(A);
    bench.writer.channel(W);
    bench.scalar(0);
    bench.scalar(1_000);
    bench.scalar(10); // late
    bench.scalar(1_001, RecordFlag.VOLATILE);
    bench.scalar(1_002, 0, 99); // a channel nobody registered
    bench.writer.waveform(1, 0, 0, 0, T0 + 1_003, 100, Float32Array.of(1, 2, 3));
    const taken = bench.take()!;
    expect(taken.acceptedSamples).toBe(5 + 3);
    expect(taken.journal).toHaveLength(2 * SCALAR_BYTES + waveformRecordBytes(3));
    expect(bench.windower.takeRefused()).toEqual({ late: 1, overLimit: 1 });
  });

  it('replays a journal, at any offset of memory, to the same windows and journals nothing again', () => {
    const first = new Bench();
    first.writer.channel(A);
    first.writer.channel(W);
    for (const at of [0, 400, 1_000, 2_500]) first.scalar(at);
    first.writer.waveform(1, 0, 1, 3, T0 + 2_600, 100, Float32Array.of(1, 2, 3));
    const journal = first.take()!.journal!;
    const shifted = new Uint8Array(journal.length + 3);
    shifted.set(journal, 3);

    const second = new Bench();
    for (const ref of [A, W]) second.windower.register(ref);
    second.windower.beginReplay();
    second.feed.replay(shifted.subarray(3), 1, 0);
    second.windower.endReplay(0);
    expect(second.feed.drain()).toBeNull();
    expect(second.windows()).toEqual(first.windows());
  });

  it('journals more than it first made room for, over the wrap of the ring', () => {
    const bench = new Bench();
    bench.writer.channel(A);
    bench.writer.channel(W);
    const values = Float32Array.from({ length: 7_000 }, (_, i) => i);
    const shared = createRing(2 ** 20);
    const [writer, reader] = [new RingWriter(shared), new RingReader(shared)];
    bench.take();
    for (let round = 0; round < 3; round += 1) {
      const blocks = 20;
      for (let i = 0; i < blocks; i += 1) writer.waveform(1, 0, 0, i, T0, 100, values);
      const spans = reader.peek(Number.POSITIVE_INFINITY);
      bench.feed.take(spans, 1, 0);
      reader.release(spans.reduce((sum, { from, to }) => sum + to - from, 0));
      const taken = bench.feed.drain()!;
      expect(taken.journal).toHaveLength(blocks * waveformRecordBytes(values.length));
      expect(taken.acceptedSamples).toBe(blocks * values.length);
    }
  });
});

describe('records that wait for the time of day', () => {
  const BOOT_TIME = RecordFlag.GATEWAY_TIME | RecordFlag.BOOT_TIME;
  const A2 = { index: 2, machineClass: 'pump', machine: 'm2', channel: 'a' };
  const mark = (bootId: string, holds: boolean, offsetMs: number, isSet = true) => ({
    ...{ bootId, holds, offsetMs, isSet },
  });

  /** Registers the channels of two machines. */
  function bench(): Bench {
    const fresh = new Bench();
    fresh.writer.channel(A);
    fresh.writer.channel(A2);
    fresh.take();
    return fresh;
  }

  /** The same journal in a new process. */
  function replayed(journal: Uint8Array): Bench {
    const again = new Bench();
    for (const ref of [A, A2]) again.feed.register(ref);
    again.windower.beginReplay();
    again.feed.replay(journal, 1, 0);
    again.windower.endReplay(0);
    return again;
  }

  const timesOf = (windows: unknown[]) =>
    (windows as { slices: { timeMs: Float64Array; quality: string }[] }[]).flatMap(({ slices }) =>
      slices.flatMap(({ timeMs, quality }) => [...timeMs].map((t) => [t, quality])),
    );

  it('are told the time of their boot, once, and a replay of the journal gives the same windows', () => {
    const live = bench();
    live.writer.clock(mark('boot-1', true, 7));
    for (const at of [0, 400, 1_000]) live.writer.scalar(0, BOOT_TIME, 0, 0, at, at);
    const held = live.take()!;
    expect([live.feed.held.samples, live.windower.openSamples(), held.acceptedSamples]).toEqual([3, 0, 3]);
    live.writer.clock(mark('boot-1', false, T0));
    const told = live.take()!;
    expect([live.feed.held.samples, live.windower.openSamples() > 0]).toEqual([0, true]);
    const journal = new Uint8Array([...held.journal!, ...told.journal!]);
    const windows = live.windows();
    expect(timesOf(windows).map(([t]) => t)).toEqual([T0, T0 + 400, T0 + 1_000]);
    expect(replayed(journal).windows()).toEqual(windows);
  });

  it('of an earlier process of the same boot are told the time by the next one', () => {
    const first = bench();
    first.writer.clock(mark('boot-1', true, 7));
    first.writer.scalar(0, BOOT_TIME, 0, 0, 50, 1);
    const second = replayed(first.take()!.journal!);
    expect(second.feed.held.samples).toBe(1);
    second.writer.clock(mark('boot-1', true, 9));
    second.writer.scalar(0, BOOT_TIME, 0, 0, 60, 2);
    second.writer.clock(mark('boot-1', false, T0));
    second.take(2);
    expect(timesOf(second.windows()).map(([t]) => t)).toEqual([T0 + 50, T0 + 60]);
  });

  it('of an earlier boot go on with the guess of that boot, marked uncertain', () => {
    const first = bench();
    first.writer.clock(mark('boot-1', true, T0 - 1_000_000));
    first.writer.scalar(0, BOOT_TIME, 0, 0, 50, 1);
    const second = replayed(first.take()!.journal!);
    second.writer.clock(mark('boot-2', false, T0));
    second.take(2);
    expect(timesOf(second.windows())).toEqual([[T0 - 1_000_000 + 50, 'uncertain']]);
  });

  it('keep their journal batches from their mark on, and those of their windows after they are told the time', () => {
    const live = bench();
    expect(live.feed.held.oldestBatch).toBe(Number.POSITIVE_INFINITY);
    live.writer.clock(mark('boot-1', true, 7));
    live.take(5);
    expect(live.feed.held.oldestBatch).toBe(5);
    live.writer.scalar(0, BOOT_TIME, 0, 0, 50, 1);
    live.take(9);
    live.writer.clock(mark('boot-1', false, T0));
    live.take(12);
    expect(live.feed.held.oldestBatch).toBe(Number.POSITIVE_INFINITY);
    expect(live.windower.oldestBatchNeeded()).toBe(5);
  });

  it('hold back what comes later from their machine, unaltered, and nothing of other machines', () => {
    const live = bench();
    live.writer.clock(mark('boot-1', true, 7));
    live.writer.scalar(0, 0, 0, 0, T0 - 5_000, 0);
    live.writer.scalar(0, BOOT_TIME, 0, 0, 50, 1);
    live.writer.scalar(0, 0, 0, 0, T0 + 60, 2);
    live.writer.scalar(2, 0, 0, 0, T0 + 70, 3);
    live.take();
    expect([live.feed.held.samples, live.windower.openSamples()]).toEqual([2, 2]);
    live.writer.clock(mark('boot-1', false, T0));
    live.take(2);
    expect(
      timesOf(live.windows())
        .map(([t]) => t)
        .sort(),
    ).toEqual([T0 - 5_000, T0 + 50, T0 + 60, T0 + 70]);
    expect(live.windower.takeRefused()).toEqual({ late: 0, overLimit: 0 });
  });

  it('do not put a mark into the journal that nothing waited for', () => {
    const live = bench();
    live.writer.clock(mark('boot-1', false, T0));
    expect(live.take()!.journal).toBeNull();
  });
});
