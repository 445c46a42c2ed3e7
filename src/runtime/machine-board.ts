/** The last word on each machine, kept in memory for the status page: results of the path enter, a snapshot leaves. */

import type { Assessment } from '../domain/assessment.ts';
import { type FeatureVector, fullFeatureId } from '../domain/feature-vector.ts';
import type { AlarmEvent, MachineHealth } from '../domain/health.ts';

export interface BoardEntry {
  readonly machine: string;
  readonly machineClass: string;
  readonly vector: FeatureVector;
  readonly assessment: Assessment | null;
  readonly health: MachineHealth | null;
}

/** Alarm transitions kept for the page; older ones are in the database. */
const RECENT_ALARMS = 100;

/** One entry per machine ever seen since the start; bounded by `limits.maxChannels`. */
export class MachineBoard {
  readonly #vectors = new Map<string, FeatureVector>();
  readonly #judged = new Map<string, { assessment: Assessment; health: MachineHealth }>();
  readonly #alarms: AlarmEvent[] = [];
  readonly #changed = new Set<string>();

  vector(vector: FeatureVector): void {
    this.#vectors.set(vector.machine, vector);
    this.#changed.add(vector.machine);
  }

  judged(assessment: Assessment, health: MachineHealth, alarms: readonly AlarmEvent[]): void {
    this.#judged.set(assessment.machine, { assessment, health });
    this.#alarms.push(...alarms);
    if (this.#alarms.length > RECENT_ALARMS) this.#alarms.splice(0, this.#alarms.length - RECENT_ALARMS);
  }

  /** Alarms that are about no machine. */
  note(alarms: readonly AlarmEvent[]): void {
    this.#alarms.push(...alarms);
  }

  /** Machines with a word since the last call, in any order. */
  takeChanged(): BoardEntry[] {
    const entries = [...this.#changed].map((machine) => this.#entry(this.#vectors.get(machine)!));
    this.#changed.clear();
    return entries;
  }

  #entry(vector: FeatureVector): BoardEntry {
    const { machine, machineClass } = vector;
    const judged = this.#judged.get(machine);
    return {
      machine,
      machineClass,
      vector,
      assessment: judged?.assessment ?? null,
      health: judged?.health ?? null,
    };
  }

  /** Newest last, at most 100. */
  recentAlarms(): readonly AlarmEvent[] {
    return this.#alarms;
  }
}

/** The defined features of a vector as rows for people. */
export function featureRows(vector: FeatureVector): { id: string; unit: string; value: number }[] {
  const rows: { id: string; unit: string; value: number }[] = [];
  for (const group of vector.groups) {
    group.specs.forEach((spec, i) => {
      const value = group.values[i];
      if (value !== undefined && Number.isFinite(value)) {
        rows.push({ id: fullFeatureId(group.channel, spec.id), unit: spec.unit, value });
      }
    });
  }
  return rows;
}
