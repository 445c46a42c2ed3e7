/** TCP connections enter, those within the limits stay: the listener of the embedded broker. */

import { createServer, type Server, type Socket } from 'node:net';
import { GatewayError } from '../errors.ts';
import type { DoorContext } from './door-context.ts';
import { FrontDoorConnection } from './front-door-connection.ts';
import type { RefusalLimit } from './ingest-counters.ts';

/** How often the limits that depend on time are looked at; connect timeouts are that coarse. */
const SWEEP_MS = 1000;
const LISTEN_BACKLOG = 1024;

export type FrontDoorContext = Omit<DoorContext, 'onReady' | 'onClosed'>;

/** Owns every socket of the embedded broker. */
export class FrontDoor {
  readonly #context: DoorContext;
  readonly #server: Server;
  readonly #connections = new Set<FrontDoorConnection>();
  readonly #perAddress = new Map<string, number>();
  #preAuth = 0;
  #sweeper: NodeJS.Timeout | null = null;

  constructor(context: FrontDoorContext) {
    this.#context = {
      ...context,
      onReady: () => {
        this.#preAuth -= 1;
      },
      onClosed: (connection) => this.#left(connection),
    };
    this.#server = createServer({ allowHalfOpen: false, noDelay: true, pauseOnConnect: true }, (socket) =>
      this.#arrived(socket),
    );
  }

  get connections(): number {
    return this.#connections.size;
  }

  get listening(): boolean {
    return this.#server.listening;
  }

  /** @throws GatewayError MW_INGEST_LISTEN */
  async listen(host: string, port: number): Promise<{ host: string; port: number }> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => {
        reject(
          new GatewayError('MW_INGEST_LISTEN', `cannot listen on ${host}:${port}: ${cause.message}`, {
            cause,
          }),
        );
      });
      this.#server.listen({ host, port, backlog: LISTEN_BACKLOG }, resolve);
    });
    this.#server.removeAllListeners('error');
    // Such as no file descriptor left: this connection is lost, the listener is not.
    this.#server.on('error', (error) => {
      this.#context.complaints.warn(
        'accept',
        performance.now(),
        'MQTT connection could not be taken',
        () => ({
          error: error.message,
        }),
      );
    });
    this.#sweeper = setInterval(
      () => this.#sweep(),
      Math.min(SWEEP_MS, this.#context.limits.connectTimeoutMs),
    );
    this.#sweeper.unref();
    const address = this.#server.address();
    if (address === null || typeof address === 'string')
      throw new GatewayError('MW_INTERNAL', 'no TCP address');
    return { host: address.address, port: address.port };
  }

  /** A commit made room. */
  committed(): void {
    for (const connection of this.#connections) connection.committed();
  }

  /** Accepts and reads nothing more. */
  stopReading(): void {
    this.#server.close();
    for (const connection of this.#connections) connection.stopReading();
  }

  close(): void {
    if (this.#sweeper !== null) clearInterval(this.#sweeper);
    this.#server.close();
    for (const connection of this.#connections) connection.close();
  }

  #arrived(socket: Socket): void {
    this.#context.onConnection();
    const address = addressOf(socket);
    const limit = this.#limitMet(address);
    if (limit !== null) {
      this.#context.counters.refused[limit] += 1;
      this.#context.complaints.warn(limit, performance.now(), 'MQTT connection turned away', () => ({
        address,
      }));
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    this.#preAuth += 1;
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    this.#connections.add(new FrontDoorConnection(socket, address, this.#context));
  }

  #limitMet(address: string): RefusalLimit | null {
    const { maxConnections, maxConnectionsPerAddress, maxPreAuthConnections } = this.#context.limits;
    if (this.#connections.size >= maxConnections) return 'connections';
    if ((this.#perAddress.get(address) ?? 0) >= maxConnectionsPerAddress) return 'connections_per_address';
    return this.#preAuth >= maxPreAuthConnections ? 'pre_auth_connections' : null;
  }

  #left(connection: FrontDoorConnection): void {
    if (!this.#connections.delete(connection)) return;
    if (!connection.wasReady) this.#preAuth -= 1;
    const others = (this.#perAddress.get(connection.address) ?? 1) - 1;
    if (others > 0) this.#perAddress.set(connection.address, others);
    else this.#perAddress.delete(connection.address);
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const connection of this.#connections) connection.sweep(nowMs);
  }
}

/** The peer's address without the IPv6 form of IPv4. */
function addressOf(socket: Socket): string {
  return (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
}
