/** Assessments in, states, advice and alarms out. */

import { describe, expect, it } from 'vitest';
import { classLimits } from '../../../src/health/class-limits.ts';
import type { HealthVerdict } from '../../../src/health/health-monitor.ts';
import {
  ANOMALOUS,
  assessAll,
  commissioning,
  HOP_MS,
  machineClass,
  monitorOf,
  NORMAL,
  prognosed,
  RUL_CLASS,
  scored,
  states,
  unscored,
  windows,
} from './machines.ts';

/** Condition, transition, severity, number of the window. */
const events = (verdicts: readonly HealthVerdict[]) =>
  verdicts.flatMap(({ alarms }) =>
    alarms.map(({ condition, transition, severity, timeMs }) => [
      condition,
      transition,
      severity,
      timeMs / HOP_MS,
    ]),
  );

describe('an anomaly', () => {
  const p = [NORMAL, ANOMALOUS, ANOMALOUS, NORMAL, ANOMALOUS, NORMAL, NORMAL, NORMAL, NORMAL, NORMAL, NORMAL];

  it('is a warning while it lasts, an alarm when it persists, and ends after five calm windows', () => {
    const verdicts = assessAll(monitorOf(), windows(...p));
    expect(states(verdicts)).toEqual([
      'healthy',
      'warning',
      'warning',
      'healthy',
      'alarm',
      'alarm',
      'alarm',
      'alarm',
      'alarm',
      'healthy',
      'healthy',
    ]);
    expect(events(verdicts)).toEqual([
      ['anomaly', 'raised', 'alarm', 4],
      ['anomaly', 'cleared', 'alarm', 9],
    ]);
  });

  it('tells where to look, at which feature and how far it is off', () => {
    const verdicts = assessAll(monitorOf(), windows(...p));
    expect(verdicts.map(({ health }) => health.advice)).toEqual([
      '',
      'Watch the outer race of the bearing: vibration.env_snr.bpfo is above its healthy level (z +8.1); alarm at 3 such windows of 5, 1 so far',
      'Watch the outer race of the bearing: vibration.env_snr.bpfo is above its healthy level (z +8.1); alarm at 3 such windows of 5, 2 so far',
      '',
      'Inspect the outer race of the bearing: vibration.env_snr.bpfo is above its healthy level (z +8.1)',
      'Inspect the machine: the anomaly alarm stands and clears after 4 windows more within the limit',
      'Inspect the machine: the anomaly alarm stands and clears after 3 windows more within the limit',
      'Inspect the machine: the anomaly alarm stands and clears after 2 windows more within the limit',
      'Inspect the machine: the anomaly alarm stands and clears after 1 window more within the limit',
      '',
      '',
    ]);
  });

  it('carries its evidence: value, limit, persistence, contributions, model', () => {
    const [raised, cleared] = assessAll(monitorOf(), windows(...p)).flatMap(({ alarms }) => alarms);
    expect(raised).toEqual({
      machineClass: 'pump',
      machine: 'pump-1',
      condition: 'anomaly',
      transition: 'raised',
      timeMs: 4 * HOP_MS,
      severity: 'alarm',
      message:
        'p 1.0e-7, limit 2.3e-5, exceeded in 3 of the last 5 judged windows; vibration.env_snr.bpfo z +8.1 (61 %), ' +
        'vibration.rms z -4.0 (22 %), temperature.mean z +1.2 (10 %); machine-baseline@1.0.0 (sha256 abababababab)',
    });
    expect(cleared?.message).toBe('p above the limit 2.3e-5 in 5 windows in a row; was active 5 min');
  });

  it('on a machine that is one feature out of step is not called a high value', () => {
    const contributions = [{ featureId: 'flow.mean', z: -0.4, share: 0.9 }];
    const assessment = scored(0, ANOMALOUS);
    const { health } = monitorOf().assess({
      ...assessment,
      anomaly: { ...assessment.anomaly!, contributions },
    });
    expect(health.advice).toContain('flow.mean is out of step with the other features (z -0.4)');
  });

  it('of one machine is no matter of another', () => {
    const monitor = monitorOf();
    assessAll(monitor, windows(ANOMALOUS, ANOMALOUS, ANOMALOUS));
    expect(monitor.assess(scored(3, NORMAL, { machine: 'pump-0' })).health.state).toBe('healthy');
    expect(monitor.current().map(({ machine, state }) => [machine, state])).toEqual([
      ['pump-0', 'healthy'],
      ['pump-1', 'alarm'],
    ]);
  });

  it('does not come of a healthy machine: of ten years of minutes about 120 are over the limit, no three together', () => {
    const { pLimit } = classLimits(machineClass());
    const monitor = monitorOf();
    let seed = 1;
    let over = 0;
    let alarms = 0;
    let calmSince = 0;
    for (let i = 0; i < 120 * 43_200; i++) {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      const pValue = (seed + 0.5) / 2 ** 32;
      if (pValue <= pLimit) over += 1;
      calmSince = pValue <= pLimit ? 0 : calmSince + 1;
      // Calm windows far from the last conspicuous one change nothing.
      if (calmSince < 10) alarms += monitor.assess(scored(i, pValue)).alarms.length;
    }
    // Three standard deviations of a Poisson count.
    expect(Math.abs(over - 120)).toBeLessThan(33);
    expect(alarms).toBe(0);
  });
});

