/** What the kernel says about a process: memory, handles, threads. Linux only. */

import { readdirSync, readFileSync } from 'node:fs';

/** VmRSS of one process, bytes. */
export function residentBytes(pid: number): number {
  return statusField(pid, 'VmRSS') * 1024;
}

/** Open file descriptors. */
export function openHandles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function statusField(pid: number, name: string): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${name}:`));
  return Number(/(\d+)/.exec(line ?? '')?.[1] ?? Number.NaN);
}
