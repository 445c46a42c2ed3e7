/** Machine ids enter, their baselines leave: new ones, or as an earlier run left them. */

import type { MachineClassConfig } from '../config/schema.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Baseline, LEARNED_KEY } from './baseline.ts';

export class MachineBaselines {
  readonly #logger: Logger;
  readonly #byMachine = new Map<string, Baseline>();
  /** State of machines that have not spoken since the start: their class is not known yet. */
  readonly #restored = new Map<string, Map<string, Uint8Array>>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Keeps one key of a machine's state until the machine speaks; keys of other owners are ignored. */
  restore(machine: string, key: string, value: Uint8Array): void {
    if (!key.startsWith('baseline.')) return;
    const keys = this.#restored.get(machine) ?? new Map<string, Uint8Array>();
    this.#restored.set(machine, keys.set(key, value));
  }

  /**
   * 0..1 as of the machine's last window. A learned baseline that no window has asked for since the start is not
   * unpacked to answer this: of 10,000 machines that would take a second.
   */
  progress(machine: string, config: MachineClassConfig): number {
    if (this.#restored.get(machine)?.has(LEARNED_KEY)) return 1;
    return this.of(machine, config).progress;
  }

  of(machine: string, { baseline: config, window }: MachineClassConfig): Baseline {
    const known = this.#byMachine.get(machine);
    if (known) return known;
    const baseline = new Baseline({ machine, config, window });
    for (const [key, value] of this.#restored.get(machine) ?? []) {
      if (!baseline.restore(key, value)) {
        this.#logger.warn({ machine, key }, 'stored baseline state does not fit: it is learned again');
      }
    }
    this.#restored.delete(machine);
    this.#byMachine.set(machine, baseline);
    return baseline;
  }
}
