/** A machine class's window settings, resolved once, and the arithmetic of window boundaries. */

import type { ChannelConfig, MachineClassConfig } from '../config/schema.ts';

/**
 * Windows are the half-open slices [i*hop + offset, i*hop + offset + size), epoch-aligned so that fleets and
 * backfills agree. Samples are kept by *bucket* b = floor((t - offset) / hop); all samples of a bucket share the end
 * of the last window that holds them.
 */
export class ClassSpec {
  readonly name: string;
  readonly sizeMs: number;
  readonly hopMs: number;
  readonly offsetMs: number;
  readonly outOfOrderMs: number;
  readonly allowedLatenessMs: number;
  readonly idleTimeoutMs: number;
  /** Samples one channel may buffer: one window being closed and one being filled. */
  readonly maxBufferedSamples: number;
  /** Declared channel names in order, without the wildcard. */
  readonly declared: readonly string[];
  readonly #channels: Readonly<Record<string, ChannelConfig>>;

  constructor(name: string, config: MachineClassConfig) {
    const { window } = config;
    this.name = name;
    this.sizeMs = window.sizeMs;
    this.hopMs = window.hopMs ?? window.sizeMs;
    this.offsetMs = window.offsetMs % this.hopMs;
    this.outOfOrderMs = window.outOfOrderMs;
    this.allowedLatenessMs = window.allowedLatenessMs;
    this.idleTimeoutMs = window.idleTimeoutMs;
    this.maxBufferedSamples = 2 * window.maxSamplesPerWindow;
    this.declared = Object.keys(config.channels).filter((channel) => channel !== '*');
    this.#channels = config.channels;
  }

  /** Settings of a channel: its own, or the wildcard's; null if the class has neither. */
  channel(name: string): ChannelConfig | null {
    // A channel may be called like a member of every object.
    if (Object.hasOwn(this.#channels, name)) return this.#channels[name]!;
    return this.#channels['*'] ?? null;
  }

  bucketOf(timeMs: number): number {
    return Math.floor((timeMs - this.offsetMs) / this.hopMs);
  }

  startOf(index: number): number {
    return index * this.hopMs + this.offsetMs;
  }

  endOf(index: number): number {
    return index * this.hopMs + this.offsetMs + this.sizeMs;
  }

  /** Index of the first window that holds samples of this bucket (the last one is the bucket's own index). */
  firstWindowOf(bucket: number): number {
    return bucket - Math.ceil(this.sizeMs / this.hopMs) + 1;
  }

  /** Largest window end that is <= the watermark; windows up to it are closed. */
  closedBy(watermarkMs: number): number {
    return this.endOf(this.indexOfEnd(watermarkMs));
  }

  /** Index of the last window whose end is <= the time. */
  indexOfEnd(timeMs: number): number {
    return Math.floor((timeMs - this.offsetMs - this.sizeMs) / this.hopMs);
  }

  /** Samples before this time belong to no window that ends after `endMs`. */
  settledBefore(endMs: number): number {
    return endMs - this.sizeMs + this.hopMs;
  }
}
