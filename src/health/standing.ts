/** What is remembered of one machine between its windows, and the same as bytes for the store. */

import { MACHINE_STATES, type MachineState } from '../domain/health.ts';
import { CONDITIONS, type ConditionName } from './judgement.ts';
import { type Condition, INACTIVE, type Level, newestVote } from './persistence.ts';
import { type StandingAlarm, storedAlarms } from './standing-alarms.ts';

/** Everything the next judgement depends on. */
export interface Standing {
  readonly machineClass: string;
  /** What the machine is while no condition speaks against it: `unknown`, `commissioning` or `healthy`. */
  readonly base: MachineState;
  /** Windows in a row without judgement though the machine ran; stops counting at `raiseOutOf`. */
  readonly unjudged: number;
  readonly conditions: Readonly<Record<ConditionName, Condition>>;
}

/** The standing with the window in which it last changed, so that the machine can be shown before it speaks again. */
export interface StoredStanding {
  readonly standing: Standing;
  readonly startMs: number;
  readonly endMs: number;
  readonly advice: string;
  /** At most one per condition; empty for most machines, and then not stored. */
  readonly alarms: readonly StandingAlarm[];
}

const FORM = 1;

export function newStanding(machineClass: string): Standing {
  const conditions = { anomaly: INACTIVE, rul: INACTIVE, sensor: INACTIVE };
  return { machineClass, base: 'unknown', unjudged: 0, conditions };
}

/**
 * The worst that holds: an active condition, then one that is true in the last judged window but not yet persistent
 * (`warning`), then a sensor fault (`unknown`, because too little is seen to call the machine healthy), then `base`.
 * A machine that was in alarm stays so while it cannot be judged.
 */
export function stateOf({ base, conditions: { anomaly, rul, sensor } }: Standing): MachineState {
  if (anomaly.level === 2 || rul.level === 2) return 'alarm';
  if (rul.level === 1 || newestVote(anomaly) > 0 || newestVote(rul) > 0) return 'warning';
  return sensor.level > 0 ? 'unknown' : base;
}

/** Text that is equal exactly where two standings are. */
export function standingKey({ machineClass, base, unjudged, conditions }: Standing): string {
  const compact = CONDITIONS.map((name) => {
    const { level, votes, runBelowWarning, runBelowAlarm, sinceMs } = conditions[name];
    return [level, votes.join(''), runBelowWarning, runBelowAlarm, sinceMs];
  });
  return JSON.stringify([machineClass, base, unjudged, ...compact]);
}

/** JSON in UTF-8: a few hundred bytes, and as many again for each alarm; readable in the database. */
export function encodeStanding({ alarms, ...stored }: StoredStanding): Uint8Array {
  const standing = alarms.length === 0 ? stored : { ...stored, alarms };
  return new TextEncoder().encode(JSON.stringify({ form: FORM, ...standing }));
}

/** Inverse of `encodeStanding`; null for bytes of another form. The store guards against damage. */
export function decodeStanding(bytes: Uint8Array): StoredStanding | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
  if (!isObject(parsed) || parsed['form'] !== FORM || !isStanding(parsed['standing'])) return null;
  const { standing, startMs, endMs, advice } = parsed;
  if (!isNumber(startMs) || !isNumber(endMs) || typeof advice !== 'string') return null;
  const alarms = storedAlarms(parsed['alarms'], standing, advice);
  return { standing, startMs, endMs, advice, alarms };
}

function isStanding(value: unknown): value is Standing {
  if (!isObject(value) || typeof value['machineClass'] !== 'string' || !isNumber(value['unjudged']))
    return false;
  const { base, conditions } = value;
  return (
    MACHINE_STATES.some((state) => state === base) &&
    isObject(conditions) &&
    CONDITIONS.every((name) => isCondition(conditions[name]))
  );
}

function isCondition(value: unknown): value is Condition {
  if (!isObject(value) || !isLevel(value['level'])) return false;
  const { votes, runBelowWarning, runBelowAlarm, sinceMs } = value;
  return (
    Array.isArray(votes) && votes.every(isLevel) && [runBelowWarning, runBelowAlarm, sinceMs].every(isNumber)
  );
}

function isLevel(value: unknown): value is Level {
  return value === 0 || value === 1 || value === 2;
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
