import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repairLog } from '../../../src/store/log-repair.ts';
import { samples, storeFolder } from '../../support/store.ts';

const HEADER_BYTES = 32;
const FRAME_BYTES = 24 + 1024;

describe('a write-ahead log', () => {
  const folder = storeFolder();
  const path = join(folder.path, 'copy', 'log');
  let sound: Buffer;

  beforeAll(() => {
    const store = folder.open();
    for (let n = 0; n < 8; n += 1) store.commit(samples(20, n * 20));
    mkdirSync(join(folder.path, 'copy'));
    copyFileSync(join(folder.path, 'millwright.db-wal'), path);
    sound = readFileSync(path);
    store.close();
  });
  afterAll(() => folder.remove());

  function repaired(change: (log: Buffer) => void): ReturnType<typeof repairLog> & { isSound: boolean } {
    const log = Buffer.from(sound);
    change(log);
    writeFileSync(path, log);
    const outcome = repairLog(path);
    return { ...outcome, isSound: readFileSync(path).equals(sound) };
  }

  const flipped = (byte: number, mask: number) => repaired((log) => (log[byte]! ^= mask));
  const lastFrame = () =>
    HEADER_BYTES + (Math.floor((sound.length - HEADER_BYTES) / FRAME_BYTES) - 1) * FRAME_BYTES;

  it('that is sound stays as it is', () => {
    expect(repaired(() => undefined)).toEqual({ repairedBits: 0, lostCommits: 0, isSound: true });
  });

  it.each([1, 2, 4, 8, 16, 32, 64, 128])(
    'with bit %i of any word flipped comes back whole, or is not touched',
    (mask) => {
      for (let byte = HEADER_BYTES; byte < HEADER_BYTES + FRAME_BYTES; byte += 67) {
        const { repairedBits, lostCommits, isSound } = flipped(byte, mask);
        expect({ byte, isWhole: isSound, counted: lostCommits > 0 }).toEqual({
          byte,
          isWhole: repairedBits === 1,
          counted: repairedBits === 0,
        });
      }
    },
  );

  it('with a flipped bit in its header comes back whole', () => {
    for (let byte = 0; byte < HEADER_BYTES; byte += 1)
      expect(flipped(byte, 4)).toEqual({ repairedBits: 1, lostCommits: 0, isSound: true });
  });

  it('with an ambiguous bit in its last commit says that one is lost', () => {
    // The uppermost bit of a word: of every other word it would do.
    expect(flipped(lastFrame() + 24 + 103, 128)).toMatchObject({ repairedBits: 0, lostCommits: 1 });
  });

  it('with a torn tail loses nothing that was acknowledged', () => {
    const torn = repaired((log) => log.fill(0, lastFrame() + 300));
    expect(torn).toMatchObject({ repairedBits: 0, lostCommits: 0 });
  });

  it('that two crashes in a row tore counts nothing lost: the first tear is gone before the second', () => {
    const frames = (lastFrame() - HEADER_BYTES) / FRAME_BYTES + 1;
    const commits = Array.from({ length: frames }, (_, i) => HEADER_BYTES + i * FRAME_BYTES).filter(
      (at) => sound.readUInt32BE(at + 4) !== 0,
    );
    const lastCommitFrom = commits.at(-2)! + FRAME_BYTES;
    expect(lastFrame() - lastCommitFrom).toBeGreaterThanOrEqual(2 * FRAME_BYTES);
    expect(repaired((log) => log.fill(0, lastCommitFrom, lastCommitFrom + 700))).toMatchObject({
      lostCommits: 0,
    });
    expect(readFileSync(path).equals(sound.subarray(0, lastCommitFrom))).toBe(true);
    // The next life's torn commit is shorter.
    const tear = Buffer.from(sound.subarray(lastCommitFrom, lastCommitFrom + FRAME_BYTES)).fill(7, 500);
    tear.writeUInt32BE(99, 4);
    appendFileSync(path, tear);
    expect(repairLog(path)).toEqual({ repairedBits: 0, lostCommits: 0 });
    expect(readFileSync(path).equals(sound.subarray(0, lastCommitFrom))).toBe(true);
  });

  it('that is not there, or too short to hold a frame, is none', () => {
    expect(existsSync(`${path}-none`)).toBe(false);
    expect(repairLog(`${path}-none`)).toEqual({ repairedBits: 0, lostCommits: 0 });
    writeFileSync(path, sound.subarray(0, 100));
    expect(repairLog(path)).toEqual({ repairedBits: 0, lostCommits: 0 });
  });
});
