/** Answers and a file of true remaining useful life enter, a report leaves: one answer a machine, its last. */

import { readSourceFile, recordingError } from '../recordings/source-file.ts';
import type { Answer } from './answers.ts';
import { type RulPrediction, type RulScores, scoreRul } from './rul-scores.ts';

/** Above this the field's training labels are flat, so truths are often capped alike. */
export const RUL_CAP = 125;

export interface RulReport {
  readonly truthMachines: number;
  /** Machines in the truth without any answer. */
  readonly missing: readonly string[];
  /** Machines whose last window went without a score: an earlier answer is none for it. */
  readonly unscored: readonly string[];
  /** Against truth capped at 125. */
  readonly capped: RulScores;
  /** Against the truth as it stands in the file. */
  readonly raw: RulScores;
}

/**
 * One integer a line, for test engine 1, 2, 3, ...: `RUL_FD001.txt` is the truth of `FD001-test-001` and so on.
 * @param prefix machine ids without their number; default from the file name
 * @throws GatewayError MW_RECORDING
 */
export function readRulTruth(path: string, prefix?: string): ReadonlyMap<string, number> {
  const file = readSourceFile(path);
  const set = /RUL_(FD\d+)/i.exec(file.name)?.[1]?.toUpperCase();
  const start = prefix ?? (set === undefined ? undefined : `${set}-test-`);
  if (start === undefined) throw recordingError(path, null, 'does not name its set; give --machine-prefix');
  const truth = new Map<string, number>();
  const lines = file.bytes.toString('latin1').split('\n');
  lines.forEach((text, i) => {
    if (text.trim() === '') return;
    const value = Number(text);
    if (!Number.isFinite(value) || value < 0)
      throw recordingError(path, i + 1, `"${text.trim()}" is no number of cycles`);
    truth.set(`${start}${String(truth.size + 1).padStart(3, '0')}`, value);
  });
  return truth;
}

export function evaluateRul(answers: readonly Answer[], truth: ReadonlyMap<string, number>): RulReport {
  const last = new Map<string, RulPrediction>();
  for (const { machine, rul, rulLow, rulHigh } of answers) {
    if (truth.has(machine)) last.set(machine, { machine, rul, rulLow, rulHigh });
  }
  const predictions = [...last.values()].filter(({ rul }) => Number.isFinite(rul));
  return {
    truthMachines: truth.size,
    missing: [...truth.keys()].filter((machine) => !last.has(machine)),
    unscored: [...last.values()].filter(({ rul }) => !Number.isFinite(rul)).map(({ machine }) => machine),
    capped: scoreRul(predictions, truth, RUL_CAP),
    raw: scoreRul(predictions, truth, Number.POSITIVE_INFINITY),
  };
}
