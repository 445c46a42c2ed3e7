import { describe, expect, it } from 'vitest';
import { evaluateAnomalies } from '../../../../src/cli/evaluation/anomaly-evaluation.ts';
import { allOnes, flagsAt, scoreAnomalies } from '../../../../src/cli/evaluation/anomaly-scores.ts';
import type { Answer } from '../../../../src/cli/evaluation/answers.ts';

const rows = (labels: string, flags: string) =>
  [...labels].map((label, i) => ({ anomaly: label === '1', flagged: flags[i] === '1' }));

describe('scoreAnomalies', () => {
  it('counts rows without adjusting anything', () => {
    // TP 1, FN 2, FP 1, TN 2
    const scores = scoreAnomalies(rows('111000', '100100'));
    expect(scores).toMatchObject({
      truePositives: 1,
      falseNegatives: 2,
      falsePositives: 1,
      trueNegatives: 2,
    });
    expect(scores.f1).toBeCloseTo(1 / 2.5, 12);
    expect(scores.far).toBeCloseTo(1 / 3, 12);
    expect(scores.mar).toBeCloseTo(2 / 3, 12);
  });

  it('shows what flagging everything would score', () => {
    const baseline = allOnes(rows('111000', '000000'));
    expect(baseline.f1).toBeCloseTo(3 / 4.5, 12);
    expect(baseline).toMatchObject({ far: 1, mar: 0 });
  });
});

describe('flagsAt', () => {
  it('never knows a verdict before its window has ended', () => {
    const verdicts = [
      { knownAtMs: 20, flagged: true },
      { knownAtMs: 10, flagged: false },
      { knownAtMs: 30, flagged: false },
    ];
    expect(flagsAt([5, 10, 19, 20, 29, 30], verdicts)).toEqual([false, false, false, true, true, false]);
  });
});

describe('evaluateAnomalies', () => {
  const answer = (timeMs: number, state: string, pValue: number): Answer => ({
    machine: 'm',
    timeMs,
    rul: Number.NaN,
    rulLow: Number.NaN,
    rulHigh: Number.NaN,
    pValue,
    state,
  });
  const labels = [0, 1, 1, 0].map((anomaly, i) => ({ timeMs: i * 10, anomaly: anomaly === 1 }));
  const runs = [{ machine: 'm', labels, shiftMs: 100 }];

  it('scores states and p-values by their own rule, after the rows that were there to learn from', () => {
    const answers = [answer(100, 'alarm', 0.5), answer(110, 'healthy', 1e-6)];
    const byState = evaluateAnomalies(answers, runs, { kind: 'state', states: ['alarm'] }, 0, 10);
    expect(byState.pooled).toMatchObject({ truePositives: 1, falseNegatives: 1, trueNegatives: 2 });
    const byP = evaluateAnomalies(answers, runs, { kind: 'p', below: 1e-3 }, 2, 10);
    expect(byP.pooled).toMatchObject({ rows: 2, truePositives: 1, falsePositives: 1 });
  });

  it('counts a run without answers as never flagged, and says so', () => {
    const report = evaluateAnomalies([], runs, { kind: 'state', states: ['alarm'] }, 0, 10);
    expect(report.missing).toEqual(['m']);
    expect(report.pooled).toMatchObject({ falseNegatives: 2, trueNegatives: 2, mar: 1 });
  });
});
