/** Files of the kernel and of the time service enter, what they say about the system clock leaves. Linux; elsewhere nothing is known. */

import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ClockEvidence } from './gateway-clock.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const BATTERY_CLOCK = '/sys/class/rtc/rtc0/since_epoch';
/** A battery clock that was set from the system clock, or the other way round, is within this. */
const AGREES_WITHIN_S = 5;

/** The id of this boot; one that no other run has, where the system does not tell. */
export function bootId(): string {
  return (readText(BOOT_ID) ?? randomUUID()).slice(0, 36);
}

/** @param syncedFile the file the time service makes once it has set the clock; gone again after a boot */
export function clockEvidence(syncedFile: string, wallMs: number): ClockEvidence {
  const synchronized = existsSync(syncedFile);
  // Its folder is there as soon as the service runs.
  const awaitsSync = !synchronized && existsSync(dirname(syncedFile)) && !batteryAgrees(wallMs);
  return { synchronized, awaitsSync };
}

function batteryAgrees(wallMs: number): boolean {
  const seconds = Number(readText(BATTERY_CLOCK) ?? Number.NaN);
  return Math.abs(seconds - wallMs / 1000) <= AGREES_WITHIN_S;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
