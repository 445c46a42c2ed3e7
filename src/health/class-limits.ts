/** The configuration of a machine class enters, the limits its windows are held against leave. */

import type { HealthConfig, MachineClassConfig } from '../config/schema.ts';

export interface ClassLimits {
  /** k of n to raise, windows in a row to clear; RUL limits in the unit of the model. */
  readonly health: HealthConfig;
  /** A window whose anomaly p-value is at most this counts against the machine; 0 < pLimit <= 0.05. */
  readonly pLimit: number;
  /** The class has a baseline detector. */
  readonly judgesAnomaly: boolean;
  /** The class has a model of remaining life and at least one limit for it. */
  readonly judgesRul: boolean;
}

const MS_PER_30_DAYS = 2_592_000_000;

/** Windows of half a day or more could buy any p with their budget; a weaker surprise than this is no evidence. */
const MAX_P_LIMIT = 0.05;

export function classLimits(config: MachineClassConfig): ClassLimits {
  const { health, models, baseline } = config;
  return {
    health,
    pLimit: probabilityLimit(config),
    judgesAnomaly: baseline.enabled,
    judgesRul: models.length > 0 && (health.rulWarning !== undefined || health.rulAlarm !== undefined),
  };
}

/**
 * The per-window probability that spends the false-alarm budget: p = R D / 30 d, with R false alarms per machine and
 * 30 days and D the distance of window starts. A healthy machine exceeds it in R windows a month on average; that
 * k of n such windows are needed to raise an alarm is not counted in, because windows of one machine are alike and
 * their exceedances come together.
 *
 * Such limits are small: 2.3e-5 for a window a minute and one alarm a month. A detector reaches them only if its
 * p-value has a model of the tail; a plain split-conformal one ends at 1/(n + 1) and would need 43 000 healthy
 * windows.
 *
 * @returns 0 < p <= 0.05
 */
export function probabilityLimit({
  window,
  baseline,
}: Pick<MachineClassConfig, 'window' | 'baseline'>): number {
  const hopMs = window.hopMs ?? window.sizeMs;
  return Math.min(MAX_P_LIMIT, (baseline.falseAlarmsPerMachinePer30Days * hopMs) / MS_PER_30_DAYS);
}
