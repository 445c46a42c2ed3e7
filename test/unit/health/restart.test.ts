/** What survives a restart, with the same configuration and with another. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HealthMonitor, type HealthVerdict } from '../../../src/health/health-monitor.ts';
import {
  ANOMALOUS,
  assessAll,
  commissioning,
  machineClass,
  monitorOf,
  NORMAL,
  prognosed,
  RUL_CLASS,
  scored,
  unscored,
  windows,
} from './machines.ts';

/** A verdict as text, its state bytes included. */
const told = ({ health, alarms, state }: HealthVerdict) =>
  JSON.stringify([health, alarms, state && new TextDecoder().decode(state.value ?? undefined)]);

describe('state', () => {
  it('is written when something changed, and not for the windows of a healthy machine', () => {
    const verdicts = assessAll(monitorOf(), windows(NORMAL, NORMAL, NORMAL, ANOMALOUS, NORMAL));
    expect(verdicts.map(({ state }) => state !== null)).toEqual([true, false, false, true, true]);
    expect(verdicts[0]!.state).toMatchObject({ machine: 'pump-1', key: 'health' });
  });

  it('makes a restart after any window invisible', () => {
    const kinds = fc.constantFrom(
      (i: number) => scored(i, NORMAL),
      (i: number) => scored(i, ANOMALOUS),
      (i: number) => ({ ...prognosed(i, 25), anomaly: scored(i, ANOMALOUS).anomaly }),
      (i: number) => prognosed(i, 55),
      (i: number) => prognosed(i, 500),
      (i: number) => unscored(i, 'bad_quality'),
      (i: number) => unscored(i, 'model_down'),
      (i: number) => unscored(i, 'not_running'),
      (i: number) => commissioning(i, 0.5),
    );
    const runs = fc.array(fc.record({ kind: kinds, restart: fc.boolean() }), { maxLength: 40 });
    const both = machineClass({ models: RUL_CLASS.models, health: RUL_CLASS.health });
    const rules = fc.record({
      raiseCount: fc.integer({ min: 1, max: 3 }),
      raiseOutOf: fc.integer({ min: 3, max: 6 }),
      clearCount: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(runs, rules, (run, rule) => {
        const config = { ...both, health: { ...both.health, ...rule } };
        const steady = monitorOf(config);
        let restarted = monitorOf(config);
        let stored: Uint8Array | null = null;
        const verdicts = run.map(({ kind, restart }, i) => {
          if (restart) {
            restarted = monitorOf(config);
            if (stored) restarted.restore('pump-1', stored);
          }
          const verdict = restarted.assess(kind(i));
          stored = verdict.state?.value ?? stored;
          return told(verdict);
        });
        expect(verdicts).toEqual(run.map(({ kind }, i) => told(steady.assess(kind(i)))));
      }),
      { numRuns: 1000 },
    );
  });

  it('shows a machine after a restart as of the window that changed it last', () => {
    const [, , raised] = assessAll(monitorOf(), windows(ANOMALOUS, ANOMALOUS, ANOMALOUS));
    const monitor = monitorOf();
    monitor.restore('pump-1', raised!.state!.value!);
    expect(monitor.current()).toEqual([{ ...raised!.health, healthIndex: Number.NaN }]);
  });

  it('shows the alarms that stand after a restart as they were raised', () => {
    const [, , raised, , cleared] = assessAll(
      monitorOf(machineClass({ health: { clearCount: 2 } })),
      windows(ANOMALOUS, ANOMALOUS, ANOMALOUS, NORMAL, NORMAL),
    );
    const monitor = monitorOf();
    monitor.restore('pump-1', raised!.state!.value!);
    expect(raised!.alarms).toHaveLength(1);
    expect(monitor.standingAlarms('pump-1')).toEqual(raised!.alarms);
    monitor.restore('pump-1', cleared!.state!.value!);
    expect(monitor.standingAlarms('pump-1')).toEqual([]);
  });

  it('of a version that kept no alarms tells them with their beginning and its advice', () => {
    const raised = assessAll(monitorOf(), windows(ANOMALOUS, ANOMALOUS, ANOMALOUS)).at(-1)!;
    const { alarms: _alarms, ...old } = JSON.parse(new TextDecoder().decode(raised.state!.value!));
    const monitor = monitorOf();
    monitor.restore('pump-1', new TextEncoder().encode(JSON.stringify(old)));
    expect(monitor.standingAlarms('pump-1')).toEqual([
      { ...raised.alarms[0]!, message: raised.health.advice },
    ]);
  });

  it.each(['', 'no json', '{"form":2}', '{"form":1,"standing":{"machineClass":"pump"}}', 'null'])(
    'of another form is passed over: %s',
    (text) => {
      const monitor = monitorOf();
      monitor.restore('pump-1', new TextEncoder().encode(text));
      expect(monitor.current()).toEqual([]);
      expect(monitor.assess(scored(0, NORMAL)).health.state).toBe('healthy');
    },
  );
});

describe('a change of configuration', () => {
  const raised = assessAll(monitorOf(), windows(ANOMALOUS, ANOMALOUS, ANOMALOUS)).at(-1)!.state!.value!;

  it('that ends the watch over a condition ends its alarm, instead of letting it stand for ever', () => {
    const monitor = monitorOf(machineClass(RUL_CLASS));
    monitor.restore('pump-1', raised);
    const { health, alarms } = monitor.assess(prognosed(10, 500));
    expect(health.state).toBe('healthy');
    expect(alarms).toMatchObject([
      {
        condition: 'anomaly',
        transition: 'cleared',
        message: 'the configuration no longer judges it; was active 8 min',
      },
    ]);
  });

  it('that takes the limits of remaining life away ends the warning they raised', () => {
    const before = assessAll(
      monitorOf(machineClass(RUL_CLASS)),
      [0, 1, 2].map((i) => prognosed(i, 55)),
    );
    const monitor = monitorOf(machineClass({ ...RUL_CLASS, health: {} }));
    monitor.restore('pump-1', before[2]!.state!.value!);
    const { alarms } = monitor.assess(prognosed(3, 55));
    expect(alarms).toMatchObject([{ condition: 'rul', transition: 'cleared', severity: 'warning' }]);
  });

  it('that moves the machine to another class ends its alarms under the class that raised them', () => {
    const monitor = new HealthMonitor({ pump: machineClass(), fan: machineClass() });
    monitor.restore('pump-1', raised);
    const { health, alarms } = monitor.assess({ ...scored(10, NORMAL), machineClass: 'fan' });
    expect(health).toMatchObject({ machineClass: 'fan', state: 'healthy' });
    expect(alarms).toMatchObject([{ machineClass: 'pump', condition: 'anomaly', transition: 'cleared' }]);
  });
});
