/**
 * What this thread has caused to be written to a block device in, bytes a day and the life of the card out.
 *
 * The kernel counts pages as they become dirty (`/proc/thread-self/io`, `write_bytes`): the log and the database of the
 * store, which is all this thread writes. What the file system adds (its own journal, metadata) and what the card makes
 * of it is not in there; `store.flash.writeAmplification` stands for both. Where the kernel does not count, nothing is
 * said rather than guessed.
 */

import { readFileSync } from 'node:fs';
import type { StoreConfig } from '../config/schema.ts';
import type { MetricSample, MetricSource } from '../telemetry/metrics.ts';

const IO = '/proc/thread-self/io';
const READ_EVERY_MS = 1_000;
/** Below this much observation a rate would be noise. */
const LEAST_OBSERVED_MS = 10 * 60_000;
/** A step of the wall clock is no observation. */
const LONGEST_STEP_MS = 60_000;
const DAY_MS = 86_400_000;

/** Bytes written and how long that was watched, over all runs with this data directory. */
export interface Wear {
  readonly writtenBytes: number;
  readonly observedMs: number;
}

export interface WearForecast extends Wear {
  /** Null before ten minutes were observed. */
  readonly bytesPerDay: number | null;
  /** At that rate, from new; null where there is no rate, Infinity where nothing is written. */
  readonly lifeDays: number | null;
}

/** Life of a medium at a rate of writing, days. Infinity where nothing is written. */
export function lifeDays(flash: StoreConfig['flash'], bytesPerDay: number): number {
  return (flash.capacityBytes * flash.writeCycles) / (bytesPerDay * flash.writeAmplification);
}

export function forecast(wear: Wear, flash: StoreConfig['flash']): WearForecast {
  if (wear.observedMs < LEAST_OBSERVED_MS) return { ...wear, bytesPerDay: null, lifeDays: null };
  const bytesPerDay = (wear.writtenBytes / wear.observedMs) * DAY_MS;
  return { ...wear, bytesPerDay, lifeDays: lifeDays(flash, bytesPerDay) };
}

/** Bytes this thread has caused to be written since it began; null where the kernel does not say. */
function threadBytes(): number | null {
  try {
    const found = /^write_bytes: (\d+)/m.exec(readFileSync(IO, 'utf8'));
    return found === null ? null : Number(found[1]);
  } catch {
    return null;
  }
}

export class WearMeter implements MetricSource {
  readonly #flash: StoreConfig['flash'];
  readonly #now: () => number;
  #wear: Wear = { writtenBytes: 0, observedMs: 0 };
  #last: { readonly bytes: number; readonly atMs: number } | null = null;
  #startBytes = 0;

  constructor(flash: StoreConfig['flash'], now: () => number) {
    this.#flash = flash;
    this.#now = now;
  }

  /** Goes on from what earlier runs wrote. */
  begin({ writtenBytes, observedMs }: Wear): void {
    this.#wear = { writtenBytes, observedMs };
    this.#startBytes = writtenBytes;
    const bytes = threadBytes();
    this.#last = bytes === null ? null : { bytes, atMs: this.#now() };
  }

  /** As of about now. */
  get wear(): Wear {
    const last = this.#last;
    const atMs = this.#now();
    if (last === null || Math.abs(atMs - last.atMs) < READ_EVERY_MS) return this.#wear;
    const bytes = threadBytes() ?? last.bytes;
    this.#last = { bytes, atMs };
    const stepMs = Math.min(LONGEST_STEP_MS, Math.max(0, atMs - last.atMs));
    this.#wear = {
      writtenBytes: this.#wear.writtenBytes + bytes - last.bytes,
      observedMs: this.#wear.observedMs + stepMs,
    };
    return this.#wear;
  }

  get forecast(): WearForecast {
    return forecast(this.wear, this.#flash);
  }

  metrics(): MetricSample[] {
    if (this.#last === null) return [];
    const { writtenBytes, lifeDays: days } = this.forecast;
    const written: MetricSample = {
      name: 'millwright_store_bytes_written_total',
      value: writtenBytes - this.#startBytes,
    };
    if (days === null || !Number.isFinite(days)) return [written];
    return [written, { name: 'millwright_store_flash_life_seconds', value: (days * DAY_MS) / 1000 }];
  }
}