describe('remaining life', () => {
  const life = (...rul: number[]) => rul.map((value, i) => prognosed(i, value));

  it('goes from warning to alarm and, after the repair, back to healthy', () => {
    const worn = [100, 55, 55, 55, 25, 25, 25];
    const verdicts = assessAll(monitorOf(machineClass(RUL_CLASS)), life(...worn, 300, 300, 300, 300, 300));
    expect(states(verdicts)).toEqual([
      'healthy',
      ...['warning', 'warning', 'warning', 'warning', 'warning'],
      ...['alarm', 'alarm', 'alarm', 'alarm', 'alarm'],
      'healthy',
    ]);
    expect(events(verdicts)).toEqual([
      ['rul', 'raised', 'warning', 3],
      ['rul', 'raised', 'alarm', 6],
      ['rul', 'cleared', 'alarm', 11],
    ]);
    expect(verdicts[2]!.health.advice).toBe(
      'Watch remaining life: compressor wear, 45 to 65 h left (90 % interval), limit 50 h',
    );
    expect(verdicts[6]!.health.advice).toBe(
      'Maintain now: compressor wear, 15 to 35 h left (90 % interval), limit 20 h',
    );
    expect(verdicts[6]!.alarms[0]!.message).toBe(
      'compressor wear, 15 to 35 h left (90 % interval), below the alarm limit 20 h in 3 of the last 5 judged windows; ' +
        'turbofan-rul@2.1.0 (sha256 cdcdcdcdcdcd)',
    );
  });

  it('comes first in the advice when it is the more severe finding', () => {
    const monitor = monitorOf(machineClass({ models: RUL_CLASS.models, health: RUL_CLASS.health }));
    assessAll(monitor, life(25, 25));
    const { health } = monitor.assess({ ...prognosed(2, 25), anomaly: scored(2, ANOMALOUS).anomaly });
    expect(health.advice).toMatch(/^Maintain now: .*; Watch the outer race/);
  });

  it('tells a lower severity as the newest event of the condition', () => {
    const verdicts = assessAll(monitorOf(machineClass(RUL_CLASS)), life(25, 25, 25, 55, 55, 55, 55, 55));
    expect(events(verdicts)).toEqual([
      ['rul', 'raised', 'alarm', 2],
      ['rul', 'raised', 'warning', 7],
    ]);
    expect(verdicts[7]!.alarms[0]!.message).toBe(
      'not below the alarm limit 20 h in 5 windows in a row, but below the warning limit 50 h',
    );
  });

  it('says so when the model is asked outside its training range', () => {
    const monitor = monitorOf(machineClass(RUL_CLASS));
    const { health } = monitor.assess({ ...prognosed(0, 25), extrapolating: true });
    expect(health.advice).toContain('outside the range the model was trained on');
  });

  it('without a limit to hold it against leaves the machine unknown and says what to do', () => {
    const { health } = monitorOf(machineClass({ ...RUL_CLASS, health: {} })).assess(prognosed(0, 25));
    expect(health).toMatchObject({
      state: 'unknown',
      healthIndex: Number.NaN,
      advice: 'No judgement: no limit is configured for what the models say',
    });
  });
});

