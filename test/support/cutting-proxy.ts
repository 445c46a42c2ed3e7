/** A TCP proxy whose connections can be cut, and which counts them. */

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Times at which they were, ms (performance.now). */
  readonly acceptedAtMs: readonly number[];
  /** Ends what is open: with FIN, or with a reset. */
  cut(how?: 'fin' | 'reset'): void;
  stop(): void;
}

/** @param port of the server behind it, on 127.0.0.1 */
export async function startCuttingProxy(port: number): Promise<CuttingProxy> {
  const open = new Set<Socket>();
  const acceptedAtMs: number[] = [];
  const server = createServer((client) => {
    acceptedAtMs.push(performance.now());
    const upstream = connect(port, '127.0.0.1');
    for (const [a, b] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(a);
      a.setNoDelay(true);
      a.on('error', () => undefined);
      a.on('close', () => {
        open.delete(a);
        b.destroy();
      });
      a.pipe(b);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (how: 'fin' | 'reset' = 'fin') => {
    for (const socket of open) {
      if (how === 'reset') socket.resetAndDestroy();
      else socket.destroy();
    }
  };
  return {
    port: (server.address() as { port: number }).port,
    get accepted() {
      return acceptedAtMs.length;
    },
    acceptedAtMs,
    cut,
    stop() {
      cut();
      server.close();
    },
  };
}
