/**
 * What a driven store is fed, and what must come out whatever happened in between: computed from the messages alone,
 * with the windows of an undisturbed run beside it.
 */

import { configSchema } from '../../src/config/schema.ts';
import type { ChannelRef } from '../../src/domain/machine.ts';
import type { Point } from '../../src/domain/point.ts';
import { buildPipeline } from '../../src/runtime/pipeline-assembly.ts';
import { createRing, RingReader, RingWriter } from '../../src/runtime/record-ring.ts';
import { SYSTEM_CLOCK } from '../../src/runtime/system-clock.ts';
import { commitMessages, type Drive, finishDrive, startDrive } from './storage-drive.mjs';
import { NOON_MS } from './store.ts';

export type DriveMessage =
  | { readonly kind: 'scalar'; readonly channel: number; readonly timeMs: number; readonly value: number }
  | {
      readonly kind: 'waveform';
      readonly channel: number;
      readonly timeMs: number;
      readonly value: number;
      readonly length: number;
      readonly sampleRateHz: number;
    }
  | { readonly kind: 'letter'; readonly text: string; readonly timeMs: number };

const WINDOW_MS = 250;
const TICK_MS = 50;
const SCALAR_CHANNELS = 4;
const BLOCK = { length: 4096, sampleRateHz: 40_960 };

const ref = (index: number, machineClass: string, machine: string, channel: string): ChannelRef => ({
  index,
  machineClass,
  machine,
  channel,
});
export const CHANNELS: readonly ChannelRef[] = [
  ref(0, 'pump', 'm1', 'a'),
  ref(1, 'pump', 'm1', 'b'),
  ref(2, 'pump', 'm2', 'a'),
  ref(3, 'pump', 'm2', 'b'),
  ref(4, 'motor', 'm3', 'vibration'),
];

const window = { sizeMs: WINDOW_MS, outOfOrderMs: TICK_MS, idleTimeoutMs: 86_400_000 };

/** The gateway's configuration for a data directory. */
export function driveConfig(dataDir: string) {
  const vibration = {
    kind: 'waveform',
    unit: 'g',
    sampleRateHz: BLOCK.sampleRateHz,
    features: ['vib.basic'],
  };
  return configSchema.parse({
    dataDir,
    store: { minFreeBytes: 0 },
    machineClasses: {
      pump: { topics: ['p/{machine}/{channel}'], channels: { '*': { features: ['proc.basic'] } }, window },
      motor: { topics: ['m/{machine}/{channel}'], channels: { vibration }, window },
    },
    history: { archives: [{ stepMs: 1_000, rows: 48 }] },
    // Never reached: the test takes the batches itself.
    sinks: { influx: { type: 'influxdb2', url: 'http://127.0.0.1:9', token: 'none' } },
  });
}

/** Messages of commit number `tick`: two samples of each scalar channel, now and then a block or a dead letter. */
export function messagesOf(tick: number): DriveMessage[] {
  const timeMs = NOON_MS + tick * TICK_MS;
  const messages: DriveMessage[] = [];
  for (const half of [0, 1]) {
    for (let channel = 0; channel < SCALAR_CHANNELS; channel += 1) {
      const n = (tick * 2 + half) * SCALAR_CHANNELS + channel;
      messages.push({ kind: 'scalar', channel, timeMs: timeMs + half * 25, value: (n % 997) + channel / 8 });
    }
  }
  if (tick % 2 === 0) messages.push({ kind: 'waveform', channel: 4, timeMs, value: tick, ...BLOCK });
  if (tick % 7 === 3) messages.push({ kind: 'letter', text: `letter ${tick}`, timeMs });
  return messages;
}

const keyOf = ({ measurement, tags, timeMs }: Point) => `${measurement} ${JSON.stringify(tags)} ${timeMs}`;
const textOf = ({ fields }: Point) => JSON.stringify(fields);

/** What sinks were given: the same identity twice must mean the same bytes. */
export class Delivered {
  readonly points = new Map<string, string>();
  readonly conflicts: string[] = [];

  add(points: readonly Point[]): void {
    for (const point of points) {
      const [key, text] = [keyOf(point), textOf(point)];
      const before = this.points.get(key);
      if (before !== undefined && before !== text) this.conflicts.push(`${key}: ${before}, then ${text}`);
      this.points.set(key, text);
    }
  }

  copy(): Delivered {
    const copy = new Delivered();
    for (const [key, text] of this.points) copy.points.set(key, text);
    return copy;
  }
}

const MODULES = { buildPipeline, createRing, RingWriter, RingReader, SYSTEM_CLOCK };

/** A drive on the sources, in this process. */
export function driveHere(dataDir: string): Drive {
  return startDrive(MODULES, driveConfig(dataDir));
}

/** Feeds ticks [from, to), finishes everything and returns what was delivered. */
export function finishTicks(drive: Drive, from: number, to: number, delivered: Delivered): void {
  for (let tick = from; tick < to; tick += 1) commitMessages(drive, CHANNELS, messagesOf(tick));
  finishDrive(drive, (points) => delivered.add(points));
}

/** Count, sum, smallest and largest value of each scalar window that ticks [0, to) make, from the messages alone. */
export function scalarWindows(
  to: number,
): Map<string, { count: number; sum: number; min: number; max: number }> {
  const windows = new Map<string, { count: number; sum: number; min: number; max: number }>();
  for (const message of Array.from({ length: to }, (_, tick) => messagesOf(tick)).flat()) {
    if (message.kind !== 'scalar') continue;
    const { machine, channel } = CHANNELS[message.channel]!;
    const key = `${machine} ${channel} ${Math.floor(message.timeMs / WINDOW_MS) * WINDOW_MS}`;
    const found = windows.get(key) ?? { count: 0, sum: 0, min: Infinity, max: -Infinity };
    windows.set(key, {
      count: found.count + 1,
      sum: found.sum + message.value,
      min: Math.min(found.min, message.value),
      max: Math.max(found.max, message.value),
    });
  }
  return windows;
}