describe('a window without judgement', () => {
  it('holds the state, and the votes on both sides of it count together', () => {
    const verdicts = assessAll(monitorOf(), [
      scored(0, ANOMALOUS),
      unscored(1, 'bad_quality'),
      scored(2, ANOMALOUS),
      unscored(3, 'deadline'),
      scored(4, ANOMALOUS),
      unscored(5, 'bad_quality'),
    ]);
    expect(states(verdicts)).toEqual(['warning', 'warning', 'warning', 'warning', 'alarm', 'alarm']);
    expect(verdicts[5]!.health).toMatchObject({
      healthIndex: Number.NaN,
      advice:
        'Inspect the machine: the anomaly alarm stands, this window is not judged (most of the data of the window is missing or bad)',
    });
  });

  it('makes a healthy machine unknown after five in a row, and one judgement brings it back', () => {
    const down = [1, 2, 3, 4, 5, 6].map((i) => unscored(i, 'model_down'));
    const verdicts = assessAll(monitorOf(), [scored(0, NORMAL), ...down, scored(7, NORMAL)]);
    const held = ['healthy', 'healthy', 'healthy', 'healthy', 'healthy'];
    expect(states(verdicts)).toEqual([...held, 'unknown', 'unknown', 'healthy']);
    expect(verdicts[6]!.health.advice).toBe('No judgement: the model is not available');
    expect(verdicts[6]!.state).toBeNull();
    expect(events(verdicts)).toEqual([]);
  });

  it('never ends an alarm, however many there are', () => {
    const blind = Array.from({ length: 50 }, (_, i) => unscored(3 + i, 'bad_quality'));
    const verdicts = assessAll(monitorOf(), [...windows(ANOMALOUS, ANOMALOUS, ANOMALOUS), ...blind]);
    expect(states(verdicts).slice(2)).toEqual(Array.from({ length: 51 }, () => 'alarm'));
  });

  it('of a machine at rest leaves it as it was, for as long as it rests', () => {
    const rest = Array.from({ length: 50 }, (_, i) => unscored(1 + i, 'not_running'));
    const verdicts = assessAll(monitorOf(), [scored(0, NORMAL), ...rest]);
    expect(new Set(states(verdicts))).toEqual(new Set(['healthy']));
    expect(verdicts.slice(1).every(({ state }) => state === null)).toBe(true);
  });
});

describe('a sensor that fails', () => {
  it('raises a warning about itself, makes the machine unknown, and clears when data comes again', () => {
    const bad = [1, 2, 3].map((i) => unscored(i, 'bad_quality'));
    const good = [4, 5, 6, 7, 8].map((i) => scored(i, NORMAL));
    const verdicts = assessAll(monitorOf(), [scored(0, NORMAL), ...bad, ...good]);
    expect(states(verdicts)).toEqual([
      ...['healthy', 'healthy', 'healthy', 'unknown'],
      ...['unknown', 'unknown', 'unknown', 'unknown', 'healthy'],
    ]);
    expect(events(verdicts)).toEqual([
      ['sensor', 'raised', 'warning', 3],
      ['sensor', 'cleared', 'warning', 8],
    ]);
    expect(verdicts[3]!.health.advice).toBe(
      'Check sensors and their connection: most of the data of the window is missing or bad',
    );
  });
});

describe('commissioning', () => {
  it('shows its progress and why it waits', () => {
    const verdicts = assessAll(monitorOf(), [
      unscored(0, 'not_running'),
      commissioning(1, 0.425),
      unscored(2, 'not_running'),
      scored(3, NORMAL),
    ]);
    expect(verdicts.map(({ health }) => [health.state, health.advice])).toEqual([
      ['unknown', 'No judgement: the machine is not running'],
      ['commissioning', 'Commissioning: the healthy state is being learned, 43 % done'],
      ['commissioning', 'Commissioning waits: the machine is not running'],
      ['healthy', ''],
    ]);
  });

  it('anew drops votes against the former baseline, but not the alarm it raised', () => {
    const voted = assessAll(monitorOf(), [
      ...windows(ANOMALOUS, ANOMALOUS),
      commissioning(2, 0.1),
      scored(3, ANOMALOUS),
    ]);
    expect(states(voted)).toEqual(['warning', 'warning', 'commissioning', 'warning']);
    const raised = [...windows(ANOMALOUS, ANOMALOUS, ANOMALOUS), commissioning(3, 0.1)];
    expect(states(assessAll(monitorOf(), raised)).at(-1)).toBe('alarm');
  });
});

describe('a revised window', () => {
  it('has voted already: it gets its own index under the present state and changes nothing', () => {
    const monitor = monitorOf();
    assessAll(monitor, windows(ANOMALOUS, ANOMALOUS, NORMAL));
    const { health, alarms, state } = monitor.assess(scored(1, ANOMALOUS, { revision: 1 }));
    expect({ alarms, state }).toEqual({ alarms: [], state: null });
    expect(health).toMatchObject({ startMs: HOP_MS, state: 'healthy' });
    expect(health.healthIndex).toBeLessThan(0.5);
    expect(monitor.current()[0]).toMatchObject({ startMs: 2 * HOP_MS });
    expect(states([monitor.assess(scored(3, ANOMALOUS))])).toEqual(['alarm']);
  });
});

describe('HealthMonitor', () => {
  it('refuses an assessment of a class it does not know', () => {
    expect(() => monitorOf().assess({ ...scored(0, NORMAL), machineClass: 'press' })).toThrow(/press/);
  });

  it('tells the limit it judges by, and none for a class without a detector', () => {
    expect(monitorOf().pLimit('pump')).toBeCloseTo(2.3148e-5, 9);
    expect(monitorOf(machineClass(RUL_CLASS)).pLimit('pump')).toBeNull();
    expect(monitorOf().pLimit('press')).toBeNull();
  });
});
