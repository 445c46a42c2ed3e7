/** An HTTP proxy in front of a real server that fails on demand, and remembers every request it saw. */

import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

export interface ScriptedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export type FaultMode =
  /** Requests and answers as they are; `withoutHeader` takes one request header away. */
  | { readonly kind: 'pass'; readonly withoutHeader?: string }
  /** Nothing listens: connections are refused, open ones are reset. */
  | { readonly kind: 'refuse' }
  /** Connections are accepted, requests read, nothing is ever answered. */
  | { readonly kind: 'freeze' }
  /** The request reaches the server at this pace. */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** The connection is reset after so many bytes of the request body. */
  | { readonly kind: 'reset'; readonly afterBodyBytes: number }
  /** The server gets the request, its answer is lost in a reset. */
  | { readonly kind: 'swallow' }
  /** The server gets the request; of its answer only the first half of the status line arrives, then the end. */
  | { readonly kind: 'truncate' }
  /** The server gets the request; its answer arrives byte by byte and never ends. */
  | { readonly kind: 'drip'; readonly everyMs: number }
  /** Answers of our own for writes; null lets the request pass. */
  | { readonly kind: 'answer'; answer(request: SeenRequest): ScriptedAnswer | null };

export interface SeenRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of the request body, decompressed. */
  readonly lines: readonly string[];
  readonly atMs: number;
  /** Of the answer that went back; 0 where none did. */
  readonly status: number;
}

export interface FaultProxy {
  readonly url: string;
  /** Writes only, in order; pings pass through the same faults but are not listed. */
  readonly writes: readonly SeenRequest[];
  set(mode: FaultMode): Promise<void>;
  stop(): Promise<void>;
}

export async function startFaultProxy(upstream: string): Promise<FaultProxy> {
  const proxy = new HttpFaultProxy(upstream);
  await proxy.listen(0);
  return proxy;
}

class HttpFaultProxy implements FaultProxy {
  readonly writes: SeenRequest[] = [];
  readonly #upstream: string;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #sockets = new Set<Socket>();
  #mode: FaultMode = { kind: 'pass' };
  #port = 0;

  constructor(upstream: string) {
    this.#upstream = upstream;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async set(mode: FaultMode): Promise<void> {
    const refused = this.#mode.kind === 'refuse';
    this.#mode = mode;
    if (mode.kind === 'refuse') {
      const closed = new Promise((resolve) => this.#server.close(resolve));
      for (const socket of this.#sockets) socket.resetAndDestroy();
      await closed;
    } else if (refused) await this.listen(this.#port);
    else if (mode.kind !== 'freeze') this.#dropFrozen();
  }

  async stop(): Promise<void> {
    await this.set({ kind: 'refuse' });
  }

  /** After a freeze the old connections are dead, as they are after a link came back. */
  #dropFrozen(): void {
    for (const socket of this.#sockets) if (this.#frozen.has(socket)) socket.destroy();
  }
  readonly #frozen = new WeakSet<Socket>();

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const mode = this.#mode;
    try {
      const body = await this.#body(request, mode);
      if (mode.kind === 'freeze') {
        this.#frozen.add(request.socket);
        return;
      }
      const headers = request.headers as Record<string, string>;
      const seen = {
        path: request.url ?? '',
        headers,
        lines: linesOf(request, body),
        atMs: Date.now(),
        status: 0,
      };
      const scripted = mode.kind === 'answer' && request.method === 'POST' ? mode.answer(seen) : null;
      const answer = scripted ?? (await this.#forward(request, body, mode));
      const isLost = ['swallow', 'truncate', 'drip'].includes(mode.kind) && request.method === 'POST';
      if (request.method === 'POST') this.writes.push({ ...seen, status: isLost ? 0 : answer.status });
      if (isLost) await this.#loseAnswer(request.socket, mode);
      else response.writeHead(answer.status, answer.headers).end(answer.body);
    } catch {
      request.socket.destroy();
    }
  }

  async #loseAnswer(socket: Socket, mode: FaultMode): Promise<void> {
    if (mode.kind === 'truncate') socket.end('HTTP/1.1 20');
    if (mode.kind === 'swallow') socket.resetAndDestroy();
    if (mode.kind !== 'drip') return;
    for (const letter of 'HTTP/1.1 204 No Content\r\nX-Slow: ')
      await this.#drop(socket, letter, mode.everyMs);
    while (socket.writable && this.#mode === mode) await this.#drop(socket, '.', mode.everyMs);
    socket.destroy();
  }

  async #drop(socket: Socket, letter: string, everyMs: number): Promise<void> {
    if (socket.writable) socket.write(letter);
    await sleep(everyMs);
  }

  async #body(request: IncomingMessage, mode: FaultMode): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (mode.kind === 'reset' && bytes >= mode.afterBodyBytes) request.socket.resetAndDestroy();
      if (mode.kind === 'slow') await sleep((1000 * chunk.length) / mode.bytesPerSecond);
    }
    return Buffer.concat(chunks);
  }

  #forward(request: IncomingMessage, body: Buffer, mode: FaultMode): Promise<ScriptedAnswer> {
    const headers: OutgoingHttpHeaders = { ...request.headers, 'content-length': String(body.length) };
    delete headers['transfer-encoding'];
    if (mode.kind === 'pass' && mode.withoutHeader) delete headers[mode.withoutHeader];
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest(
        `${this.#upstream}${request.url}`,
        { method: request.method, headers, agent: false },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', reject);
          answer.on('end', () => {
            const answered = { ...(answer.headers as Record<string, string>) };
            delete answered['connection'];
            delete answered['transfer-encoding'];
            resolve({
              status: answer.statusCode ?? 502,
              headers: answered,
              body: Buffer.concat(chunks).toString(),
            });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
}

function linesOf(request: IncomingMessage, body: Buffer): string[] {
  const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
  return plain.toString('utf8').split('\n');
}
