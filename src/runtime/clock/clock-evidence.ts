/**
 * The system's clocks, and what the files of the kernel and of the time service say about them. Linux; elsewhere nothing
 * is known of how far the clock can be believed.
 */

import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { CancelTimer } from '../../domain/clock.ts';
import { SYSTEM_CLOCK } from '../system-clock.ts';
import type { ClockEvidence } from './gateway-clock.ts';
import { bootMonotonicMs } from './monotonic.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const BATTERY_CLOCK = '/sys/class/rtc/rtc0/since_epoch';
/** A battery clock that was set from the system clock, or the other way round, is within this. */
const AGREES_WITHIN_S = 5;

/** What the keeper of the gateway's time of day looks at. */
export interface SystemTime {
  /** The system's clock, ms since the epoch; may step either way. */
  wallMs(): number;
  /** ms since some moment of the boot. */
  monotonicMs(): number;
  evidence(wallMs: number): ClockEvidence;
  readonly bootId: string;
  every(intervalMs: number, callback: () => void): CancelTimer;
}

/** @param syncedFile the file the time service makes once it has set the clock; gone again after a boot */
export function systemTime(syncedFile: string): SystemTime {
  return {
    wallMs: Date.now,
    monotonicMs: bootMonotonicMs,
    evidence: (wallMs) => clockEvidence(syncedFile, wallMs),
    bootId: bootId(),
    every: SYSTEM_CLOCK.every,
  };
}

/** The id of this boot; one that no other run has, where the system does not tell. */
function bootId(): string {
  return (readText(BOOT_ID) ?? randomUUID()).slice(0, 36);
}

function clockEvidence(syncedFile: string, wallMs: number): ClockEvidence {
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
