/** Named numbers with units: what leaves `features/`, feeds the models, and becomes points. */

import type { Quality } from './record.ts';

export interface FeatureSpec {
  /** Id inside its group, e.g. `crest_factor`, `velocity_rms.10_1000`; the full id is `<channel>.<id>`. */
  readonly id: string;
  /** UCUM-like unit as declared (`g`, `mm/s`, `degC`), `1` for ratios. */
  readonly unit: string;
  /** Bumped when the formula's result changes for equal input. */
  readonly formulaVersion: number;
  /** Parameters that change the number (band edges, trailing length), canonical order; empty if none. */
  readonly params: Readonly<Record<string, number | string>>;
}

/** Features of one channel (or of the machine as a whole, channel ''). */
export interface FeatureGroup {
  /** Channel name, or '' for machine-level features (usage). */
  readonly channel: string;
  readonly specs: readonly FeatureSpec[];
  /** Same length and order as specs; NaN where the feature is undefined for this window (never Infinity). */
  readonly values: Float64Array;
  readonly coverage: number;
  readonly quality: Quality;
}

export interface FeatureVector {
  readonly machineClass: string;
  readonly machine: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly revision: number;
  readonly coverage: number;
  readonly quality: Quality;
  readonly groups: readonly FeatureGroup[];
}

/** Full id of a feature: `<channel>.<feature>`, or the bare id for machine-level features. */
export function fullFeatureId(channel: string, featureId: string): string {
  return channel === '' ? featureId : `${channel}.${featureId}`;
}
