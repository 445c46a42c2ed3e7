/** This device enters, one verdict per question leaves: runtime, native modules, disk, clock. */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClockConfig, StoreConfig } from '../../config/schema.ts';
import { describeError } from '../../errors.ts';
import { makeDirectory } from '../../store/make-directory.ts';
import { formatBytes } from '../terminal/output.ts';
import { fail, ok, type Verdict, warn } from './verdict.ts';

const INSTALLATION = fileURLToPath(new URL('../../..', import.meta.url));
const FLUSH_ROUNDS = 40;
/** A flush of a real disk takes longer: one that does not is answered from memory. */
const IMPLAUSIBLE_FLUSH_MS = 0.05;
const SLOW_FLUSH_MS = 200;
/** Linux magic of tmpfs and ramfs, statfs(2). */
const MEMORY_FILE_SYSTEMS = new Set([0x01021994, 0x858458f6]);
/** No clock that was ever set is older than this release. */
const EARLIEST_YEAR = 2025;
const NODE_MINIMUM: readonly [number, number] = [20, 19];

export function checkNode(version: string): Verdict {
  const [major, minor] = version.split('.').map(Number) as [number, number];
  const enough = major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1]);
  if (!enough)
    return fail('node', `${version} is older than ${NODE_MINIMUM.join('.')}`, 'install a current Node');
  return ok('node', `${version} on ${process.platform}-${process.arch}`);
}

/** Loads a native module in a process of its own: a module that crashes shall not take the report with it. */
export function checkNativeModule(name: 'better-sqlite3' | 'onnxruntime-node'): Verdict {
  const use = name === 'better-sqlite3' ? "new m(':memory:').close()" : 'm.InferenceSession.create';
  try {
    execFileSync(process.execPath, ['-e', `const m = require('${name}'); ${use}`], {
      cwd: INSTALLATION,
      stdio: 'pipe',
    });
    return ok(name, 'loads');
  } catch (error) {
    const said = (error as { stderr?: Buffer }).stderr?.toString() ?? '';
    const line = said.split('\n').find((text) => text.includes('Error')) ?? describeError(error);
    return fail(name, `does not load: ${line.trim()}`, 'node setup.mjs');
  }
}

/** Writes and flushes small blocks in the data directory, which is made if it is not there. */
export function checkDataDir(dataDir: string): Verdict[] {
  const directory = resolve(dataDir);
  const probe = join(directory, `.doctor-${process.pid}`);
  try {
    makeDirectory(directory);
    return [ok('data directory', `${directory} is writable`), flushVerdict(flushTimesMs(probe), directory)];
  } catch (error) {
    const hint = `create it for the user of the gateway: sudo install -d -o millwright ${directory}`;
    return [fail('data directory', describeError(error), hint)];
  } finally {
    rmSync(probe, { force: true });
  }
}

function flushTimesMs(path: string): number[] {
  const block = Buffer.alloc(4096, 1);
  const file = openSync(path, 'w');
  const times: number[] = [];
  try {
    for (let i = 0; i < FLUSH_ROUNDS; i += 1) {
      const startedMs = performance.now();
      writeSync(file, block);
      fsyncSync(file);
      times.push(performance.now() - startedMs);
    }
  } finally {
    closeSync(file);
  }
  return times.sort((a, b) => a - b);
}

function flushVerdict(sortedMs: readonly number[], directory: string): Verdict {
  const median = sortedMs[sortedMs.length >> 1]!;
  const worst = sortedMs.at(-1)!;
  const said = `a flush takes ${median.toFixed(2)} ms, at worst ${worst.toFixed(1)} ms`;
  if (MEMORY_FILE_SYSTEMS.has(statfsSync(directory).type)) {
    return warn(
      'disk flush',
      `${said}: ${directory} is in memory and lost at power-off`,
      'point dataDir to a disk',
    );
  }
  if (median < IMPLAUSIBLE_FLUSH_MS) {
    return warn(
      'disk flush',
      `${said}: too fast for a disk, it seems to answer before the data is safe`,
      'do not trust it with a power cut; check the virtual disk or its cache mode',
    );
  }
  if (worst > SLOW_FLUSH_MS) {
    return warn(
      'disk flush',
      `${said}: acknowledgements wait that long`,
      'use an endurance card or an SSD, or raise store.commitWindowMs',
    );
  }
  return ok('disk flush', said);
}

/** Room for the database at its bound, beside what must stay free. */
export function checkFreeSpace(dataDir: string, store: StoreConfig): Verdict {
  const directory = nearestExisting(resolve(dataDir));
  const { bavail, bsize } = statfsSync(directory);
  const free = bavail * bsize;
  const said = `${formatBytes(free)} free at ${directory}`;
  if (free < store.minFreeBytes) {
    return fail(
      'free space',
      `${said}, less than store.minFreeBytes: nothing would be acknowledged`,
      'make room, or point dataDir to a larger disk',
    );
  }
  const wanted = store.maxBytes + store.minFreeBytes;
  if (free >= wanted) return ok('free space', said);
  return warn(
    'free space',
    `${said}, but store.maxBytes allows ${formatBytes(store.maxBytes)}`,
    'lower store.maxBytes, or make room',
  );
}

function nearestExisting(path: string): string {
  let at = path;
  for (;;) {
    try {
      statfsSync(at);
      return at;
    } catch {
      if (dirname(at) === at) return at;
      at = dirname(at);
    }
  }
}

/** Windows and deliveries carry wall time, so the clock must be set and kept. */
export function checkClock(now: Date): Verdict {
  if (now.getUTCFullYear() < EARLIEST_YEAR) {
    return fail(
      'clock',
      `${now.toISOString()} cannot be right`,
      'set up time synchronisation (systemd-timesyncd, chrony) or a battery clock',
    );
  }
  try {
    const said = execFileSync('timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5000,
    });
    if (said.toString().trim() === 'yes') return ok('clock', `${now.toISOString()}, synchronised`);
    return warn('clock', `${now.toISOString()}, not synchronised`, 'timedatectl set-ntp true, or chrony');
  } catch {
    return warn(
      'clock',
      `${now.toISOString()}; whether it is synchronised cannot be told here`,
      'make sure that time synchronisation runs',
    );
  }
}

/** How the gateway will know that the clock is right. */
export function checkTimeService({ trust, syncedFile, maxHoldMs }: ClockConfig): Verdict {
  if (trust === 'system') return ok('time service', 'clock.trust is system: the clock is believed as it is');
  if (existsSync(syncedFile)) return ok('time service', 'has set the clock since boot');
  if (existsSync(dirname(syncedFile))) {
    return warn(
      'time service',
      `has not set the clock since boot: samples without time stamps may wait ${maxHoldMs / 1000} s for it`,
      'timedatectl timesync-status; without a network time server, set the clock by hand',
    );
  }
  return ok('time service', `makes no ${syncedFile} here: a plausible clock is believed unconfirmed`);
}

/** Below this much memory the gateway and its models do not fit beside an operating system. */
const LEAST_MEMORY_BYTES = 400 * 1024 * 1024;

export function checkMemory(): Verdict {
  try {
    const kilobytes = Number(/MemAvailable:\s+(\d+) kB/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
    const said = `${formatBytes(kilobytes * 1024)} available`;
    if (kilobytes * 1024 < LEAST_MEMORY_BYTES)
      return warn('memory', said, 'stop other services, or run fewer models');
    return ok('memory', said);
  } catch {
    return ok('memory', 'not told by this system');
  }
}
