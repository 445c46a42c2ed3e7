import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../../../src/cli/evaluation/answers.ts';
import { evaluateRul, readRulTruth } from '../../../../src/cli/evaluation/rul-evaluation.ts';
import { nasaScore, scoreRul } from '../../../../src/cli/evaluation/rul-scores.ts';

const answer = (
  machine: string,
  timeMs: number,
  rul: number,
  low = Number.NaN,
  high = Number.NaN,
): Answer => ({
  machine,
  timeMs,
  rul,
  rulLow: low,
  rulHigh: high,
  pValue: Number.NaN,
  state: '',
});

describe('nasaScore', () => {
  it('charges a late answer more than an early one', () => {
    expect(nasaScore(-13)).toBeCloseTo(1.718281828, 9);
    expect(nasaScore(10)).toBeCloseTo(1.718281828, 9);
    expect(nasaScore(13)).toBeCloseTo(2.66929667, 8);
    expect(nasaScore(0)).toBe(0);
  });
});

describe('scoreRul', () => {
  const truth = new Map([
    ['a', 100],
    ['b', 50],
    ['c', 140],
  ]);
  const predictions = [
    { machine: 'a', rul: 103, rulLow: 95, rulHigh: 110 },
    { machine: 'b', rul: 46, rulLow: 40, rulHigh: 48 },
    { machine: 'c', rul: 125, rulLow: 120, rulHigh: 130 },
  ];

  it('gives the scores worked by hand, against capped truth', () => {
    // d = 3, -4, 0
    const scores = scoreRul(predictions, truth, 125);
    expect(scores.rmse).toBeCloseTo(Math.sqrt(25 / 3), 12);
    expect(scores.mae).toBeCloseTo(7 / 3, 12);
    expect(scores.bias).toBeCloseTo(-1 / 3, 12);
    expect(scores.nasaScore).toBeCloseTo(Math.exp(0.3) - 1 + (Math.exp(4 / 13) - 1), 12);
    expect(scores.picp).toBeCloseTo(2 / 3, 12);
    expect(scores.mpiw).toBeCloseTo((15 + 8 + 10) / 3, 12);
  });

  it('gives the scores worked by hand, against raw truth', () => {
    const scores = scoreRul(predictions, truth, Number.POSITIVE_INFINITY);
    expect(scores.rmse).toBeCloseTo(Math.sqrt((9 + 16 + 225) / 3), 12);
    expect(scores.picp).toBeCloseTo(1 / 3, 12);
  });

  it('leaves coverage undefined where no interval was stated, and everything where nothing was predicted', () => {
    const bare = scoreRul([{ machine: 'a', rul: 1, rulLow: Number.NaN, rulHigh: Number.NaN }], truth, 125);
    expect(bare.rmse).toBe(99);
    expect(bare.picp).toBeNaN();
    expect(scoreRul([], truth, 125).rmse).toBeNaN();
    expect(scoreRul([], truth, 125).nasaScore).toBeNaN();
  });
});

describe('evaluateRul', () => {
  it('takes the last answer of each machine and names the machines without one', () => {
    const dir = mkdtempSync(join(tmpdir(), 'millwright-truth-'));
    try {
      const path = join(dir, 'RUL_FD001.txt');
      writeFileSync(path, '112 \n98 \n');
      const truth = readRulTruth(path);
      expect([...truth]).toEqual([
        ['FD001-test-001', 112],
        ['FD001-test-002', 98],
      ]);
      const report = evaluateRul(
        [answer('FD001-test-001', 1, 10), answer('FD001-test-001', 2, 110), answer('other', 3, 5)],
        truth,
      );
      expect(report.missing).toEqual(['FD001-test-002']);
      expect(report.raw).toMatchObject({ machines: 1, rmse: 2, bias: -2 });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('takes no earlier answer for a last window without one', () => {
    const truth = new Map([
      ['a', 10],
      ['b', 20],
    ]);
    const report = evaluateRul([answer('a', 1, 12), answer('b', 1, 20), answer('a', 2, Number.NaN)], truth);
    expect(report).toMatchObject({ missing: [], unscored: ['a'], raw: { machines: 1, rmse: 0 } });
  });
});
