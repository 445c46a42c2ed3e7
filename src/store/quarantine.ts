/** Files that cannot be trusted in, a folder that keeps them for a person out; and the note that asks for a check. */

import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { describeError } from '../errors.ts';
import { makeDirectory } from './make-directory.ts';
import { APPLICATION_ID } from './schema.ts';

export const DATABASE_FILE = 'millwright.db';
const COMPANIONS = ['', '-journal', '-wal', '-shm'].map((suffix) => DATABASE_FILE + suffix);
/** Older ones go when a new one comes. */
const KEPT_FOLDERS = 4;
/** After a week damage is history. */
const STANDING_MS = 7 * 86_400_000;
const REASON_FILE = 'reason.txt';
const HEADER = Buffer.from('SQLite format 3\0', 'latin1');
const DONE_FILE = 'salvaged';
const SUSPECT_FILE = 'suspect.json';

/**
 * Why the files cannot even be opened, or null where SQLite may try. Call only while no connection in this process
 * holds the file: closing it here would drop SQLite's locks.
 */
export function unreadableReason(dataDir: string): string | null {
  const path = join(dataDir, DATABASE_FILE);
  if (!existsSync(path)) {
    const wal = join(dataDir, `${DATABASE_FILE}-wal`);
    return existsSync(wal) && statSync(wal).size > 0 ? 'write-ahead log without its database' : null;
  }
  if (statSync(path).size < 512) return 'shorter than a database header';
  const head = Buffer.alloc(HEADER.length);
  const file = openSync(path, 'r');
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  return head.equals(HEADER) ? null : 'not a database header';
}

/** True if the header says that the file is ours; not yet so before the log was first folded back. */
export function hasOurHeader(path: string): boolean {
  const id = Buffer.alloc(4);
  const file = openSync(path, 'r');
  try {
    readSync(file, id, 0, 4, 68);
  } finally {
    closeSync(file);
  }
  return id.readUInt32BE(0) === APPLICATION_ID;
}

/**
 * Moves the database with its companions into `quarantine/<time>` and returns that folder. On a full disk older folders
 * go first: what is not salvaged by now gives way to what is.
 */
export function quarantineFiles(dataDir: string, nowMs: number, reason: string): string {
  const folder = newFolder(dataDir, new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-'));
  try {
    writeFileSync(join(folder, REASON_FILE), `${reason}\n`);
  } catch {
    // On a full disk the log alone has the reason.
  }
  for (const name of COMPANIONS) {
    if (existsSync(join(dataDir, name))) renameSync(join(dataDir, name), join(folder, name));
  }
  syncDirectory(folder);
  syncDirectory(dataDir);
  return folder;
}

function newFolder(dataDir: string, stamp: string): string {
  const root = join(dataDir, 'quarantine');
  for (;;) {
    let folder = join(root, stamp);
    for (let n = 2; existsSync(folder); n += 1) folder = join(root, `${stamp}-${n}`);
    try {
      makeDirectory(folder, 0o700);
      return folder;
    } catch (error) {
      if (!dropOldest(dataDir, 0)) throw error;
    }
  }
}

/** Removes the oldest folder unless no more than `kept` are there. */
function dropOldest(dataDir: string, kept: number): boolean {
  const folders = quarantineFolders(dataDir);
  if (folders.length <= kept) return false;
  rmSync(folders[0]!, { recursive: true, force: true });
  return true;
}

/**
 * Removes the oldest folders until at most four and `maxBytes` are left; the newest always stays.
 *
 * @returns how many went
 */
export function pruneQuarantine(dataDir: string, maxBytes: number): number {
  let dropped = 0;
  while (quarantineFolders(dataDir).length > KEPT_FOLDERS || quarantineBytes(dataDir) > maxBytes) {
    if (!dropOldest(dataDir, 1)) return dropped;
    dropped += 1;
  }
  return dropped;
}

/** Bytes of all folders. */
export function quarantineBytes(dataDir: string): number {
  return quarantineFolders(dataDir).reduce(
    (sum, folder) => readdirSync(folder).reduce((total, name) => total + sizeOf(join(folder, name)), sum),
    0,
  );
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Oldest first. */
export function quarantineFolders(dataDir: string): string[] {
  const root = join(dataDir, 'quarantine');
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .sort()
    .map((name) => join(root, name));
}

/** Damage that nobody has looked at yet. */
export interface StandingDamage {
  readonly folder: string;
  /** When the files were moved aside, ms. */
  readonly atMs: number;
  readonly reason: string;
}

/** The newest folder, while it is younger than a week and has not been taken away; null otherwise. */
export function standingDamage(dataDir: string, nowMs: number): StandingDamage | null {
  const folder = quarantineFolders(dataDir).at(-1);
  if (folder === undefined) return null;
  const [, day, hour, minute, second, ms] =
    /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)-(\d{3})Z/.exec(basename(folder)) ?? [];
  const atMs = Date.parse(`${day}T${hour}:${minute}:${second}.${ms}Z`);
  if (!(nowMs - atMs < STANDING_MS)) return null;
  return { folder, atMs, reason: reasonIn(folder) };
}

function reasonIn(folder: string): string {
  try {
    return readFileSync(join(folder, REASON_FILE), 'utf8').trim();
  } catch {
    return 'not noted';
  }
}

/** The newest folder whose rows have not all been brought back, or null. */
export function unsalvagedFolder(dataDir: string): string | null {
  const waiting = quarantineFolders(dataDir).filter(
    (folder) => !existsSync(join(folder, DONE_FILE)) && existsSync(join(folder, DATABASE_FILE)),
  );
  return waiting.at(-1) ?? null;
}

/** Notes that nothing more will be taken from the folder. */
export function markSalvaged(folder: string, summary: object): void {
  writeFileSync(join(folder, DONE_FILE), `${JSON.stringify(summary)}\n`);
}

/** Leaves a note for the next start: check every page before trusting the file. Best effort on a failing disk. */
export function leaveSuspectNote(dataDir: string, error: unknown): void {
  try {
    const times = (readSuspectNote(dataDir)?.times ?? 0) + 1;
    writeFileSync(join(dataDir, SUSPECT_FILE), JSON.stringify({ times, reason: describeError(error) }));
  } catch {
    // The check at the next start is then the ordinary one.
  }
}

/** The note of an earlier run, or null. `times` counts runs in a row that ended so. */
export function readSuspectNote(dataDir: string): { times: number; reason: string } | null {
  const path = join(dataDir, SUSPECT_FILE);
  if (!existsSync(path)) return null;
  try {
    const note = JSON.parse(readFileSync(path, 'utf8')) as { times?: unknown; reason?: unknown };
    return { times: Number(note.times) || 1, reason: String(note.reason) };
  } catch {
    return { times: 1, reason: 'unreadable note' };
  }
}

/** The file has been checked or replaced, and has served well since. */
export function removeSuspectNote(dataDir: string): void {
  rmSync(join(dataDir, SUSPECT_FILE), { force: true });
}

/** Makes renames and new names in a directory durable. */
export function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
