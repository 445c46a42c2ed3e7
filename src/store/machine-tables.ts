/** Channels, closed windows and machine states in, the same out at the next start. */

import type { ChannelRef } from '../domain/machine.ts';
import type { StateWrite } from '../domain/state-write.ts';
import type { WindowResult } from '../domain/window-result.ts';
import type { Connection } from './database.ts';
import { sealBytes, unsealBytes } from './seal.ts';
import { readTwins, TwinTable } from './twin-table.ts';

export interface MachineState {
  readonly machine: string;
  readonly key: string;
  readonly value: Uint8Array;
}

interface StateRow {
  readonly machine: string;
  readonly key: string;
  readonly seal: unknown;
}

/** Key under which `state` mirrors `closed_until`; stages can't use it, as theirs hold no NUL. */
const MIRROR_KEY = 'closed_until\0';

/** NUL separates what may itself hold slashes. */
function stateTag(machine: string, key: string): string {
  return `state\0${machine}\0${key}`;
}

/** Content of a `state` row, or null where it is not what was written. */
export function unsealState(row: StateRow): MachineState | null {
  const value = unsealBytes(stateTag(row.machine, row.key), row.seal);
  return value === null ? null : { machine: row.machine, key: row.key, value: new Uint8Array(value) };
}

/**
 * The ends of windows among the states. Without its end a machine would close windows again from what is left of
 * their samples, and send the wrong result over the right one: so the ends are kept on two pages.
 */
export function mirroredEnds(states: readonly (MachineState | null)[]): Map<string, number> {
  const ends = new Map<string, number>();
  for (const state of states) {
    if (state?.key !== MIRROR_KEY || state.value.length !== 8) continue;
    ends.set(state.machine, new DataView(state.value.buffer, state.value.byteOffset).getFloat64(0, true));
  }
  return ends;
}

/** Channels of any connection, by index. */
export function readChannels(db: Connection): ChannelRef[] {
  return [...readTwins(db, 'channel').values.values()] as ChannelRef[];
}

/** The tables `channel`, `closed_until` and `state`. Writes run inside the caller's transaction. */
export class MachineTables {
  readonly #channels: TwinTable;
  readonly #closedUntil: TwinTable;
  readonly #putState;
  readonly #deleteState;
  readonly #states;
  readonly #mirrors;

  constructor(db: Connection) {
    this.#channels = new TwinTable(db, 'channel');
    this.#closedUntil = new TwinTable(db, 'closed_until');
    this.#putState = db.prepare('INSERT OR REPLACE INTO state (machine, key, seal) VALUES (?, ?, ?)');
    this.#deleteState = db.prepare('DELETE FROM state WHERE machine = ? AND key = ?');
    this.#mirrors = db.prepare('SELECT machine, key, seal FROM state WHERE key = ?');
    // Pages through the primary key, so that no cursor stays open while the caller works.
    this.#states = db.prepare(
      'SELECT machine, key, seal FROM state WHERE (machine, key) > (?, ?) ORDER BY machine, key LIMIT 64',
    );
  }

  writeChannels(channels: readonly ChannelRef[]): void {
    for (const { index, machineClass, machine, channel } of channels) {
      this.#channels.write(index, { index, machineClass, machine, channel });
    }
  }

  writeResult(result: WindowResult): void {
    // Points that belong to no window come without a machine.
    if (result.machine !== '') this.writeClosedUntil(result.machine, result.closedUntilMs);
    for (const write of result.stateWrites) this.writeState(write);
  }

  writeClosedUntil(machine: string, endMs: number): void {
    this.#closedUntil.write(machine, endMs);
    // The machine's states are on another page, and one that is written anyway.
    const value = new Uint8Array(Float64Array.of(endMs).buffer);
    this.writeState({ machine, key: MIRROR_KEY, value });
  }

  writeState({ machine, key, value }: StateWrite): void {
    if (value === null) this.#deleteState.run(machine, key);
    else this.#putState.run(machine, key, sealBytes(stateTag(machine, key), value));
  }

  /** Channels by index, ascending; how many rows were made whole, and how many could not be. */
  loadChannels(): { channels: ChannelRef[]; repaired: number; lost: number } {
    const { values, damaged, lost } = this.#channels.loadAndRepair();
    const channels = ([...values.values()] as ChannelRef[]).sort((a, b) => a.index - b.index);
    return { channels, repaired: damaged.length - lost, lost };
  }

  /** End of the last stored window of each machine, from the table or its mirror in `state`. */
  loadClosedUntil(): { closedUntil: Map<string, number>; repaired: number; lost: number } {
    const { values, damaged, lost } = this.#closedUntil.loadAndRepair();
    const closedUntil = values as Map<string, number>;
    const mirrors = (this.#mirrors.all(MIRROR_KEY) as StateRow[]).map(unsealState);
    for (const [machine, endMs] of mirroredEnds(mirrors)) {
      closedUntil.set(machine, Math.max(endMs, closedUntil.get(machine) ?? endMs));
    }
    return { closedUntil, repaired: damaged.length - lost, lost };
  }

  /** Every state in key order; rows that are not what was written go to `onBad` instead. */
  *states(onBad: (row: StateRow) => void): Generator<MachineState> {
    let [machine, key] = ['', ''];
    for (;;) {
      const rows = this.#states.all(machine, key) as StateRow[];
      for (const row of rows) {
        const state = unsealState(row);
        if (state === null) onBad(row);
        else if (state.key !== MIRROR_KEY) yield state;
      }
      const last = rows.at(-1);
      if (last === undefined) return;
      [machine, key] = [last.machine, last.key];
    }
  }
}
