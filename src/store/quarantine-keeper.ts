/** The folder of damaged files in, its bound kept and what a person should look at out. */

import type { MetricSample, MetricSource } from '../telemetry/metrics.ts';
import { pruneQuarantine, quarantineBytes, type StandingDamage, standingDamage } from './quarantine.ts';

const LOOK_EVERY_MS = 60_000;

export class QuarantineKeeper implements MetricSource {
  /** The newest damage while it is younger than a week and its folder is there. */
  damage: StandingDamage | null = null;
  readonly #dataDir: string;
  readonly #maxBytes: number;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #bytes = 0;
  #dropped = 0;

  constructor(dataDir: string, maxBytes: number) {
    this.#dataDir = dataDir;
    this.#maxBytes = maxBytes;
  }

  /** Looks at the folder when it is time; a person may have emptied it. */
  look(nowMs: number): void {
    // A clock that was set back must not stop it.
    if (Math.abs(nowMs - this.#lookedMs) < LOOK_EVERY_MS) return;
    this.#lookedMs = nowMs;
    this.damage = standingDamage(this.#dataDir, nowMs);
    this.#bytes = quarantineBytes(this.#dataDir);
  }

  /** Removes the oldest files beyond the bound; the newest always stays. */
  prune(): void {
    this.#dropped += pruneQuarantine(this.#dataDir, this.#maxBytes);
    this.#bytes = quarantineBytes(this.#dataDir);
  }

  metrics(): MetricSample[] {
    return [
      { name: 'millwright_store_damaged', value: this.damage === null ? 0 : 1 },
      { name: 'millwright_store_quarantine_bytes', value: this.#bytes },
      { name: 'millwright_store_quarantine_dropped_total', value: this.#dropped },
    ];
  }
}
