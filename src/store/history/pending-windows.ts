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
  /** Bytes of the log's rows that are needed. */
  bytes = 0;
  readonly #machines = new Map<number, Map<number, Pending>>();
  readonly #finals = new Map<number, number>();
  readonly #logs = new Map<number, LogUse>();
  readonly #free = new Set<number>();

  /**
   * Takes one row of the log.
   * @param markOf what each machine is folded until; -Infinity where it is not
   * @returns windows whose time is in blocks already
   */
  add(logId: number, bytes: number, sections: readonly LogSection[], markOf: (id: number) => number): number {
    let past = 0;
    // Held while it is taken apart: a window and its revision may stand in one row.
    const use: LogUse = { bytes, live: 1 };
    this.#logs.set(logId, use);
    this.bytes += bytes;
    this.#free.delete(logId);
    for (const section of sections) {
      const { machineId, startMs, finalMs } = section;
      this.#finals.set(machineId, Math.max(finalMs, this.finalMs(machineId)));
      if (startMs < markOf(machineId)) {
        past += 1;
        continue;
      }
      const windows = this.#windows(machineId);
      const replaced = windows.get(startMs);
      if (replaced !== undefined) this.#release(replaced.logId);
      windows.set(startMs, { section, logId });
      use.live += 1;
    }
    this.#release(logId);
    return past;
  }

  /** A row of the log that nothing needs any more and that may be written over; undefined where there is none. */
  freeRow(): number | undefined {
    for (const id of this.#free) return id;
    return undefined;
  }

  /** A row of the log that holds nothing of use. */
  free(logId: number): void {
    this.#free.add(logId);
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

  /** The machine's windows before `endMs` are in blocks. */
  settled(machineId: number, endMs: number): void {
    const windows = this.#windows(machineId);
    for (const [startMs, { logId }] of windows) {
      if (startMs >= endMs) continue;
      windows.delete(startMs);
      this.#release(logId);
    }
  }

  #release(logId: number): void {
    const use = this.#logs.get(logId)!;
    use.live -= 1;
    if (use.live === 0) this.#forget(logId);
  }

  #forget(logId: number): void {
    this.bytes -= this.#logs.get(logId)!.bytes;
    this.#logs.delete(logId);
    this.#free.add(logId);
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
