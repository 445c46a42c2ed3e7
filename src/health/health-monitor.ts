/** Assessments of windows enter in the order of each machine's windows, states, advice and alarms leave. */

import type { MachineClassConfig } from '../config/schema.ts';
import type { Assessment } from '../domain/assessment.ts';
import type { AlarmEvent, MachineHealth } from '../domain/health.ts';
import type { StateWrite } from '../domain/state-write.ts';
import { GatewayError } from '../errors.ts';
import { adviceFor, type Situation } from './advice.ts';
import { transition, withdrawal } from './alarm-events.ts';
import { type ClassLimits, classLimits } from './class-limits.ts';
import { CONDITIONS, type ConditionName, type Judgement, judge } from './judgement.ts';
import { INACTIVE, withVote } from './persistence.ts';
import {
  decodeStanding,
  encodeStanding,
  newStanding,
  type Standing,
  type StoredStanding,
  standingKey,
  stateOf,
} from './standing.ts';
import { type StandingAlarm, standingAfter } from './standing-alarms.ts';

/** What one assessment leads to. */
export interface HealthVerdict {
  readonly health: MachineHealth;
  /** Transitions only, at most one per condition, in the order anomaly, rul, sensor. */
  readonly alarms: AlarmEvent[];
  /** What must be durable with this window; null while nothing changed, which is the case for most windows. */
  readonly state: StateWrite | null;
}

/** Key of this stage's state in the store. */
const STATE_KEY = 'health';

/**
 * Judges machines against their false-alarm budget and their limits of remaining life.
 *
 * Pure and restartable: what comes out depends on the configuration, the assessment and the state bytes alone, so a
 * restart between any two windows changes nothing. A window that could not be judged changes no condition: the state
 * of the machine is held, and becomes `unknown` after `raiseOutOf` such windows in a row unless an alarm stands or
 * the machine is not running.
 *
 * A revised window (revision > 0) has voted already: it is answered with its own health index under the present state
 * and never raises, clears or writes.
 */
export class HealthMonitor {
  readonly #limits: ReadonlyMap<string, ClassLimits>;
  readonly #standings = new Map<string, Standing>();
  /** Newest health by machine; bounded by `limits.maxChannels`, as machines are. */
  readonly #current = new Map<string, MachineHealth>();
  /** By machine, only where one stands. */
  readonly #alarms = new Map<string, readonly StandingAlarm[]>();

  constructor(classes: Readonly<Record<string, MachineClassConfig>>) {
    this.#limits = new Map(Object.entries(classes).map(([name, config]) => [name, classLimits(config)]));
  }

