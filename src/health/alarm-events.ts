/** A condition before and after one window enters, the alarm event of that change leaves. */

import type { AlarmEvent } from '../domain/health.ts';
import { rangeNote, type Situation } from './advice.ts';
import type { ConditionName } from './judgement.ts';
import { type Condition, INACTIVE, type Level, votesAtLeast } from './persistence.ts';
import type { Standing } from './standing.ts';
import {
  durationWords,
  evidenceWords,
  modelWords,
  probability,
  prognosisWords,
  reasonWords,
  short,
  windowsWords,
} from './wording.ts';

/**
 * Null unless the level changed. An active condition whose severity changes is told as `raised` with the new severity:
 * the newest event of a condition always says how it is. One condition has at most one event per window, at the
 * window's start, because machine, condition and time are the identity of the point.
 */
export function transition(name: ConditionName, before: Condition, situation: Situation): AlarmEvent | null {
  const { assessment, standing } = situation;
  const after = standing.conditions[name];
  if (after.level === before.level) return null;
  const raised = after.level > 0;
  const level = raised ? after.level : before.level;
  const message = raised
    ? after.level > before.level
      ? raisedMessage(name, after, situation)
      : loweredMessage(situation)
    : clearedMessage(name, before, situation);
  return {
    machineClass: assessment.machineClass,
    machine: assessment.machine,
    condition: name,
    transition: raised ? 'raised' : 'cleared',
    timeMs: assessment.startMs,
    severity: severityOf(level),
    message,
  };
}

/** The end of a condition that will not be judged again, under the class that raised it. */
export function withdrawal(
  name: ConditionName,
  { machineClass, conditions }: Standing,
  { machine, startMs }: { readonly machine: string; readonly startMs: number },
  why: string,
): AlarmEvent | null {
  const { level, sinceMs } = conditions[name];
  if (level === INACTIVE.level) return null;
  return {
    machineClass,
    machine,
    condition: name,
    transition: 'cleared',
    timeMs: startMs,
    severity: severityOf(level),
    message: `${why}; was active ${durationWords(startMs - sinceMs)}`,
  };
}

function severityOf(level: Level): AlarmEvent['severity'] {
  return level === 2 ? 'alarm' : 'warning';
}

function raisedMessage(name: ConditionName, after: Condition, { assessment, limits }: Situation): string {
  const often = `in ${votesAtLeast(after, after.level)} of the last ${limits.health.raiseOutOf} judged windows`;
  const { anomaly, prognosis } = assessment;
  if (name === 'anomaly' && anomaly) {
    const p = `p ${probability(anomaly.pValue)}, limit ${probability(limits.pLimit)}`;
    return [`${p}, exceeded ${often}`, evidenceWords(anomaly), modelWords(anomaly.model)]
      .filter((part) => part !== '')
      .join('; ');
  }
  if (name === 'rul' && prognosis) {
    const model = modelWords(prognosis.model);
    const limit = rulLimitWords(after.level, prognosis.unit, limits.health);
    return `${prognosisWords(prognosis)}, below the ${limit} ${often}${rangeNote(assessment)}; ${model}`;
  }
  return `${reasonWords(assessment.reason)}, ${often}`;
}

/** Only remaining life has two levels. */
function loweredMessage({ assessment: { prognosis }, limits: { health } }: Situation): string {
  const unit = prognosis?.unit ?? '';
  const upper = rulLimitWords(2, unit, health);
  const lower = rulLimitWords(1, unit, health);
  return `not below the ${upper} in ${windowsWords(health.clearCount)} in a row, but below the ${lower}`;
}

function clearedMessage(name: ConditionName, before: Condition, { assessment, limits }: Situation): string {
  const { health, pLimit } = limits;
  const run = `in ${windowsWords(health.clearCount)} in a row`;
  const active = `was active ${durationWords(assessment.startMs - before.sinceMs)}`;
  if (name === 'anomaly') return `p above the limit ${probability(pLimit)} ${run}; ${active}`;
  if (name === 'sensor') return `enough data ${run}; ${active}`;
  const { prognosis } = assessment;
  const now = prognosis ? `${prognosisWords(prognosis)}, ` : '';
  return `${now}not below any limit ${run}; ${active}`;
}

function rulLimitWords(
  level: Level,
  unit: string,
  { rulAlarm, rulWarning }: Situation['limits']['health'],
): string {
  const limit = level === 2 ? rulAlarm : rulWarning;
  return `${level === 2 ? 'alarm' : 'warning'} limit ${short(limit ?? 0)} ${unit}`;
}
