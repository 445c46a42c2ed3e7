/** Samples -> the window slices and windows the tests feed to the features. */

import type { MachineClassConfig } from '../../../src/config/schema.ts';
import { configSchema } from '../../../src/config/schema.ts';
import type {
  ChannelSlice,
  ScalarSlice,
  WaveformSegment,
  WaveformSlice,
  Window,
} from '../../../src/domain/window.ts';
import { FftPlans } from '../../../src/features/fft.ts';
import { WaveformSignal } from '../../../src/features/waveform-signal.ts';

/** n samples of f. */
export function sampled(n: number, f: (k: number) => number): Float64Array {
  return Float64Array.from({ length: n }, (_, k) => f(k));
}

export function segment(values: ArrayLike<number>, sampleRateHz: number, t0Ms = 0): WaveformSegment {
  return { t0Ms, sampleRateHz, values: Float32Array.from(values) };
}

export function waveform(channel: string, segments: readonly WaveformSegment[]): WaveformSlice {
  return { kind: 'waveform', channel, segments, coverage: 1, quality: 'good' };
}

export function scalar(
  channel: string,
  timeMs: readonly number[],
  value: readonly number[],
  held: ScalarSlice['held'] = null,
): ScalarSlice {
  const times = Float64Array.from(timeMs);
  return {
    kind: 'scalar',
    channel,
    timeMs: times,
    value: Float64Array.from(value),
    held,
    coverage: 1,
    quality: 'good',
  };
}

export function windowOf(
  slices: readonly ChannelSlice[],
  startMs = 0,
  endMs = startMs + 60_000,
  revision = 0,
): Window {
  const identity = { machineClass: 'pump', machine: 'p1', startMs, endMs, revision };
  return { ...identity, coverage: 1, quality: 'good', slices, closedBy: 'watermark' };
}

/** A signal of float64 samples, past the float32 of the wire, for comparison with reference values. */
export function signalOf(samples: Float64Array, sampleRateHz: number): WaveformSignal {
  const signal = new WaveformSignal(new FftPlans());
  // Float64Array where the domain has Float32Array: the loader reads numbers from either.
  signal.load(waveform('x', [{ t0Ms: 0, sampleRateHz, values: samples as unknown as Float32Array }]));
  return signal;
}

/** A machine class as the configuration schema fills it in. */
export function machineClass(input: Record<string, unknown>): MachineClassConfig {
  const config = configSchema.parse({
    machineClasses: { pump: { topics: ['a/{machine}/{channel}'], ...input } },
  });
  return config.machineClasses['pump']!;
}
