/** Feature vectors and rows for the tests of inference. */

import type { FeatureSpec, FeatureVector } from '../../../src/domain/feature-vector.ts';
import type { Quality } from '../../../src/domain/record.ts';

/** Lehmer generator (Park, Miller), then Box-Muller: the same numbers on every run. */
export class Gaussian {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 7919 + 17) % 2147483647;
    for (let i = 0; i < 10; i++) this.uniform();
  }

  uniform(): number {
    this.#state = (this.#state * 48271) % 2147483647;
    return this.#state / 2147483647;
  }

  next(): number {
    return Math.sqrt(-2 * Math.log(this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
}

export function specsOf(ids: readonly string[], unit = '1'): FeatureSpec[] {
  return ids.map((id) => ({ id, unit, formulaVersion: 1, params: {} }));
}

export interface VectorInput {
  readonly machine?: string;
  readonly machineClass?: string;
  readonly startMs: number;
  readonly sizeMs?: number;
  readonly revision?: number;
  readonly quality?: Quality;
  readonly coverage?: number;
  readonly channel?: string;
  readonly specs: readonly FeatureSpec[];
  readonly values: ArrayLike<number>;
}

/** A vector with one channel group. */
export function vectorOf(input: VectorInput): FeatureVector {
  const { startMs, quality = 'good', coverage = 1, channel = 'c', sizeMs = 10_000 } = input;
  return {
    machineClass: input.machineClass ?? 'pump',
    machine: input.machine ?? 'm1',
    startMs,
    endMs: startMs + sizeMs,
    revision: input.revision ?? 0,
    coverage,
    quality,
    groups: [{ channel, specs: input.specs, values: Float64Array.from(input.values), coverage, quality }],
  };
}

/** Correlated features of a healthy machine: p numbers driven by two loads, plus noise of their own. */
export function healthyRow(random: Gaussian, p: number): number[] {
  const loads = [random.next(), random.next()];
  return Array.from({ length: p }, (_, j) => 100 * j + 3 * loads[j % 2]! + random.next());
}
