/** The other end of systemd's notify socket: a real unix datagram socket. Node has none, so Python opens it. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Notification {
  readonly text: string;
  /** Monotonic, ms, when it was read here. */
  readonly atMs: number;
}

export interface NotifySocket {
  readonly path: string;
  readonly received: readonly Notification[];
  stop(): void;
}

const RECEIVER = `
import socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print("bound", flush=True)
while True:
    print(receiver.recv(4096).decode().replace("\\n", " "), flush=True)
`;

/** One clear line for tests that skip, or null where everything needed is there. */
export function missingForNotify(): string | null {
  for (const [command, ...args] of [
    ['python3', '--version'],
    ['systemd-notify', '--version'],
  ] as const) {
    if (spawnSync(command, args).status !== 0) return `${command} not found: watchdog tests are skipped`;
  }
  return null;
}

/** Listens at `path`, which must not exist. */
export async function openNotifySocket(path: string): Promise<NotifySocket> {
  const child = spawn('python3', ['-c', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  await once(lines, 'line');
  const received: Notification[] = [];
  lines.on('line', (text) => received.push({ text, atMs: performance.now() }));
  return { path, received, stop: () => void child.kill('SIGKILL') };
}
