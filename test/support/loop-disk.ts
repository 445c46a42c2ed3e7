/**
 * Small ext4 disks of one's own: images in memory behind loop devices, mounted, unmounted and measured without
 * touching the machine's disk. Needs root and mkfs.ext4.
 */

import { execFile, execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SECTOR_BYTES = 512;

/** Why there can be no loop disks here, or null. */
export function noLoopDisks(): string | null {
  if (process.getuid?.() !== 0) return 'not root';
  for (const tool of ['mkfs.ext4', 'losetup', 'mount', 'umount']) {
    if (spawnSync(tool, ['--help'], { stdio: 'ignore' }).error) return `${tool} is absent`;
  }
  try {
    const bench = new DiskBench(16);
    try {
      const disk = bench.disk('probe');
      execFileSync('mount', ['-o', 'loop', disk.image, disk.path], { stdio: 'ignore' });
      execFileSync('umount', [disk.path], { stdio: 'ignore' });
      return null;
    } finally {
      bench.remove();
    }
  } catch {
    return 'no right to mount';
  }
}

/** What a block device was asked to do since it was attached. */
export interface DeviceCounts {
  readonly writtenBytes: number;
  readonly flushes: number;
}

/** One disk: an image file and a place to mount it. */
export class LoopDisk {
  /** Mount point. */
  readonly path: string;
  readonly image: string;

  constructor(path: string, image: string) {
    this.path = path;
    this.image = image;
    mkdirSync(path);
  }

  /** Mounts; a journal left by a cut is replayed. */
  async mount(...options: readonly string[]): Promise<void> {
    await run('mount', ['-t', 'ext4', '-o', ['loop', ...options].join(','), this.image, this.path]);
  }

  /** Other options for the mounted disk, such as 'ro'. Throws while files are open for writing and 'ro' is asked. */
  async remount(...options: readonly string[]): Promise<void> {
    await run('mount', ['-o', ['remount', ...options].join(','), this.path]);
  }

  /** Unmounts; a process that was killed may take a moment to let go. */
  async unmount(): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await run('umount', [this.path]);
        return;
      } catch (error) {
        if (attempt >= 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  /** Puts the content of another image in place of this one's. Call while unmounted. */
  restore(image: string): void {
    copyFileSync(image, this.image);
  }

  /** Counters of the device below the mounted disk. */
  counts(): DeviceCounts {
    const device = execFileSync('findmnt', ['-n', '-o', 'SOURCE', this.path], { encoding: 'utf8' }).trim();
    const fields = readFileSync(`/sys/block/${device.replace('/dev/', '')}/stat`, 'utf8')
      .trim()
      .split(/\s+/);
    return { writtenBytes: Number(fields[6]) * SECTOR_BYTES, flushes: Number(fields[15]) };
  }
}

/** A folder in memory for images; everything in it goes with `remove`, also when the process ends early. */
export class DiskBench {
  readonly path = mkdtempSync(join(tmpdir(), 'millwright-disks-'));
  readonly #imageBytes: number;
  readonly #empty: string;
  readonly #disks: LoopDisk[] = [];
  readonly #atExit = () => this.remove();

  /** @param imageMiB size of each disk, at least 8 */
  constructor(imageMiB: number) {
    this.#imageBytes = imageMiB * 1024 * 1024;
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1g,mode=700', 'tmpfs', this.path], { stdio: 'ignore' });
    process.once('exit', this.#atExit);
    this.#empty = join(this.path, 'empty.img');
    closeSync(openSync(this.#empty, 'w'));
    truncateSync(this.#empty, this.#imageBytes);
    // Blocks of 4 KiB as on a real card; mkfs would give a disk this small 1 KiB. Nothing is written later by itself.
    const layout = ['-b', '4096', '-J', 'size=4', '-E', 'lazy_itable_init=0,lazy_journal_init=0', '-m', '0'];
    execFileSync('mkfs.ext4', ['-q', '-F', ...layout, this.#empty], { stdio: 'ignore' });
  }

  /** A new disk, empty and not mounted. */
  disk(name: string): LoopDisk {
    const image = join(this.path, `${name}.img`);
    copyFileSync(this.#empty, image);
    const disk = new LoopDisk(join(this.path, name), image);
    this.#disks.push(disk);
    return disk;
  }

  /** Keeps the content of an unmounted disk under a name; the result is for `LoopDisk.restore`. */
  keep(disk: LoopDisk, name: string): string {
    const image = join(this.path, `${name}.kept`);
    copyFileSync(disk.image, image);
    return image;
  }

  remove(): void {
    process.removeListener('exit', this.#atExit);
    // Lazily where a process still holds it: the loop device goes with the last user.
    for (const { path } of this.#disks) spawnSync('umount', ['-l', path], { stdio: 'ignore' });
    spawnSync('umount', ['-l', this.path], { stdio: 'ignore' });
    rmSync(this.path, { recursive: true, force: true });
  }
}
