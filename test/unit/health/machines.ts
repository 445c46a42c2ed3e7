/** Machine classes as configured and assessments as the models give them, for the tests of health. */

import { configSchema, type MachineClassConfig } from '../../../src/config/schema.ts';
import type { Assessment, ModelIdentity, Prognosis } from '../../../src/domain/assessment.ts';
import { HealthMonitor, type HealthVerdict } from '../../../src/health/health-monitor.ts';

export const HOP_MS = 60_000;

const DETECTOR: ModelIdentity = { name: 'machine-baseline', version: '1.0.0', sha256: 'ab'.repeat(32) };
const RUL_MODEL: ModelIdentity = { name: 'turbofan-rul', version: '2.1.0', sha256: 'cd'.repeat(32) };

/** A class through the real schema, so that defaults are the product's. */
export function machineClass(overrides: Record<string, unknown> = {}): MachineClassConfig {
  const { machineClasses } = configSchema.parse({
    machineClasses: {
      pump: {
        topics: ['plant/{machine}/{channel}'],
        channels: { vibration: {} },
        window: { sizeMs: HOP_MS },
        baseline: { enabled: true },
        ...overrides,
      },
    },
  });
  return machineClasses['pump']!;
}

/** The i-th window of a machine, assessed by nothing. */
export function window(i: number, fields: Partial<Assessment> = {}): Assessment {
  return {
    machineClass: 'pump',
    machine: 'pump-1',
    startMs: i * HOP_MS,
    endMs: (i + 1) * HOP_MS,
    revision: 0,
    scoreState: 'scored',
    reason: '',
    baselineProgress: 1,
    anomaly: null,
    prognosis: null,
    extrapolating: false,
    ...fields,
  };
}

/** A window whose detector gave this p-value. */
export function scored(i: number, pValue: number, fields: Partial<Assessment> = {}): Assessment {
  const contributions = [
    { featureId: 'vibration.env_snr.bpfo', z: 8.12, share: 0.61 },
    { featureId: 'vibration.rms', z: -4.05, share: 0.22 },
    { featureId: 'temperature.mean', z: 1.2, share: 0.1 },
    { featureId: 'temperature.max', z: 0.3, share: 0.05 },
  ];
  const anomaly = { score: 42, pValue, surprise: -Math.log10(pValue), contributions, model: DETECTOR };
  return window(i, { anomaly, ...fields });
}

/** A window that could not be assessed. */
export function unscored(i: number, reason: string): Assessment {
  return window(i, { scoreState: 'none', reason });
}

/** A window while the baseline is being learned. */
export function commissioning(i: number, baselineProgress: number): Assessment {
  return window(i, { scoreState: 'commissioning', reason: 'commissioning', baselineProgress });
}

/** A window whose model sees this life left, with an interval of 10 to either side. */
export function prognosed(i: number, rul: number, fields: Partial<Prognosis> = {}): Assessment {
  const prognosis: Prognosis = {
    failureMode: 'compressor wear',
    unit: 'h',
    rul,
    rulLow: rul - 10,
    rulHigh: rul + 10,
    confidence: 0.9,
    censored: false,
    model: RUL_MODEL,
    ...fields,
  };
  return window(i, { prognosis });
}

/** Far beyond any limit of these tests. */
export const ANOMALOUS = 1e-7;
/** What a healthy machine shows. */
export const NORMAL = 0.3;

/** Judged by remaining life alone. */
export const RUL_CLASS = {
  baseline: { enabled: false },
  models: [{ name: 'turbofan-rul' }],
  health: { rulWarning: 50, rulAlarm: 20 },
};

/** A monitor of the one class `pump`. */
export function monitorOf(config: MachineClassConfig = machineClass()): HealthMonitor {
  return new HealthMonitor({ pump: config });
}

/** One verdict per assessment, in order. */
export function assessAll(monitor: HealthMonitor, assessments: readonly Assessment[]): HealthVerdict[] {
  return assessments.map((assessment) => monitor.assess(assessment));
}

/** One window per p-value. */
export function windows(...pValues: number[]): Assessment[] {
  return pValues.map((p, i) => scored(i, p));
}

/** State after each window. */
export const states = (verdicts: readonly HealthVerdict[]) => verdicts.map(({ health }) => health.state);
