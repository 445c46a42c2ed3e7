/**
 * A database of an older version in, one of the current version out, and a copy of the file as it was before beside it.
 * A kill at any moment leaves the old file or the new one, and a copy that is whole under its name or has none.
 */

import {
  closeSync,
  copyFileSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describeError, GatewayError } from '../errors.ts';
import { freeBytes } from './disk-space.ts';
import { syncDirectory } from './quarantine.ts';

/** Copies of earlier versions that stay: the way back by two upgrades. */
const KEPT_COPIES = 2;
const PARTIAL = '.partial';

/**
 * Copies a database file that no connection holds, durably.
 *
 * @returns path of the copy
 * @throws GatewayError MW_STORE_OPEN where it has no room: nothing was changed
 */
export function copyBeforeMigration(path: string, version: number): string {
  const copy = `${path}.v${version}`;
  const { size } = statSync(path);
  const free = freeBytes(dirname(path));
  if (free < size) throw noRoom(path, version, `${free} bytes are free, ${size} are needed`);
  try {
    copyDatabase(path, copy);
  } catch (error) {
    throw noRoom(path, version, describeError(error), error);
  }
  return copy;
}

function noRoom(path: string, version: number, why: string, cause?: unknown): GatewayError {
  return new GatewayError(
    'MW_STORE_OPEN',
    `the store has to be brought from version ${version} to the current one, and the copy taken before failed: ${why}`,
    {
      cause,
      details: { path },
      hint: 'make room on the disk of the data directory and start again; the store was not touched',
    },
  );
}

/** Copies a file: whole under its name, or absent. */
export function copyDatabase(from: string, to: string): void {
  const partial = `${to}${PARTIAL}`;
  try {
    copyFileSync(from, partial);
    const file = openSync(partial, 'r+');
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(partial, to);
    syncDirectory(dirname(to));
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

/** Removes copies of the oldest versions, and what a kill left of one that was not finished. Best effort. */
export function removeOldCopies(path: string): void {
  const directory = dirname(path);
  const prefix = `${basename(path)}.v`;
  const names = readdirSync(directory).filter((name) => name.startsWith(prefix));
  const unfinished = names.filter((name) => name.endsWith(PARTIAL));
  const byVersion = names
    .filter((name) => /^\d+$/.test(name.slice(prefix.length)))
    .sort((a, b) => Number(a.slice(prefix.length)) - Number(b.slice(prefix.length)));
  for (const name of [...unfinished, ...byVersion.slice(0, -KEPT_COPIES)])
    rmSync(join(directory, name), { force: true });
}
