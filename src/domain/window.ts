/** Event-time slice of one machine's channels: what leaves `window/` and enters `features/`. */

import type { Quality } from './record.ts';

/** Scalar samples of one channel inside the window, ascending in time, exact duplicates removed. */
export interface ScalarSlice {
  readonly kind: 'scalar';
  readonly channel: string;
  /** Shape [n], ms since the epoch (fractions allowed), ascending. */
  readonly timeMs: Float64Array;
  /** Shape [n], in the channel's declared unit, finite. */
  readonly value: Float64Array;
  /** Newest accepted sample before the window start, for hold features; null if there was none. */
  readonly held: { readonly timeMs: number; readonly value: number } | null;
  /** Received ÷ expected samples, 0..1; 1 where the channel declares no period and at least one sample came. */
  readonly coverage: number;
  readonly quality: Quality;
}

/** One gapless stretch of waveform. */
export interface WaveformSegment {
  readonly t0Ms: number;
  readonly sampleRateHz: number;
  /** Shape [n], in the channel's declared unit. */
  readonly values: Float32Array;
}

/** Waveform of one channel inside the window, as contiguous segments in time order. */
export interface WaveformSlice {
  readonly kind: 'waveform';
  readonly channel: string;
  readonly segments: readonly WaveformSegment[];
  readonly coverage: number;
  readonly quality: Quality;
}

export type ChannelSlice = ScalarSlice | WaveformSlice;

export interface Window {
  readonly machineClass: string;
  readonly machine: string;
  /** Half-open [startMs, endMs), ms UTC, aligned to the epoch plus the configured offset. */
  readonly startMs: number;
  readonly endMs: number;
  /** 0 at first close; +1 each time an allowed late sample reopens it. */
  readonly revision: number;
  /** Minimum over the declared channels. */
  readonly coverage: number;
  readonly quality: Quality;
  /** In the order of the class's declared channels, then wildcard channels by name; only channels with data. */
  readonly slices: readonly ChannelSlice[];
  /** How the window was closed: by the watermark, or because every channel fell silent. */
  readonly closedBy: 'watermark' | 'idle' | 'flush';
}
