/** A system clock for one process that can be set while it runs (libfaketime); the monotonic clock stays real. */

import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where libfaketime for programs with threads is, or null. */
export function findLibfaketime(): string | null {
  const folders = ['/usr/lib/faketime', '/usr/local/lib/faketime'];
  for (const root of ['/usr/lib', '/lib'])
    if (existsSync(root))
      folders.push(
        ...readdirSync(root)
          .filter((name) => name.includes('-linux-'))
          .map((name) => join(root, name, 'faketime')),
      );
  for (const folder of folders) {
    const library = join(folder, 'libfaketimeMT.so.1');
    if (existsSync(library)) return library;
  }
  return null;
}

/** One clear line for tests that skip. */
export const NO_LIBFAKETIME =
  'libfaketime not found (apt-get install faketime): tests with a stepping system clock are skipped';

export interface FakeTime {
  /** For the process whose clock it is. */
  readonly env: NodeJS.ProcessEnv;
  /** From now on the clock is off by this much, ms (a whole number of seconds). */
  setError(errorMs: number): void;
}

/** A killed process leaves its lock behind, perhaps held: the next one with its id would wait for ever. */
function removeLocksOfTheDead(): void {
  if (!existsSync('/dev/shm')) return;
  for (const name of readdirSync('/dev/shm')) {
    const pid = /faketime_(?:sem|shm)_(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join('/dev/shm', name), { force: true });
  }
}

/** @param file in a directory of the test; holds the error */
export function fakeTime(file: string): FakeTime {
  removeLocksOfTheDead();
  const setError = (errorMs: number) => {
    // Renamed into place: the library reads the file at every call.
    writeFileSync(`${file}.new`, `${errorMs < 0 ? '-' : '+'}${Math.abs(Math.round(errorMs / 1000))}\n`);
    renameSync(`${file}.new`, file);
  };
  setError(0);
  return {
    env: {
      LD_PRELOAD: findLibfaketime()!,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
    },
    setError,
  };
}
