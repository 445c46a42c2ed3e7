/** One assessment and the limits of its class enter, the votes and the health index of this window leave. */

import type { AnomalyResult, Assessment, Prognosis } from '../domain/assessment.ts';
import type { ClassLimits } from './class-limits.ts';
import type { Level } from './persistence.ts';

/** What an alarm can be about; the words appear in tags, on the page and in the stored state. */
export const CONDITIONS = ['anomaly', 'rul', 'sensor'] as const;
export type ConditionName = (typeof CONDITIONS)[number];

export interface Judgement {
  /** Null where this window says nothing about the condition. */
  readonly votes: Readonly<Record<ConditionName, Level | null>>;
  /** 0..1, the weakest of what was judged; NaN where nothing was. */
  readonly healthIndex: number;
}

/** The data, not the models, are why there is no judgement. */
const DATA_REASONS: ReadonlySet<string> = new Set(['bad_quality', 'uncertain_quality', 'low_coverage']);
/** Scored all the same, but on less data than the baseline was learned on: its p-value does not hold. */
const UNFIT_FOR_ANOMALY: ReadonlySet<string> = new Set(['bad_quality', 'uncertain_quality']);

/**
 * Votes: anomaly 2 at or below the probability limit; rul 1 or 2 below the warning or the alarm limit; sensor 1 where
 * the data did not suffice, 0 where they did. The index is min(anomalyIndex, rulIndex) of what was judged: a machine
 * is as good as its worst finding. Both cross 0.5 where the window starts to count against the machine.
 */
export function judge(assessment: Assessment, limits: ClassLimits): Judgement {
  const { reason, scoreState } = assessment;
  const anomaly = limits.judgesAnomaly && !UNFIT_FOR_ANOMALY.has(reason) ? assessment.anomaly : null;
  const prognosis = limits.judgesRul ? assessment.prognosis : null;
  const usable =
    assessment.anomaly !== null || assessment.prognosis !== null || scoreState === 'commissioning';
  return {
    votes: {
      anomaly: anomaly && (anomaly.pValue <= limits.pLimit ? 2 : 0),
      rul: prognosis && rulVote(prognosis, limits),
      sensor: DATA_REASONS.has(reason) ? 1 : usable ? 0 : null,
    },
    healthIndex: healthIndex(anomaly, prognosis, limits),
  };
}

/**
 * 1 - s / (2 s0), bounded to 0..1, with s = -log10(p) and s0 = -log10(pLimit): 1 where nothing surprises, 0.5 at the
 * limit, 0 at the limit's square. With pLimit = 1e-4: p = 1 -> 1, 0.5 -> 0.96, 1e-2 -> 0.75, 1e-4 -> 0.5, 1e-8 -> 0.
 */
export function anomalyIndex({ surprise }: Pick<AnomalyResult, 'surprise'>, pLimit: number): number {
  return bounded(1 + surprise / (2 * Math.log10(pLimit)));
}

/**
 * rulLow / (2 limit), bounded to 0..1, with the first limit that is reached on the way down: 1 at twice the limit and
 * beyond, 0.5 at the limit, 0 at the end of life. 1 for a censored prognosis, which says "beyond the horizon".
 */
export function rulIndex({ rulLow, censored }: Prognosis, { health }: ClassLimits): number {
  const limit = health.rulWarning ?? health.rulAlarm;
  if (limit === undefined || censored) return 1;
  return bounded(rulLow / (2 * limit));
}

/** The lower end of the interval decides: maintenance that comes too late costs more than one that comes early. */
function rulVote({ rulLow, censored }: Prognosis, { health }: ClassLimits): Level {
  if (censored) return 0;
  if (health.rulAlarm !== undefined && rulLow < health.rulAlarm) return 2;
  return health.rulWarning !== undefined && rulLow < health.rulWarning ? 1 : 0;
}

function healthIndex(
  anomaly: AnomalyResult | null,
  prognosis: Prognosis | null,
  limits: ClassLimits,
): number {
  const parts: number[] = [];
  if (anomaly) parts.push(anomalyIndex(anomaly, limits.pLimit));
  if (prognosis) parts.push(rulIndex(prognosis, limits));
  return parts.length === 0 ? Number.NaN : Math.min(...parts);
}

function bounded(index: number): number {
  return Math.max(0, Math.min(1, index));
}
