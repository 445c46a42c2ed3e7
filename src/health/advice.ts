/** The standing of a machine and its newest assessment enter, one line of advice leaves. */

import type { Assessment } from '../domain/assessment.ts';
import type { MachineState } from '../domain/health.ts';
import type { ClassLimits } from './class-limits.ts';
import type { Judgement } from './judgement.ts';
import { type Level, newestVote, votesAtLeast } from './persistence.ts';
import type { Standing } from './standing.ts';
import { findingWords, percent, prognosisWords, reasonWords, short, windowsWords } from './wording.ts';

/** What is known when advice is asked for; `standing` already includes the votes of this window. */
export interface Situation {
  readonly assessment: Assessment;
  readonly judgement: Judgement;
  readonly standing: Standing;
  readonly state: MachineState;
  readonly limits: ClassLimits;
}

/** The most severe finding first; empty while healthy and judged. */
export function adviceFor(situation: Situation): string {
  const { standing, state, assessment } = situation;
  const findings: { readonly level: Level; readonly text: string }[] = [];
  const { anomaly, rul, sensor } = standing.conditions;
  if (anomaly.level > 0 || newestVote(anomaly) > 0) {
    findings.push({ level: anomaly.level, text: anomalyAdvice(situation) });
  }
  if (rul.level > 0 || newestVote(rul) > 0) findings.push({ level: rul.level, text: rulAdvice(situation) });
  if (sensor.level > 0) findings.push({ level: 0, text: sensorAdvice(situation) });
  if (findings.length > 0) {
    return findings
      .sort((a, b) => b.level - a.level)
      .map(({ text }) => text)
      .join('; ');
  }
  if (state === 'unknown') return `No judgement: ${whyNotJudged(assessment)}`;
  if (state === 'commissioning') return commissioningAdvice(assessment);
  return '';
}

function anomalyAdvice({ assessment, judgement, standing, limits }: Situation): string {
  const condition = standing.conditions.anomaly;
  const { raiseCount, raiseOutOf, clearCount } = limits.health;
  const active = condition.level > 0;
  if (judgement.votes.anomaly === null) {
    const what = active ? 'the anomaly alarm stands' : 'the last judged window was abnormal';
    return `${active ? 'Inspect' : 'Watch'} the machine: ${what}, this window is not judged (${whyNotJudged(assessment)})`;
  }
  if (judgement.votes.anomaly > 0 && assessment.anomaly) {
    const finding = findingWords(assessment.anomaly);
    if (active) return `Inspect ${finding}`;
    const soFar = votesAtLeast(condition, 2);
    return `Watch ${finding}; alarm at ${raiseCount} such windows of ${raiseOutOf}, ${soFar} so far`;
  }
  const left = windowsWords(clearCount - condition.runBelowWarning);
  return `Inspect the machine: the anomaly alarm stands and clears after ${left} more within the limit`;
}

function rulAdvice({ assessment, judgement, standing, limits }: Situation): string {
  const { rul } = standing.conditions;
  const action =
    rul.level === 2 ? 'Maintain now' : rul.level === 1 ? 'Plan maintenance' : 'Watch remaining life';
  const { prognosis } = assessment;
  if (judgement.votes.rul === null || prognosis === null) {
    return `${action}: the last prognosis stands, this window has none (${whyNotJudged(assessment)})`;
  }
  const { rulAlarm, rulWarning } = limits.health;
  const beyond = prognosis.censored ? ', beyond the horizon of the model' : '';
  const limit = judgement.votes.rul === 1 ? rulWarning : (rulAlarm ?? rulWarning);
  return `${action}: ${prognosisWords(prognosis)}${beyond}, limit ${short(limit ?? 0)} ${prognosis.unit}${rangeNote(assessment)}`;
}

function sensorAdvice({ judgement, assessment }: Situation): string {
  return judgement.votes.sensor === 1
    ? `Check sensors and their connection: ${reasonWords(assessment.reason)}`
    : 'Check sensors and their connection: too many of the last windows lacked data';
}

function commissioningAdvice(assessment: Assessment): string {
  if (assessment.scoreState !== 'commissioning') return `Commissioning waits: ${whyNotJudged(assessment)}`;
  return `Commissioning: the healthy state is being learned, ${percent(assessment.baselineProgress)} done`;
}

/** Words for a window without the judgement one would expect. */
function whyNotJudged({ scoreState, reason }: Assessment): string {
  if (scoreState === 'commissioning') return 'the healthy state is being learned anew';
  return reasonWords(reason === '' ? 'no_limit' : reason);
}

/** A model asked outside its training range may be wrong either way; the reader should know. */
export function rangeNote({ extrapolating }: Assessment): string {
  return extrapolating ? '; operation is outside the range the model was trained on' : '';
}
