/** The rules of event-time windows in the plainest words, as something to compare with: no watermark, no buffers. */

import type { MachineClassConfig } from '../../../src/config/schema.ts';
import type { Quality } from '../../../src/domain/record.ts';
import type { ChannelSlice, WaveformSegment, Window } from '../../../src/domain/window.ts';
import { FS, type Sample } from './plant.ts';

const WORDS: readonly Quality[] = ['good', 'uncertain', 'bad'];

const positive = (value: Sample['value']) => (typeof value === 'number' ? value + 0 : value);
const identity = (s: Sample) => JSON.stringify([s.timeMs, s.sequence, bits(s.value)]);
const bits = (value: Sample['value']) =>
  typeof value === 'number' ? value + 0 : Buffer.from(Float32Array.from(value).buffer).toString('hex');

/** Every sample once, the best quality of twins, by (time, sequence, value). */
function distinct(samples: readonly Sample[]): Sample[] {
  const best = new Map<string, Sample>();
  for (const s of samples) {
    const twin = best.get(identity(s));
    if (twin === undefined || s.quality < twin.quality)
      best.set(identity(s), { ...s, value: positive(s.value) });
  }
  return [...best.values()].sort(
    (x, y) => x.timeMs - y.timeMs || x.sequence - y.sequence || compareValues(x.value, y.value),
  );
}

function compareValues(x: Sample['value'], y: Sample['value']): number {
  if (typeof x === 'number' || typeof y === 'number') return Number(x) - Number(y);
  if (x.length !== y.length) return x.length - y.length;
  const words = (value: readonly number[]) => new Uint32Array(Float32Array.from(value).buffer);
  const [xs, ys] = [words(x), words(y)];
  for (let i = 0; i < xs.length; i += 1) if (xs[i] !== ys[i]) return xs[i]! - ys[i]!;
  return 0;
}

function grade(share: number): number {
  if (share >= 0.9) return 0;
  return share >= 0.5 ? 1 : 2;
}

const length = (s: Sample) => (typeof s.value === 'number' ? 1 : s.value.length);
const total = (samples: readonly Sample[]) => samples.reduce((sum, s) => sum + length(s), 0);

function qualityWord(inside: readonly Sample[], coverage: number): Quality {
  const trusted = inside.reduce((sum, s) => sum + length(s) * [1, 0.5, 0][s.quality]!, 0) / total(inside);
  return WORDS[grade(Math.min(coverage, trusted))]!;
}

function segmentsOf(blocks: readonly Sample[]): WaveformSegment[] {
  const segments: { t0Ms: number; sampleRateHz: number; values: number[]; nextMs: number }[] = [];
  for (const { timeMs, value } of blocks) {
    const values = value as readonly number[];
    const open = segments.at(-1);
    const nextMs = timeMs + (values.length * 1000) / FS;
    if (open !== undefined && Math.abs(timeMs - open.nextMs) < 500 / FS) {
      open.values.push(...values);
      open.nextMs = nextMs;
    } else segments.push({ t0Ms: timeMs, sampleRateHz: FS, values: [...values], nextMs });
  }
  return segments.map(({ t0Ms, sampleRateHz, values }) => ({
    t0Ms,
    sampleRateHz,
    values: Float32Array.from(values),
  }));
}

function sliceOf(
  channel: string,
  all: readonly Sample[],
  startMs: number,
  endMs: number,
  config: MachineClassConfig['channels'][string],
): ChannelSlice | null {
  const inside = all.filter((s) => s.timeMs >= startMs && s.timeMs < endMs);
  if (inside.length === 0) return null;
  if (config.kind === 'waveform') {
    const expected = config.samplesPerWindow ?? ((endMs - startMs) / 1000) * FS;
    const coverage = Math.min(1, total(inside) / expected);
    return {
      kind: 'waveform',
      channel,
      segments: segmentsOf(inside),
      coverage,
      quality: qualityWord(inside, coverage),
    };
  }
  const coverage =
    config.periodMs === undefined ? 1 : Math.min(1, inside.length / ((endMs - startMs) / config.periodMs));
  const before = all.filter((s) => s.timeMs < startMs).at(-1);
  return {
    kind: 'scalar',
    channel,
    timeMs: Float64Array.from(inside, (s) => s.timeMs),
    value: Float64Array.from(inside, (s) => s.value as number),
    held: before === undefined ? null : { timeMs: before.timeMs, value: before.value as number },
    coverage,
    quality: qualityWord(inside, coverage),
  };
}

function windowOf(
  machine: string,
  channels: ReadonlyMap<string, readonly Sample[]>,
  startMs: number,
  config: MachineClassConfig,
): Window | null {
  const declared = Object.keys(config.channels).filter((name) => name !== '*');
  const others = [...channels.keys()].filter((name) => !declared.includes(name)).sort();
  const endMs = startMs + config.window.sizeMs;
  const settingsOf = (name: string) => config.channels[declared.includes(name) ? name : '*']!;
  const slices = [...declared, ...others].flatMap((name) => {
    const slice = sliceOf(name, channels.get(name) ?? [], startMs, endMs, settingsOf(name));
    return slice === null ? [] : [slice];
  });
  if (slices.length === 0) return null;
  const counted = slices.filter(({ channel }) => settingsOf(channel).required);
  const absent = declared.some(
    (name) => settingsOf(name).required && !slices.some(({ channel }) => channel === name),
  );
  const coverage = absent ? 0 : Math.min(1, ...counted.map((slice) => slice.coverage));
  const worst = Math.max(grade(coverage), ...counted.map((slice) => WORDS.indexOf(slice.quality)));
  return {
    machineClass: 'pump',
    machine,
    startMs,
    endMs,
    revision: 0,
    coverage,
    quality: WORDS[worst]!,
    slices,
    closedBy: 'flush',
  };
}

/** All windows with data, of samples none of which is late. */
export function naiveWindows(config: MachineClassConfig, samples: readonly Sample[]): Window[] {
  const { sizeMs, offsetMs } = config.window;
  const hopMs = config.window.hopMs ?? sizeMs;
  const windows: Window[] = [];
  for (const machine of [...new Set(samples.map((s) => s.machine))].sort()) {
    const own = samples.filter((s) => s.machine === machine);
    const channels = new Map(
      [...new Set(own.map((s) => s.channel))].map((name) => [
        name,
        distinct(own.filter((s) => s.channel === name)),
      ]),
    );
    const starts = new Set<number>();
    for (const { timeMs } of own) {
      const newest = Math.floor((timeMs - offsetMs) / hopMs) * hopMs + offsetMs;
      for (let startMs = newest; startMs + sizeMs > timeMs; startMs -= hopMs) starts.add(startMs);
    }
    for (const startMs of [...starts].sort((x, y) => x - y)) {
      const window = windowOf(machine, channels, startMs, config);
      if (window !== null) windows.push(window);
    }
  }
  return windows;
}
