/** Answers and labelled experiments enter, a report leaves. */

import type { SkabLabel } from '../recordings/skab.ts';
import { type AnomalyScores, allOnes, type FlaggedRow, flagsAt, scoreAnomalies } from './anomaly-scores.ts';
import type { Answer } from './answers.ts';

/** One file's truth. */
export interface LabelledRun {
  readonly machine: string;
  /** Ascending in time. */
  readonly labels: readonly SkabLabel[];
  /** Added to the label times: where a replay moved the recording. */
  readonly shiftMs: number;
}

/** What counts as a flag: the machine's state, or a p-value below a limit. */
export type FlagRule =
  | { readonly kind: 'state'; readonly states: readonly string[] }
  | { readonly kind: 'p'; readonly below: number };

export interface AnomalyReport {
  /** Files without any answer: every row of theirs counts as not flagged. */
  readonly missing: readonly string[];
  readonly pooled: AnomalyScores;
  /** What flagging every row would score. */
  readonly allOnes: AnomalyScores;
  readonly runs: readonly { readonly machine: string; readonly scores: AnomalyScores }[];
}

/**
 * @param trainRows first rows of each run that are not scored (they were there to learn from)
 * @param windowMs length of the windows the answers are about; their verdict is known at the window's end
 */
export function evaluateAnomalies(
  answers: readonly Answer[],
  runs: readonly LabelledRun[],
  rule: FlagRule,
  trainRows: number,
  windowMs: number,
): AnomalyReport {
  const byMachine = new Map<string, Answer[]>();
  for (const answer of answers) {
    if (!isVerdict(answer, rule)) continue;
    const own = byMachine.get(answer.machine) ?? [];
    byMachine.set(answer.machine, own);
    own.push(answer);
  }
  const scored = runs.map((run) => {
    const verdicts = (byMachine.get(run.machine) ?? []).map((answer) => ({
      knownAtMs: answer.timeMs + windowMs,
      flagged: isFlag(answer, rule),
    }));
    const flags = flagsAt(
      run.labels.map((label) => label.timeMs + run.shiftMs),
      verdicts,
    );
    const rows = run.labels
      .map((label, i) => ({ anomaly: label.anomaly, flagged: flags[i]! }))
      .slice(trainRows);
    return { machine: run.machine, rows };
  });
  const all: FlaggedRow[] = scored.flatMap(({ rows }) => rows);
  return {
    missing: runs.filter((run) => !byMachine.has(run.machine)).map((run) => run.machine),
    pooled: scoreAnomalies(all),
    allOnes: allOnes(all),
    runs: scored.map(({ machine, rows }) => ({ machine, scores: scoreAnomalies(rows) })),
  };
}

function isVerdict(answer: Answer, rule: FlagRule): boolean {
  return rule.kind === 'state' ? answer.state !== '' : Number.isFinite(answer.pValue);
}

function isFlag(answer: Answer, rule: FlagRule): boolean {
  return rule.kind === 'state' ? rule.states.includes(answer.state) : answer.pValue < rule.below;
}
