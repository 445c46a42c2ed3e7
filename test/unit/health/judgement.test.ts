/** Limits from the budget, votes and the health index. */

import { describe, expect, it } from 'vitest';
import { classLimits, probabilityLimit } from '../../../src/health/class-limits.ts';
import { anomalyIndex, judge, rulIndex } from '../../../src/health/judgement.ts';
import { commissioning, machineClass, prognosed, scored, unscored } from './machines.ts';

const MINUTE_LIMIT = 60 / 2_592_000;

describe('probabilityLimit', () => {
  it('is 2.3e-5 for a window a minute and one false alarm in 30 days', () => {
    expect(probabilityLimit(machineClass())).toBeCloseTo(2.3148e-5, 9);
  });

  it('follows the distance of windows, not their length', () => {
    const hopping = machineClass({ window: { sizeMs: 60_000, hopMs: 15_000 } });
    expect(probabilityLimit(hopping)).toBeCloseTo(MINUTE_LIMIT / 4, 12);
  });

  it('never calls one window in twenty an anomaly, however generous the budget', () => {
    const daily = machineClass({
      window: { sizeMs: 86_400_000 },
      baseline: { enabled: true, falseAlarmsPerMachinePer30Days: 1000 },
    });
    expect(probabilityLimit(daily)).toBe(0.05);
  });
});

describe('judge', () => {
  const limits = classLimits(machineClass());
  const rul = classLimits(
    machineClass({ models: [{ name: 'rul' }], health: { rulWarning: 50, rulAlarm: 20 } }),
  );

  it('votes against a machine at the limit and not just above it', () => {
    expect(judge(scored(0, limits.pLimit), limits).votes.anomaly).toBe(2);
    expect(judge(scored(0, limits.pLimit * 1.0001), limits).votes.anomaly).toBe(0);
  });

  it.each(['bad_quality', 'uncertain_quality'])('does not trust a p-value from a window of %s', (reason) => {
    const judgement = judge(scored(0, 1e-9, { scoreState: 'none', reason }), limits);
    expect(judgement).toEqual({ votes: { anomaly: null, rul: null, sensor: 1 }, healthIndex: Number.NaN });
  });

  it('trusts a p-value where another model failed', () => {
    const { votes } = judge(scored(0, 1e-9, { scoreState: 'none', reason: 'deadline' }), limits);
    expect(votes.anomaly).toBe(2);
  });

  it.each(['model_down', 'deadline', 'not_running', 'missing_feature'])(
    'blames no sensor for %s',
    (reason) => {
      expect(judge(unscored(0, reason), limits).votes.sensor).toBeNull();
    },
  );

  it('takes a window of commissioning as proof that the sensors work', () => {
    expect(judge(commissioning(0, 0.5), limits).votes).toEqual({ anomaly: null, rul: null, sensor: 0 });
  });

  it('holds the lower end of the interval against the limits of remaining life', () => {
    expect([61, 60, 59, 30, 29].map((rulH) => judge(prognosed(0, rulH), rul).votes.rul)).toEqual([
      0, 0, 1, 1, 2,
    ]);
  });

  it('does not hold a bound beyond the horizon against the machine', () => {
    expect(judge(prognosed(0, 25, { censored: true }), rul)).toMatchObject({
      votes: { rul: 0 },
      healthIndex: 1,
    });
  });

  it('does not judge remaining life without a limit, but knows that the sensors work', () => {
    const judgement = judge(prognosed(0, 1), classLimits(machineClass({ models: [{ name: 'rul' }] })));
    expect(judgement).toEqual({ votes: { anomaly: null, rul: null, sensor: 0 }, healthIndex: Number.NaN });
  });

  it('rates a machine by its worst finding', () => {
    const { prognosis } = prognosed(0, 60);
    expect(judge(scored(0, 1, { prognosis }), rul).healthIndex).toBe(0.5);
  });
});

describe('health index', () => {
  it('falls from 1 over 0.5 at the limit to 0 at its square', () => {
    const index = [1, 0.5, 1e-2, 1e-4, 1e-8, 1e-12].map((p) =>
      anomalyIndex({ surprise: -Math.log10(p) }, 1e-4),
    );
    [1, 0.9624, 0.75, 0.5, 0, 0].forEach((expected, i) => {
      expect(index[i]).toBeCloseTo(expected, 4);
    });
  });

  it('falls with remaining life from twice the first limit on', () => {
    const limits = classLimits(machineClass({ health: { rulWarning: 50, rulAlarm: 20 } }));
    const index = [200, 110, 60, 10].map((rul) => rulIndex(prognosed(0, rul).prognosis!, limits));
    expect(index).toEqual([1, 1, 0.5, 0]);
  });
});
