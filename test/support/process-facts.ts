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

/** True while no thread of it runs code of its own: stopped, or in a call to the disk that no signal reaches. */
export function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return 'TD'.includes(stat.slice(stat.lastIndexOf(')') + 2)[0]!);
  });
}

function statusField(pid: number, name: string): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${name}:`));
  return Number(/(\d+)/.exec(line ?? '')?.[1] ?? Number.NaN);
}
