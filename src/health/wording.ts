/** Findings enter as domain values, words leave that a person in the plant can act on. */

import type { AnomalyResult, Contribution, ModelIdentity, Prognosis } from '../domain/assessment.ts';

/** Fixed words of `Assessment.reason` as a person would say them. */
const REASON_WORDS: Readonly<Record<string, string>> = {
  bad_quality: 'most of the data of the window is missing or bad',
  uncertain_quality: 'part of the data of the window is missing or uncertain',
  low_coverage: 'the window holds less data than the model needs',
  missing_feature: 'features the model needs are undefined',
  not_running: 'the machine is not running',
  no_model: 'no model applies',
  no_limit: 'no limit is configured for what the models say',
  model_down: 'the model is not available',
  model_failed: 'the model failed on this window',
  nan_output: 'the model gave no finite answer',
  deadline: 'the models did not answer in time',
  queue_full: 'the models cannot keep up with the windows',
  stopping: 'the gateway was stopping',
};

/** Where to look, by the feature that explains most; the first pattern that fits. */
const PLACES: readonly (readonly [RegExp, string])[] = [
  [/\.bpfo$/, 'the outer race of the bearing'],
  [/\.bpfi$/, 'the inner race of the bearing'],
  [/\.bsf$/, 'the rolling elements of the bearing'],
  [/\.ftf$/, 'the cage of the bearing'],
  [/\.(velocity_rms\.[^.]+|iso_zone)$/, 'balance, alignment and looseness'],
  [/\.(kurtosis|(crest|impulse|clearance)_factor|sk_max|hf_rms)$/, 'bearings and gears for impacts'],
];

/** Below this a feature is ordinary on its own, and what is unusual is how it goes with the others. */
const UNUSUAL_Z = 3;

const MAX_EVIDENCE = 3;

export function reasonWords(reason: string): string {
  return REASON_WORDS[reason] ?? reason;
}

/** `the outer race of the bearing: vibration.env_snr.bpfo is above its healthy level (z +8.1)` */
export function findingWords({ contributions: [top] }: AnomalyResult): string {
  if (top === undefined) return 'the machine: its features as a whole left their healthy range';
  const place = PLACES.find(([pattern]) => pattern.test(top.featureId))?.[1] ?? 'the machine';
  return `${place}: ${top.featureId} is ${deviationWords(top)} (z ${signed(top.z)})`;
}

function deviationWords({ z }: Contribution): string {
  if (Math.abs(z) < UNUSUAL_Z) return 'out of step with the other features';
  return z > 0 ? 'above its healthy level' : 'below its healthy level';
}

/** `a.rms z +8.1 (61 %), a.kurtosis z +4.0 (22 %)`: at most three, with their share of the score. */
export function evidenceWords({ contributions }: AnomalyResult): string {
  return contributions
    .slice(0, MAX_EVIDENCE)
    .map(({ featureId, z, share }) => `${featureId} z ${signed(z)} (${percent(share)})`)
    .join(', ');
}

/** `bearing wear, 18 to 46 h left (90 % interval)` */
export function prognosisWords({ failureMode, unit, rulLow, rulHigh, confidence }: Prognosis): string {
  return `${failureMode}, ${short(rulLow)} to ${short(rulHigh)} ${unit} left (${percent(confidence)} interval)`;
}

/** `machine-baseline@1.0.0 (sha256 0123456789ab)` */
export function modelWords({ name, version, sha256 }: ModelIdentity): string {
  return `${name}@${version} (sha256 ${sha256.slice(0, 12)})`;
}

/** `1 window`, `2 windows` */
export function windowsWords(count: number): string {
  return count === 1 ? '1 window' : `${count} windows`;
}

/** In the largest unit of which there is at least one: `45 s`, `12 min`, `3.5 h`, `2 d`. */
export function durationWords(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
  ] as const;
  const [unit, size] = units.find(([, length]) => ms >= length) ?? (['s', 1000] as const);
  return `${short(ms / size)} ${unit}`;
}

/** At most three significant digits, no exponent for the magnitudes that occur. */
export function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

export function probability(p: number): string {
  return p >= 0.001 ? short(p) : p.toExponential(1);
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function signed(z: number): string {
  return `${z < 0 ? '-' : '+'}${Math.abs(z).toFixed(1)}`;
}
