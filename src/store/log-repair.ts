/**
 * A write-ahead log in, the same log with a flipped bit put back out, before SQLite opens it.
 *
 * SQLite takes the first frame whose checksum does not fit for the end of the log, as after a crash, and drops every
 * commit behind it without a word. A frame that a single bit keeps from fitting is no torn write, and where one bit alone
 * makes its checksum fit, it is that one. The checksum is a sum, no CRC: of the upper bits of its words several do, and
 * guessing would make damage look sound. Then the log stays as it is, and the commits behind are counted as lost.
 */

import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { PAGE_BYTES } from './schema.ts';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES;
/** Checksums over little-endian words; the other magic number is for big-endian machines. */
const MAGIC = 0x377f0682;
const FORMAT_VERSION = 3_007_000;

export interface LogRepair {
  /** Bits put back. */
  readonly repairedBits: number;
  /** Commits that stand behind damage beyond repair, so that SQLite will not see them. */
  readonly lostCommits: number;
}

type Sum = readonly [number, number];

/** SQLite's running checksum over [from, to) of whole 8-byte groups. Source: sqlite.org/fileformat2.html, 4.2 */
function addTo([first, second]: Sum, log: Buffer, from: number, to: number): Sum {
  let [a, b] = [first, second];
  for (let at = from; at < to; at += 8) {
    a = (a + log.readUInt32LE(at) + b) | 0;
    b = (b + log.readUInt32LE(at + 4) + a) | 0;
  }
  return [a, b];
}

function says([first, second]: Sum, log: Buffer, at: number): boolean {
  return log.readInt32BE(at) === first && log.readInt32BE(at + 4) === second;
}

function isHeaderSound(log: Buffer): boolean {
  return log.readUInt32BE(0) === MAGIC && says(addTo([0, 0], log, 0, 24), log, 24);
}

/** What a sound header must say as well: our format and page size, and the salt of its frames. */
function isHeaderOurs(log: Buffer): boolean {
  if (log.readUInt32BE(4) !== FORMAT_VERSION || log.readUInt32BE(8) !== PAGE_BYTES) return false;
  return isHeaderSound(log) && saltDistance(log, HEADER_BYTES) === 0;
}

/** Checksum of the frame at `at` after those before it; null where salt or checksum do not fit. */
function soundFrame(log: Buffer, at: number, before: Sum): Sum | null {
  if (log.compare(log, 16, 24, at + 8, at + 16) !== 0) return null;
  const sum = addTo(addTo(before, log, at, at + 8), log, at + FRAME_HEADER_BYTES, at + FRAME_BYTES);
  return says(sum, log, at + 16) ? sum : null;
}

/**
 * Flips the bit of [from, to) that makes `isSound` true, if it is the only one.
 *
 * @returns its byte; `ambiguous` where several would do, `none` where none does, both with nothing changed
 */
function putBitBack(
  log: Buffer,
  from: number,
  to: number,
  isSound: () => boolean,
): number | 'ambiguous' | 'none' {
  let only: number | null = null;
  for (let bit = from * 8; bit < to * 8; bit += 1) {
    flip(log, bit);
    const fits = isSound();
    flip(log, bit);
    if (!fits) continue;
    if (only !== null) return 'ambiguous';
    only = bit;
  }
  if (only === null) return 'none';
  flip(log, only);
  return only >> 3;
}

function flip(log: Buffer, bit: number): void {
  log[bit >> 3]! ^= 1 << (bit & 7);
}

/** Bits in which the frame's salt differs from the header's: many in frames of an earlier round of the log. */
function saltDistance(log: Buffer, at: number): number {
  let bits = 0;
  for (let i = 0; i < 8; i += 1)
    for (let rest = log[16 + i]! ^ log[at + 8 + i]!; rest > 0; rest &= rest - 1) bits += 1;
  return bits;
}

/** Commits in frames of this round from `from` on. */
function commitsFrom(log: Buffer, from: number): number {
  let commits = 0;
  for (let at = from; at + FRAME_BYTES <= log.length && saltDistance(log, at) <= 1; at += FRAME_BYTES)
    if (isCommit(log, at)) commits += 1;
  return commits;
}

/** The last frame of a commit tells the size of the database after it; the others say zero. */
function isCommit(log: Buffer, at: number): boolean {
  return log.readUInt32BE(at + 4) !== 0;
}

interface Repaired {
  /** Offsets of the bytes that changed. */
  readonly changed: readonly number[];
  readonly lostCommits: number;
  /** End of the last commit that can be read. */
  readonly soundBytes: number;
}

/** Puts bits back in `log` itself. */
function repairInMemory(log: Buffer): Repaired {
  const changed: number[] = [];
  let soundBytes = HEADER_BYTES;
  const unsound = (lostCommits: number): Repaired => ({ changed, lostCommits, soundBytes });
  if (!isHeaderSound(log)) {
    const byte = putBitBack(log, 0, HEADER_BYTES, () => isHeaderOurs(log));
    if (byte === 'none') return { changed, lostCommits: 0, soundBytes: log.length };
    if (byte === 'ambiguous') return unsound(commitsFrom(log, HEADER_BYTES));
    changed.push(byte);
  }
  let sum: Sum = [log.readInt32BE(24), log.readInt32BE(28)];
  for (let at = HEADER_BYTES; at + FRAME_BYTES <= log.length; at += FRAME_BYTES) {
    let next = soundFrame(log, at, sum);
    if (next === null && saltDistance(log, at) <= 1) {
      const before = sum;
      const byte = putBitBack(log, at, at + FRAME_BYTES, () => soundFrame(log, at, before) !== null);
      // No torn write: every commit from here on is lost, the last one, too.
      if (byte === 'ambiguous') return unsound(commitsFrom(log, at));
      if (byte !== 'none') changed.push(byte);
      next = soundFrame(log, at, sum);
    }
    // A crash leaves at most the one commit unreadable that was being written.
    if (next === null) return unsound(Math.max(0, commitsFrom(log, at) - 1));
    sum = next;
    if (isCommit(log, at)) soundBytes = at + FRAME_BYTES;
  }
  return unsound(0);
}

/** True where frames of this round stand at or behind `from`, whatever is between. */
function hasFramesFrom(log: Buffer, from: number): boolean {
  for (let at = from; at + FRAME_BYTES <= log.length; at += FRAME_BYTES)
    if (saltDistance(log, at) <= 1) return true;
  return false;
}

/**
 * Repairs the log at `path` in place. Call only while no connection of this process holds its database.
 *
 * What a crash left of the commit that was being written is cut off: SQLite would write over it frame by frame, and what
 * then still stood behind would look at the next crash like one more commit, a lost one.
 */
export function repairLog(path: string): LogRepair {
  if (!existsSync(path)) return { repairedBits: 0, lostCommits: 0 };
  const log = readFileSync(path);
  if (log.length < HEADER_BYTES + FRAME_BYTES) return { repairedBits: 0, lostCommits: 0 };
  const { changed, lostCommits, soundBytes } = repairInMemory(log);
  const isTorn = lostCommits === 0 && hasFramesFrom(log, soundBytes);
  if (changed.length > 0 || isTorn) {
    const file = openSync(path, 'r+');
    try {
      for (const byte of changed) writeSync(file, log, byte, 1, byte);
      if (isTorn) ftruncateSync(file, soundBytes);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
  return { repairedBits: changed.length, lostCommits };
}
