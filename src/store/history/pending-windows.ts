/** Sections of the log in, what of them still has to go into blocks out: the log in memory. */

import type { LogSection } from './log-table.ts';

interface Pending {
  readonly section: LogSection;
  readonly logId: number;
}

interface LogUse {
  readonly bytes: number;
  /** Sections that no block holds yet. */
  live: number;
}

/** Windows that no block holds yet. A window with the same start replaces the one before. */
export class PendingWindows {
  /** Bytes of the log. */
  bytes = 0;
  readonly #machines = new Map<number, Map<number, Pending>>();
  readonly #finals = new Map<number, number>();
  readonly #logs = new Map<number, LogUse>();

  /**
   * Takes one row of the log.
   * @param markOf what each machine is folded until; -Infinity where it is not
   * @returns windows whose time is in blocks already
   */
  add(logId: number, bytes: number, sections: readonly LogSection[], markOf: (id: number) => number): number {
    let past = 0;
    const use: LogUse = { bytes, live: 0 };
    this.#logs.set(logId, use);
    this.bytes += bytes;
    for (const section of sections) {
      const { machineId, startMs, finalMs } = section;
      this.#finals.set(machineId, Math.max(finalMs, this.finalMs(machineId)));
      if (startMs < markOf(machineId)) {
        past += 1;
        continue;
      }
      const windows = this.#windows(machineId);
      const replaced = windows.get(startMs);
      if (replaced !== undefined) this.#logs.get(replaced.logId)!.live -= 1;
      windows.set(startMs, { section, logId });
      use.live += 1;
    }
    return past;
  }

  /** Windows of a machine that end at or before this never come again. */
  finalMs(machineId: number): number {
    return this.#finals.get(machineId) ?? Number.NEGATIVE_INFINITY;
  }

  /** Start of the oldest window of a machine; Infinity where there is none. */
  oldestMs(machineId: number): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const startMs of this.#machines.get(machineId)?.keys() ?? []) oldest = Math.min(oldest, startMs);
    return oldest;
  }

  /** Windows that start before `endMs`, ascending. */
  before(machineId: number, endMs: number): LogSection[] {
    const windows = this.#machines.get(machineId) ?? new Map<number, Pending>();
    return [...windows.values()]
      .map(({ section }) => section)
      .filter(({ startMs }) => startMs < endMs)
      .sort((a, b) => a.startMs - b.startMs);
  }

  /** Rows of the log that nothing needs once the machine's windows before `endMs` are in blocks. */
  deadAfter(machineId: number, endMs: number): number[] {
    const gone = new Map<number, number>();
    for (const [startMs, { logId }] of this.#machines.get(machineId) ?? [])
      if (startMs < endMs) gone.set(logId, (gone.get(logId) ?? 0) + 1);
    return [...this.#logs].filter(([id, { live }]) => live === (gone.get(id) ?? 0)).map(([id]) => id);
  }

  /** The machine's windows before `endMs` are in blocks, and the rows `deadAfter` named are deleted. */
  settled(machineId: number, endMs: number, dead: readonly number[]): void {
    const windows = this.#windows(machineId);
    for (const [startMs, { logId }] of windows) {
      if (startMs >= endMs) continue;
      this.#logs.get(logId)!.live -= 1;
      windows.delete(startMs);
    }
    for (const id of dead) {
      this.bytes -= this.#logs.get(id)?.bytes ?? 0;
      this.#logs.delete(id);
    }
  }

  #windows(machineId: number): Map<number, Pending> {
    let windows = this.#machines.get(machineId);
    if (windows === undefined) {
      windows = new Map();
      this.#machines.set(machineId, windows);
    }
    return windows;
  }
}
