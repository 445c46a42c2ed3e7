/**
 * Tells systemd that the gateway is ready, alive and stopping; does nothing outside a `Type=notify` unit.
 *
 * Node has no datagram Unix sockets, so `systemd-notify` speaks for us (NotifyAccess=all in the unit).
 */

import { spawn } from 'node:child_process';

export type SdState = 'READY=1' | 'STOPPING=1' | 'WATCHDOG=1';

/** Sends one state to systemd. Never throws: without systemd there is nobody to tell. */
export function sdNotify(state: SdState, env: NodeJS.ProcessEnv = process.env): void {
  if (!env['NOTIFY_SOCKET']) return;
  const child = spawn('systemd-notify', [`--pid=${process.pid}`, state], { stdio: 'ignore', env });
  child.on('error', () => undefined);
  child.unref();
}

/** Interval at which the watchdog wants a sign of life: half of WATCHDOG_USEC, or null without a watchdog. */
export function watchdogIntervalMs(env: NodeJS.ProcessEnv = process.env): number | null {
  const usec = Number(env['WATCHDOG_USEC'] ?? '');
  return Number.isFinite(usec) && usec > 0 ? Math.floor(usec / 2000) : null;
}
