/** Samples as text and numbers, windowers over real configuration, windows as exact text: for the tests of windows. */

import { configSchema, type MachineClassConfig } from '../../../src/config/schema.ts';
import type { Window } from '../../../src/domain/window.ts';
import { type AcceptedCode, type ClosedWindow, Windower } from '../../../src/window/windower.ts';

/** 2026-01-01T00:00:00Z, a multiple of every window length used here. */
export const T0 = 1_767_225_600_000;

export const SIZE_MS = 1_000;

export interface Sample {
  readonly machine: string;
  readonly channel: string;
  readonly timeMs: number;
  /** A number is a scalar, an array a waveform block of `FS` Hz. */
  readonly value: number | readonly number[];
  readonly quality: number;
  readonly sequence: number;
}

/** Sample rate of every waveform block here. */
export const FS = 100;

const REQUIRED_CHANNELS = { a: {}, b: {} };

/** A class through the real schema, so that defaults are the product's. */
export function classOf(
  window: Record<string, unknown> = {},
  channels: Record<string, unknown> = REQUIRED_CHANNELS,
): MachineClassConfig {
  const { machineClasses } = configSchema.parse({
    machineClasses: {
      pump: {
        topics: ['p/{machine}/{channel}'],
        channels,
        window: { sizeMs: SIZE_MS, outOfOrderMs: 0, idleTimeoutMs: 5_000, ...window },
      },
    },
  });
  return machineClasses['pump']!;
}

/** A sample at T0 + `at`. */
export function sample(
  at: number,
  channel = 'a',
  value: Sample['value'] = at,
  more: Partial<Sample> = {},
): Sample {
  return { machine: 'm', channel, timeMs: T0 + at, value, quality: 0, sequence: 0, ...more };
}

/** Windower with channels registered on first sight, as the pipeline does. */
export class Line {
  readonly windower: Windower;
  readonly #indexes = new Map<string, number>();

  constructor(config: MachineClassConfig) {
    this.windower = new Windower({ pump: config });
  }

  register(machine: string, channel: string): number {
    const key = `${machine}/${channel}`;
    let index = this.#indexes.get(key);
    if (index === undefined) {
      index = this.#indexes.size;
      this.#indexes.set(key, index);
      this.windower.register({ index, machineClass: 'pump', machine, channel });
    }
    return index;
  }

  add(s: Sample, batchId = 1, nowMs = 0): AcceptedCode {
    const index = this.register(s.machine, s.channel);
    if (typeof s.value === 'number') {
      return this.windower.addScalar(index, s.timeMs, s.value, s.quality, s.sequence, { batchId, nowMs });
    }
    const values = Float32Array.from(s.value);
    return this.windower.addWaveform(index, s.timeMs, FS, values, s.quality, s.sequence, { batchId, nowMs });
  }

  addAll(samples: readonly Sample[], batchId = 1, nowMs = 0): AcceptedCode[] {
    return samples.map((s) => this.add(s, batchId, nowMs));
  }

  taken(): ClosedWindow[] {
    const closed: ClosedWindow[] = [];
    for (let next = this.windower.takeClosed(); next !== null; next = this.windower.takeClosed())
      closed.push(next);
    return closed;
  }

  /** Windows that are closed now. */
  windows(): Window[] {
    return this.taken().map(({ window }) => window);
  }

  flushed(): Window[] {
    this.windower.flush();
    return this.windows();
  }
}

/** Windows of these samples after the recording ended. */
export function windowsOf(config: MachineClassConfig, samples: readonly Sample[]): Window[] {
  const line = new Line(config);
  line.addAll(samples);
  return line.flushed();
}

/** A window in short: start and end after T0, and per channel its values. */
export function brief({
  startMs,
  endMs,
  slices,
}: Window): [number, number, Record<string, number[] | number[][]>] {
  const values = slices.map((slice) => [
    slice.channel,
    slice.kind === 'scalar' ? [...slice.value] : slice.segments.map((segment) => [...segment.values]),
  ]);
  return [startMs - T0, endMs - T0, Object.fromEntries(values)];
}

function hex(array: Float64Array | Float32Array): string {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('hex');
}

/** Every bit of a window but how it was closed, which depends on when the data ended. */
export function exact(window: Window): string {
  const { closedBy: _, slices, ...head } = window;
  const parts = slices.map((slice) =>
    slice.kind === 'scalar'
      ? { ...slice, timeMs: hex(slice.timeMs), value: hex(slice.value) }
      : {
          ...slice,
          segments: slice.segments.map((segment) => ({ ...segment, values: hex(segment.values) })),
        },
  );
  return JSON.stringify({ ...head, slices: parts });
}

/** Exact windows in an order that does not depend on how machines interleave. */
export function exactAll(windows: readonly Window[]): string[] {
  return windows
    .toSorted((x, y) => (x.machine < y.machine ? -1 : x.machine > y.machine ? 1 : x.startMs - y.startMs))
    .map(exact);
}
