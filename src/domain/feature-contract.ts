/** The feature contract: what a model was trained on and what this gateway computes, reduced to one hash. */

import { createHash } from 'node:crypto';

/** One feature as the contract names it; `id` is the full feature id. */
export interface ContractFeature {
  readonly id: string;
  readonly unit: string;
  readonly formulaVersion: number;
  readonly params: Readonly<Record<string, number | string>>;
}

/** Length and distance of the windows the features are computed on. */
export interface ContractWindow {
  readonly sizeMs: number;
  readonly hopMs: number;
}

/** Features in tensor order, and their window: everything that must agree between training and serving. */
export interface FeatureContract {
  readonly features: readonly ContractFeature[];
  readonly window: ContractWindow;
}

/**
 * Canonical JSON of the contract: object keys sorted by code unit, no white space, numbers as ECMAScript prints
 * them (RFC 8785 for the values that occur here). The order of `features` is kept: it is the order of the tensor.
 */
export function canonicalContract(contract: FeatureContract): string {
  const features = contract.features.map(({ id, unit, formulaVersion, params }) => ({
    formulaVersion,
    id,
    params: Object.fromEntries(Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1))),
    unit,
  }));
  const { hopMs, sizeMs } = contract.window;
  return JSON.stringify({ features, window: { hopMs, sizeMs } });
}

/** SHA-256 of the canonical contract, 64 lower-case hex digits. */
export function contractHash(contract: FeatureContract): string {
  return createHash('sha256').update(canonicalContract(contract), 'utf8').digest('hex');
}
