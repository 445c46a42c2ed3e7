/** Alarm events enter as they happen, the alarms that stand leave, so that a restart can show them again. */

import type { AlarmEvent } from '../domain/health.ts';
import { CONDITIONS } from './judgement.ts';
import type { Standing } from './standing.ts';

/** The newest raising of a condition that has not been cleared; whose it is, the standing beside it says. */
export type StandingAlarm = Pick<AlarmEvent, 'timeMs' | 'severity' | 'message'> & {
  readonly condition: string;
};

/** The alarms that stand after these events. */
export function standingAfter(
  before: readonly StandingAlarm[],
  events: readonly AlarmEvent[],
): readonly StandingAlarm[] {
  let standing = before;
  for (const { condition, transition, timeMs, severity, message } of events) {
    standing = standing.filter((alarm) => alarm.condition !== condition);
    if (transition === 'raised') standing = [...standing, { condition, timeMs, severity, message }];
  }
  return standing;
}

/**
 * Alarms as they were stored beside `standing`. What an earlier version stored has none, though conditions may be
 * active: those are told with their beginning and the advice of that time.
 */
export function storedAlarms(stored: unknown, standing: Standing, advice: string): readonly StandingAlarm[] {
  if (Array.isArray(stored) && stored.every(isStandingAlarm)) return stored;
  return CONDITIONS.flatMap((condition) => {
    const { level, sinceMs } = standing.conditions[condition];
    if (level === 0) return [];
    return [{ condition, timeMs: sinceMs, severity: level === 2 ? 'alarm' : 'warning', message: advice }];
  });
}

function isStandingAlarm(value: unknown): value is StandingAlarm {
  if (typeof value !== 'object' || value === null) return false;
  const { condition, timeMs, severity, message } = value as Record<string, unknown>;
  return (
    CONDITIONS.some((name) => name === condition) &&
    typeof timeMs === 'number' &&
    (severity === 'warning' || severity === 'alarm') &&
    typeof message === 'string'
  );
}
