/**
 * Messages enter, PUBACKs are waited for: an MQTT publisher that keeps its own account of what is on the way.
 *
 * Every connection is a fresh MQTT.js client without reconnection of its own: after a break everything that was not
 * acknowledged is sent again, in order and at once, on the next connection. So a message counts as done only when a
 * broker has said so, and a broker that went away costs duplicates, never a loss.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type MqttClient } from 'mqtt';
import { describeError, GatewayError } from '../../errors.ts';
import type { Outgoing } from './message-encoding.ts';

export interface PublisherOptions {
  readonly url: string;
  readonly clientId: string;
  readonly qos: 0 | 1;
  /** Messages on the way before `publish` says wait. */
  readonly maxInFlight: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Without a broker, or with one that ends every connection before it acknowledges anything, for this long, all fails. */
  readonly giveUpMs: number;
  /** Told once for each message that counts as done; `index` is its place in the order of `publish`, from 0. */
  onAcknowledged?(index: number): void;
}

export interface PublisherCounts {
  /** Messages handed over by the caller. */
  readonly published: number;
  /** QoS 1: acknowledged by the broker. QoS 0: written to the socket. */
  readonly acknowledged: number;
  readonly resent: number;
  readonly reconnects: number;
  readonly inFlight: number;
}

interface InFlight {
  readonly message: Outgoing;
  readonly sentAtMs: number;
}

const RECONNECT_MIN_MS = 200;
const RECONNECT_MAX_MS = 5000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Acknowledgement latencies kept for the quantiles: the newest. */
const LATENCIES = 65_536;

export class Publisher {
  readonly #options: PublisherOptions;
  /** Insertion order is sending order. */
  readonly #inFlight = new Map<number, InFlight>();
  readonly #latencies = new Float64Array(LATENCIES);
  #client: MqttClient | null = null;
  #published = 0;
  #acknowledged = 0;
  #resent = 0;
  #reconnects = 0;
  readonly #closing = new AbortController();
  #failure: GatewayError | null = null;
  /** When the first connection broke since the last acknowledgement. */
  #fruitlessSinceMs: number | null = null;
  #waiters: { readonly until: () => boolean; resolve(): void; reject(error: Error): void }[] = [];

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  get counts(): PublisherCounts {
    return {
      published: this.#published,
      acknowledged: this.#acknowledged,
      resent: this.#resent,
      reconnects: this.#reconnects,
      inFlight: this.#inFlight.size,
    };
  }

  /** @throws GatewayError MW_INGEST_EXTERNAL when the broker does not take the first connection */
  async connect(): Promise<void> {
    try {
      this.#adopt(await this.#open());
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  /** Sends now. Returns a promise to wait for before the next one when the in-flight allowance is used up. */
  publish(message: Outgoing): Promise<void> | null {
    if (this.#failure !== null) throw this.#failure;
    const id = this.#published;
    this.#published += 1;
    this.#inFlight.set(id, { message, sentAtMs: performance.now() });
    this.#send(id, message);
    if (this.#inFlight.size < this.#options.maxInFlight) return null;
    return this.#wait(() => this.#inFlight.size < this.#options.maxInFlight);
  }

  /** Resolves when everything is acknowledged. */
  drained(): Promise<void> {
    return this.#wait(() => this.#inFlight.size === 0);
  }

  /** Ends every wait that is going on now, though nothing was acknowledged. */
  interrupt(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve();
  }

  /** Ends every wait, now and later, with this as the reason. */
  fail(
    reason: string,
    hint = 'run the command again: what was acknowledged is done, the rest is sent',
  ): void {
    this.#failure ??= new GatewayError('MW_INGEST_EXTERNAL', reason, { hint });
    this.#wake();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const client = this.#client;
    this.#client = null;
    if (client !== null) await client.endAsync();
  }

  /** Send-to-acknowledgement time at quantile q (0..1) of the newest messages, ms; NaN before the first. */
  latencyQuantile(q: number): number {
    const n = Math.min(this.#acknowledged, LATENCIES);
    if (n === 0) return Number.NaN;
    const sorted = this.#latencies.slice(0, n).sort();
    return sorted[Math.min(n - 1, Math.floor(q * n))]!;
  }

  #send(id: number, message: Outgoing): void {
    const client = this.#client;
    if (client === null) return;
    const payload = typeof message.payload === 'string' ? message.payload : Buffer.from(message.payload);
    client.publish(message.topic, payload, { qos: this.#options.qos }, (error) => {
      // An error means: not sent. It stays in flight and goes out again with the next connection.
      if (!error) this.#settle(id);
    });
  }

  #settle(id: number): void {
    const entry = this.#inFlight.get(id);
    if (entry === undefined) return;
    this.#inFlight.delete(id);
    this.#latencies[this.#acknowledged % LATENCIES] = performance.now() - entry.sentAtMs;
    this.#acknowledged += 1;
    this.#fruitlessSinceMs = null;
    this.#options.onAcknowledged?.(id);
    this.#wake();
  }

  #open(): Promise<MqttClient> {
    const { url, clientId, username, password } = this.#options;
    return new Promise((resolve, reject) => {
      const client = connect(url, {
        clientId,
        clean: true,
        reconnectPeriod: 0,
        connectTimeout: CONNECT_TIMEOUT_MS,
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password }),
      });
      const failed = (error: Error) => {
        client.end(true);
        reject(error);
      };
      client.once('error', failed);
      client.once('close', () => failed(new Error('connection closed')));
      client.once('connect', () => {
        client.removeAllListeners('close');
        client.removeListener('error', failed);
        resolve(client);
      });
    });
  }

