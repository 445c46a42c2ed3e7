/** One row of a model's answer enters, the domain's words for it leave. */

import type { AnomalyResult, Contribution, ModelIdentity, Prognosis } from '../domain/assessment.ts';
import type { StoredBaseline } from './baseline-codec.ts';
import { conformalInterval } from './conformal.ts';
import type { RulManifest } from './model-manifest.ts';
import { pValue } from './score-calibration.ts';
import type { WireTensors } from './tensor.ts';

const MAX_CONTRIBUTIONS = 5;

/**
 * @param row index into the batch
 * @returns null if the score or a contribution is not finite
 */
export function anomalyFrom(
  outputs: WireTensors,
  row: number,
  { features, fit }: StoredBaseline,
  model: ModelIdentity,
): AnomalyResult | null {
  const score = outputs['score']?.data[row];
  const z = outputs['z'];
  const contribution = outputs['contribution'];
  if (score === undefined || !Number.isFinite(score) || !z || !contribution) return null;
  const offset = row * z.dims[1]!;
  const ranked: Contribution[] = features.map(({ id }, j) => {
    const part = contribution.data[offset + j]!;
    return { featureId: id, z: z.data[offset + j]!, share: score > 0 ? part / score : 0 };
  });
  if (ranked.some((entry) => !Number.isFinite(entry.z) || !Number.isFinite(entry.share))) return null;
  ranked.sort((a, b) => b.share - a.share);
  const positive = Math.max(0, score);
  const p = pValue(positive, fit.calibration);
  return {
    score: positive,
    pValue: p,
    surprise: -Math.log10(p),
    contributions: ranked.slice(0, MAX_CONTRIBUTIONS),
    model,
  };
}

/** Null if the answer is not finite. */
export function prognosisFrom(
  outputs: WireTensors,
  row: number,
  manifest: RulManifest,
  model: ModelIdentity,
): Prognosis | null {
  const answer = outputs[manifest.output]?.data[row];
  if (answer === undefined || !Number.isFinite(answer)) return null;
  const [lowest, highest] = manifest.clip;
  const rul = Math.min(highest, Math.max(lowest, answer));
  const { low, high } = conformalInterval(rul, manifest.calibration, manifest.clip);
  return {
    failureMode: manifest.failureMode,
    unit: manifest.unit,
    rul,
    rulLow: low,
    rulHigh: high,
    confidence: manifest.calibration.coverage,
    censored: rul >= manifest.censoredFrom,
    model,
  };
}
