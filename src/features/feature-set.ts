/** A feature set bound to one channel's configuration: the specs it promises and the numbers it computes for them. */

import type { FeatureSpec } from '../domain/feature-vector.ts';
import type { ScalarSlice, Window } from '../domain/window.ts';
import { GatewayError } from '../errors.ts';
import type { FeatureState } from './feature-state.ts';
import type { WaveformSignal } from './waveform-signal.ts';

/** Features of one waveform. */
export interface WaveformFeatureSet {
  readonly specs: readonly FeatureSpec[];
  /**
   * Writes value i of `specs` to `out[at + i]`. The caller has filled the places with NaN, which stands for
   * "undefined for this window"; a set leaves it where it cannot answer.
   */
  compute(signal: WaveformSignal, out: Float64Array, at: number): void;
}

/** Features of the scalar samples of one channel. */
export interface ScalarFeatureSet {
  readonly specs: readonly FeatureSpec[];
  /** As `WaveformFeatureSet.compute`. @param state of the machine; changed by sets with memory */
  compute(slice: ScalarSlice, window: Window, state: FeatureState, out: Float64Array, at: number): void;
}

/** Features of the machine as a whole. */
export interface MachineFeatureSet {
  readonly specs: readonly FeatureSpec[];
  /** As `WaveformFeatureSet.compute`. @param state of the machine; changed by sets with memory */
  compute(window: Window, state: FeatureState, out: Float64Array, at: number): void;
}

/** One spec; `params` holds every parameter that changes the number, and nothing else, and is put in order. */
export function featureSpec(
  id: string,
  unit: string,
  params: FeatureSpec['params'] = {},
  formulaVersion = 1,
): FeatureSpec {
  const ordered = Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1));
  return { id, unit, formulaVersion, params: Object.fromEntries(ordered) };
}

/** A mistake in the machine class. */
export class FeatureConfigurationError extends GatewayError {
  /** The way below the class, such as `channels`, `de`, `features`. */
  readonly path: readonly string[];
  /** What is wrong there, with the offending value. */
  readonly problem: string;

  constructor(path: readonly string[], problem: string) {
    const key = path.join('.');
    super('MW_CONFIG_INVALID', `${key}: ${problem}`, { details: { key } });
    this.path = path;
    this.problem = problem;
  }
}

export function configurationError(path: readonly string[], problem: string): GatewayError {
  return new FeatureConfigurationError(path, problem);
}

/** numerator / denominator, or NaN where the denominator is zero: a ratio feature is never infinite. */
export function ratio(numerator: number, denominator: number): number {
  return denominator === 0 ? Number.NaN : numerator / denominator;
}
