/**
 * A damaged store file in quarantine in, an alarm of the gateway about itself out: raised with the time of the damage,
 * so that raising it again after a restart is the same point, and cleared once the folder is taken away or a week old.
 */

import type { AlarmEvent } from '../domain/health.ts';

export interface Damage {
  readonly folder: string;
  readonly atMs: number;
  readonly reason: string;
}

export class DamageAlarm {
  readonly #gateway: string;
  #raised: Damage | null = null;

  /** @param gateway id of the gateway, which stands for the machine */
  constructor(gateway: string) {
    this.#gateway = gateway;
  }

  /** What changed since the last look. */
  look(damage: Damage | null, nowMs: number): AlarmEvent[] {
    const before = this.#raised;
    if (damage?.atMs === before?.atMs) return [];
    this.#raised = damage;
    if (damage !== null) return [this.#event('raised', damage.atMs, damageText(damage))];
    return [this.#event('cleared', nowMs, 'the damaged database was taken away, or is a week old')];
  }

  #event(transition: AlarmEvent['transition'], timeMs: number, message: string): AlarmEvent {
    const about = { machineClass: 'gateway', machine: this.#gateway, condition: 'store' };
    return { ...about, transition, timeMs, severity: 'warning', message };
  }
}

/** One line for a person. */
export function damageText({ folder, reason }: Damage): string {
  return `the database was damaged (${reason}) and moved to ${folder}; look into it, then remove the folder`;
}
