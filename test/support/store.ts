/** Stores in temporary directories, and units to commit. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configSchema, type HistoryConfig, type StoreConfig } from '../../src/config/schema.ts';
import type { Point } from '../../src/domain/point.ts';
import { SCALAR_BYTES } from '../../src/domain/record.ts';
import { recordViews, writeScalar } from '../../src/domain/record-codec.ts';
import type { WindowResult } from '../../src/domain/window-result.ts';
import type { CommitUnit } from '../../src/store/commit-unit.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { SILENT } from '../../src/telemetry/logger.ts';

/** A plausible wall clock for tests. */
export const NOON_MS = Date.UTC(2026, 5, 1, 12);

/** The configuration's defaults with some keys changed; the disk's own free space is left out of it. */
export function storeConfig(changes: Partial<StoreConfig> = {}): StoreConfig {
  return { ...configSchema.parse({ machineClasses: {} }).store, minFreeBytes: 0, ...changes };
}

export interface StoreOpenOptions {
  readonly sinks?: readonly string[];
  readonly now?: () => number;
  readonly isClockSet?: () => boolean;
  readonly history?: HistoryConfig;
}

export interface StoreFolder {
  readonly path: string;
  open(changes?: Partial<StoreConfig>, options?: StoreOpenOptions): Store;
  remove(): void;
}

/** A data directory of its own under the system's temporary one. */
export function storeFolder(): StoreFolder {
  const path = mkdtempSync(join(tmpdir(), 'millwright-store-'));
  return {
    path,
    open: (changes, options = {}) =>
      openStore({
        dataDir: path,
        config: storeConfig(changes),
        sinks: options.sinks ?? ['influx'],
        now: options.now ?? (() => NOON_MS),
        ...(options.now === undefined ? {} : { monotonicMs: options.now }),
        ...(options.isClockSet === undefined ? {} : { isClockSet: options.isClockSet }),
        logger: SILENT,
        ...(options.history === undefined ? {} : { history: options.history }),
      }),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** `count` scalar records of channel 0, numbered from `first`. */
export function scalars(count: number, first = 0): Uint8Array {
  const views = recordViews(new ArrayBuffer(count * SCALAR_BYTES));
  for (let i = 0; i < count; i += 1) {
    writeScalar(views, i * SCALAR_BYTES, 0, 1, 0, first + i, NOON_MS + first + i, Math.sin(first + i));
  }
  return views.u8;
}

/** A unit that does nothing but what `changes` say. */
export function unit(changes: Partial<CommitUnit> = {}): CommitUnit {
  return {
    journal: null,
    acceptedSamples: 0,
    channels: [],
    deadLetters: [],
    settled: { windowed: 0, late: 0, duplicate: 0 },
    results: [],
    trimBelowBatch: 0,
    ...changes,
  };
}

/** A unit with `count` samples. */
export function samples(count: number, first = 0, changes: Partial<CommitUnit> = {}): CommitUnit {
  return unit({ journal: scalars(count, first), acceptedSamples: count, ...changes });
}

/** A point whose value and time follow from `n`. */
export function point(n: number, pointClass: Point['pointClass'] = 'aggregate'): Point {
  return {
    pointClass,
    measurement: 'machine_features',
    tags: { machine: 'pump-1', channel: 'vibration' },
    fields: { rms: Math.sqrt(n + 1), quality: 'good', n },
    timeMs: NOON_MS + n * 1000,
  };
}

/** The result of one window of pump-1. */
export function result(points: readonly Point[], closedUntilMs = NOON_MS): WindowResult {
  return { machine: 'pump-1', closedUntilMs, points, stateWrites: [] };
}