  #adopt(client: MqttClient): void {
    this.#client = client;
    client.on('error', () => {
      // `close` follows and is where the break is handled.
    });
    client.once('close', () => {
      if (this.#closing.signal.aborted || this.#client !== client) return;
      this.#client = null;
      client.end(true);
      void this.#reconnect();
    });
    for (const [id, { message }] of this.#inFlight) {
      this.#resent += 1;
      this.#send(id, message);
    }
  }

  async #reconnect(): Promise<void> {
    this.#fruitlessSinceMs ??= performance.now();
    const brokenAtMs = this.#fruitlessSinceMs;
    let delayMs = RECONNECT_MIN_MS;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
      try {
        const client = await this.#open();
        if (signal.aborted) return void client.end(true);
        if (performance.now() - brokenAtMs > this.#options.giveUpMs) {
          client.end(true);
          return this.fail(`${withoutSecrets(this.#options.url)} ends every connection`, REFUSED_HINT);
        }
        this.#reconnects += 1;
        this.#adopt(client);
        return;
      } catch (error) {
        if (performance.now() - brokenAtMs > this.#options.giveUpMs) {
          this.#failure = this.#unreachable(error);
          this.#wake();
          return;
        }
      }
      delayMs = Math.min(delayMs * 2, RECONNECT_MAX_MS);
    }
  }

  #unreachable(error: unknown): GatewayError {
    // Node joins the attempts of a host with several addresses into one error without a message.
    const cause = error instanceof AggregateError ? error.errors[0] : error;
    const url = withoutSecrets(this.#options.url);
    const refused = isLoginRefused(cause);
    const what = refused ? `the MQTT broker at ${url} refuses the login` : `no MQTT broker at ${url}`;
    return new GatewayError('MW_INGEST_EXTERNAL', `${what}: ${describeError(cause)}`, {
      cause: error,
      hint: refused ? LOGIN_HINT : UNREACHABLE_HINT,
    });
  }

  #wait(until: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ until, resolve, reject });
      this.#wake();
    });
  }

  #wake(): void {
    const failure = this.#failure;
    this.#waiters = this.#waiters.filter((waiter) => {
      if (waiter.until()) waiter.resolve();
      else if (failure !== null) waiter.reject(failure);
      else return true;
      return false;
    });
  }
}

const REFUSED_HINT = 'may this user publish to these topics, and are the messages within the size limit?';

const LOGIN_HINT = 'name a user of this broker with --username and its password in $MILLWRIGHT_MQTT_PASSWORD';
const UNREACHABLE_HINT = 'is the gateway running there? choose another with --url mqtt://host:port';

/** CONNACK return codes of MQTT 3.1.1 §3.2.2.3: bad user name or password, not authorized. */
const LOGIN_REFUSALS: readonly unknown[] = [4, 5];

function isLoginRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && LOGIN_REFUSALS.includes(error.code);
}

function withoutSecrets(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}