  /** @throws GatewayError MW_INTERNAL for a class that is not configured: no window of it should exist */
  assess(assessment: Assessment): HealthVerdict {
    const limits = this.#limits.get(assessment.machineClass);
    if (limits === undefined) {
      throw new GatewayError('MW_INTERNAL', `assessment of unknown machine class ${assessment.machineClass}`);
    }
    const before = this.#standings.get(assessment.machine) ?? newStanding(assessment.machineClass);
    const judgement = judge(assessment, limits);
    if (assessment.revision > 0) {
      return {
        health: this.#show({ assessment, judgement, limits, standing: before }),
        alarms: [],
        state: null,
      };
    }
    const { standing: kept, alarms } = withoutOrphans(before, assessment, limits);
    const standing = after(kept, assessment, judgement, limits);
    const health = this.#show({ assessment, judgement, limits, standing });
    const situation: Situation = { assessment, judgement, limits, standing, state: health.state };
    for (const name of CONDITIONS) {
      const event = transition(name, kept.conditions[name], situation);
      if (event) alarms.push(event);
    }
    this.#standings.set(assessment.machine, standing);
    this.#keepAlarms(assessment.machine, standingAfter(this.#alarmsOf(assessment.machine), alarms));
    return { health, alarms, state: this.#stateWrite(health, before, standing) };
  }

  /**
   * Takes back the state an earlier run committed; until the machine speaks, `current` shows it as of the window that
   * changed it last. Bytes of another form are passed over: the machine starts as unknown.
   */
  restore(machine: string, value: Uint8Array): void {
    const stored = decodeStanding(value);
    if (stored === null) return;
    const { standing, startMs, endMs, advice, alarms } = stored;
    const state = stateOf(standing);
    this.#standings.set(machine, standing);
    this.#keepAlarms(machine, alarms);
    this.#current.set(machine, {
      machineClass: standing.machineClass,
      machine,
      startMs,
      endMs,
      state,
      healthIndex: Number.NaN,
      // That of a machine that learns tells how far it was when it began.
      advice: state === 'commissioning' ? '' : advice,
    });
  }

  /** Machines by name, each as of its newest window. */
  current(): MachineHealth[] {
    return [...this.#current.values()].sort((a, b) => (a.machine < b.machine ? -1 : 1));
  }

  /** Alarms that stand on a machine, each as it was raised last; those that a restart found included. */
  standingAlarms(machine: string): AlarmEvent[] {
    const machineClass = this.#standings.get(machine)?.machineClass ?? '';
    return this.#alarmsOf(machine).map((alarm) => ({
      machineClass,
      machine,
      transition: 'raised',
      ...alarm,
    }));
  }

  /** Limit of the anomaly p-value per window, 0 < p <= 0.05; null for a class that has no detector. */
  pLimit(machineClass: string): number | null {
    const limits = this.#limits.get(machineClass);
    return limits?.judgesAnomaly ? limits.pLimit : null;
  }

  #alarmsOf(machine: string): readonly StandingAlarm[] {
    return this.#alarms.get(machine) ?? [];
  }

  #keepAlarms(machine: string, alarms: readonly StandingAlarm[]): void {
    if (alarms.length === 0) this.#alarms.delete(machine);
    else this.#alarms.set(machine, alarms);
  }

  /** An alarm comes and goes with the level of its condition, so that it needs no write of its own. */
  #stateWrite(health: MachineHealth, before: Standing, standing: Standing): StateWrite | null {
    if (standingKey(before) === standingKey(standing)) return null;
    const { machine, startMs, endMs, advice } = health;
    const stored: StoredStanding = { standing, startMs, endMs, advice, alarms: this.#alarmsOf(machine) };
    return { machine, key: STATE_KEY, value: encodeStanding(stored) };
  }

  #show(facts: Omit<Situation, 'state'>): MachineHealth {
    const { assessment, judgement, standing } = facts;
    const { machineClass, machine, startMs, endMs } = assessment;
    const state = stateOf(standing);
    const advice = adviceFor({ ...facts, state });
    const health = {
      machineClass,
      machine,
      startMs,
      endMs,
      state,
      healthIndex: judgement.healthIndex,
      advice,
    };
    const shown = this.#current.get(machine);
    if (shown === undefined || shown.endMs <= endMs) this.#current.set(machine, health);
    return health;
  }
}

/** A condition that the configuration no longer judges would stand for ever: it is ended and told. */
function withoutOrphans(
  standing: Standing,
  assessment: Assessment,
  limits: ClassLimits,
): { standing: Standing; alarms: AlarmEvent[] } {
  const { machineClass } = assessment;
  const moved = standing.machineClass !== machineClass;
  const orphaned: Readonly<Record<ConditionName, boolean>> = {
    anomaly: moved || !limits.judgesAnomaly,
    rul: moved || !limits.judgesRul,
    sensor: moved,
  };
  const why = moved
    ? `the machine now belongs to class ${machineClass}`
    : 'the configuration no longer judges it';
  const names = CONDITIONS.filter((name) => orphaned[name]);
  const alarms = names.flatMap((name) => withdrawal(name, standing, assessment, why) ?? []);
  if (moved) return { standing: newStanding(machineClass), alarms };
  const ended = Object.fromEntries(names.map((name) => [name, INACTIVE]));
  return { standing: { ...standing, conditions: { ...standing.conditions, ...ended } }, alarms };
}

/** The standing with the votes of this window. */
function after(
  standing: Standing,
  { scoreState, reason, startMs }: Assessment,
  { votes }: Judgement,
  { health }: ClassLimits,
): Standing {
  const learning = scoreState === 'commissioning';
  const voted = (name: ConditionName) => {
    const condition = standing.conditions[name];
    const vote = votes[name];
    return vote === null ? condition : withVote(condition, vote, startMs, health);
  };
  // Votes against a baseline that is being replaced say nothing about the next one; an alarm it raised stays.
  const anomaly = learning ? { ...standing.conditions.anomaly, votes: [] } : voted('anomaly');
  const conditions = { anomaly, rul: voted('rul'), sensor: voted('sensor') };
  if (learning) return { ...standing, conditions, base: 'commissioning', unjudged: 0 };
  if (votes.anomaly !== null || votes.rul !== null) {
    return { ...standing, conditions, base: 'healthy', unjudged: 0 };
  }
  if (reason === 'not_running') return { ...standing, conditions };
  const unjudged = Math.min(health.raiseOutOf, standing.unjudged + 1);
  return {
    ...standing,
    conditions,
    unjudged,
    base: unjudged === health.raiseOutOf ? 'unknown' : standing.base,
  };
}
