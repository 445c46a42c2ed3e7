/** A directory in, how much it may still take out; and a ballast file that makes room when a disk is truly full. */

import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** SQLite cannot even delete on a full disk: this much is given back so that it can. */
export const BALLAST_BYTES = 1024 * 1024;

/** Bytes an unprivileged process may still write on the file system of `directory`; Infinity where it cannot tell. */
export function freeBytes(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch {
    return Infinity;
  }
}

/** The ballast file of one data directory. */
export class Ballast {
  readonly #directory: string;
  readonly #path: string;
  #held: boolean;

  constructor(directory: string) {
    this.#directory = directory;
    this.#path = join(directory, 'ballast');
    this.#held = existsSync(this.#path);
  }

  /** True where not even the ballast would fit: a refused write was the disk's doing. */
  isDiskFull(): boolean {
    return freeBytes(this.#directory) < BALLAST_BYTES;
  }

  get held(): boolean {
    return this.#held;
  }

  /** Writes the file if there is room for it and `spareBytes` more. */
  take(spareBytes: number): void {
    if (this.#held || freeBytes(this.#directory) < BALLAST_BYTES + spareBytes) return;
    let file: number | null = null;
    try {
      file = openSync(this.#path, 'w', 0o600);
      // Written, not only sized: a sparse file would hold no blocks.
      writeSync(file, Buffer.alloc(BALLAST_BYTES, 0x4d));
      fsyncSync(file);
      this.#held = true;
    } catch {
      rmSync(this.#path, { force: true });
    } finally {
      if (file !== null) closeSync(file);
    }
  }

  /** Gives the room back. @returns false where there was nothing to give */
  drop(): boolean {
    if (!this.#held) return false;
    try {
      rmSync(this.#path, { force: true });
      this.#held = false;
      return true;
    } catch {
      return false;
    }
  }
}
