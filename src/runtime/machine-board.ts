/**
 * The last word on each machine, kept in memory for the status page: results of the path enter, a snapshot leaves.
 * A machine that has not spoken since the start is known by what an earlier run made durable.
 */

import type { Assessment } from '../domain/assessment.ts';
import { type FeatureVector, fullFeatureId } from '../domain/feature-vector.ts';
import type { AlarmEvent, MachineHealth } from '../domain/health.ts';
import type { RestoredWindow } from '../domain/restored-window.ts';

export interface BoardEntry {
  readonly machine: string;
  readonly machineClass: string;
  readonly lastWindow: FeatureVector | RestoredWindow;
  /** Null until the machine speaks. */
  readonly vector: FeatureVector | null;
  readonly assessment: Assessment | null;
  readonly health: MachineHealth | null;
}

/** Alarm transitions kept for the page; older ones are in the database. */
const RECENT_ALARMS = 100;

/** One entry per machine ever seen; bounded by `limits.maxChannels`. */
export class MachineBoard {
  readonly #restored = new Map<string, { window: RestoredWindow; health: MachineHealth | null }>();
  readonly #vectors = new Map<string, FeatureVector>();
  readonly #judged = new Map<string, { assessment: Assessment; health: MachineHealth }>();
  readonly #alarms: AlarmEvent[] = [];
  readonly #changed = new Set<string>();

  /** What an earlier run left of a machine: shown until its first window of this one. */
  restored(window: RestoredWindow, health: MachineHealth | null): void {
    this.#restored.set(window.machine, { window, health });
    this.#changed.add(window.machine);
  }

  vector(vector: FeatureVector): void {
    this.#restored.delete(vector.machine);
    this.#vectors.set(vector.machine, vector);
    this.#changed.add(vector.machine);
  }

  judged(assessment: Assessment, health: MachineHealth, alarms: readonly AlarmEvent[]): void {
    this.#judged.set(assessment.machine, { assessment, health });
    this.note(alarms);
  }

  /** Alarms that come of no window of this run: the gateway's own, and those that stood at the start. */
  note(alarms: readonly AlarmEvent[]): void {
    this.#alarms.push(...alarms);
    if (this.#alarms.length > RECENT_ALARMS) this.#alarms.splice(0, this.#alarms.length - RECENT_ALARMS);
  }

  /** Machines with a word since the last call, in any order. */
  takeChanged(): BoardEntry[] {
    const entries = [...this.#changed].map((machine) => this.#entry(machine));
    this.#changed.clear();
    return entries;
  }

  #entry(machine: string): BoardEntry {
    const restored = this.#restored.get(machine);
    if (restored !== undefined) {
      const { window, health } = restored;
      const { machineClass } = window;
      return { machine, machineClass, lastWindow: window, vector: null, assessment: null, health };
    }
    const vector = this.#vectors.get(machine)!;
    const judged = this.#judged.get(machine);
    return {
      machine,
      machineClass: vector.machineClass,
      lastWindow: vector,
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
