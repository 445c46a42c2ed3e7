/** Changed machines enter once a second, all of them by name leave when somebody asks. */

import type { MachineStatus } from '../domain/gateway-status.ts';

/** As many entries as the pipeline's board has: bounded by `limits.maxChannels`. */
export class MachineList {
  readonly #byName = new Map<string, MachineStatus>();
  #sorted: readonly MachineStatus[] | null = [];

  update(changed: readonly MachineStatus[]): void {
    for (const status of changed) this.#byName.set(status.machine, status);
    if (changed.length > 0) this.#sorted = null;
  }

  /** The same array until something changes. */
  sorted(): readonly MachineStatus[] {
    this.#sorted ??= [...this.#byName.values()].sort((a, b) => (a.machine < b.machine ? -1 : 1));
    return this.#sorted;
  }
}
