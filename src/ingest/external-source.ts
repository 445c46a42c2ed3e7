/** A subscriber at the plant's own MQTT 3.1.1 or 5 broker as a source; the broker keeps what is not yet durable here. */

import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { IClientOptions, IConnackPacket, MqttClient } from 'mqtt';
import type { IngestConfig } from '../config/schema.ts';
import type { DeviceClock } from '../domain/gateway-clock.ts';
import { describeError, GatewayError } from '../errors.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import { ExternalStream } from './external-stream.ts';
import { IngestCore } from './ingest-core.ts';
import { forgoPacketNumberCache } from './packet-number-cache.ts';
import { ReconnectPolicy } from './reconnect-policy.ts';
import type { IngestContext, IngestSource, SessionGaps } from './source.ts';

const SETTLE_MS = 2000;
const CONNECT_TIMEOUT_MS = 15_000;
const DEFAULT_PORTS = { plain: 1883, tls: 8883 } as const;
/** A granted QoS from here on is a refusal. */
const SUBACK_FAILURE = 0x80;
/** MQTT 5 reason code: another client came with our id. */
const SESSION_TAKEN_OVER = 0x8e;

const ONE_ID_EACH = 'give each gateway an ingest.external.clientId of its own';

interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export class ExternalSource implements IngestSource {
  readonly address: string;
  readonly #config: IngestConfig;
  readonly #context: IngestContext;
  readonly #core: IngestCore;
  readonly #topicFilters: readonly string[];
  readonly #broker: BrokerAddress;
  #makeClient: ((options: IClientOptions) => MqttClient) | null = null;
  #client: MqttClient | null = null;
  #stream: ExternalStream | null = null;
  #retry: NodeJS.Timeout | null = null;
  readonly #reconnects: ReconnectPolicy;
  #takenOver = false;
  /** The broker should still have our session. */
  #expectsSession: boolean;
  #connectedBefore = false;
  #lastGapMs: number | null = null;
  #stopping = false;
  /** Empty while connected and subscribed. */
  #reason = 'not started';

  /** @throws GatewayError MW_CONFIG_INVALID */
  constructor(config: IngestConfig, context: IngestContext, topicFilters: readonly string[]) {
    this.#config = config;
    this.#context = context;
    this.#topicFilters = topicFilters;
    this.#broker = brokerAddress(config.external.url);
    const { host, port, tls } = this.#broker;
    this.address = `${tls ? 'mqtts' : 'mqtt'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    this.#core = new IngestCore(config, context);
    const { reconnectMinMs, reconnectMaxMs } = config.external;
    this.#expectsSession = context.hasRunBefore === true;
    this.#reconnects = new ReconnectPolicy(reconnectMinMs, reconnectMaxMs);
  }

  /** Returns once connecting has begun: the broker may come up after the gateway. @throws GatewayError MW_INGEST_EXTERNAL */
  async start(): Promise<void> {
    await forgoPacketNumberCache();
    const { default: mqtt } = await import('mqtt');
    const openSocket = this.#socketOpener();
    this.#makeClient = (options) => new mqtt.MqttClient(() => this.#openStream(openSocket()), options);
    this.#connect();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#stream?.stopReading();
    await this.#core.settle(SETTLE_MS);
    const client = this.#client;
    if (client === null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, SETTLE_MS);
      client.end(!client.connected, {}, () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#stream?.destroy();
  }

  onCommitted(position: number): void {
    this.#core.acknowledger.onCommitted(position, performance.now());
    this.#stream?.committed();
  }

  get connections(): number {
    return this.#reason === '' ? 1 : 0;
  }

  get health(): { ok: boolean; reason: string } {
    return { ok: this.#reason === '', reason: this.#reason };
  }

  get sessionGaps(): SessionGaps {
    return { count: this.#core.counters.sessionGaps, lastMs: this.#lastGapMs };
  }

  get acknowledgedMessages(): number {
    return this.#core.counters.acknowledged;
  }

  get pendingAcks(): number {
    return this.#core.acknowledger.pending;
  }

  skewedClocks(): DeviceClock[] {
    return this.#core.clocks.worst();
  }

  get ackLatencyP99Ms(): number | null {
    return this.#core.ackLatencyP99Ms;
  }

  metrics(): MetricSample[] {
    return this.#core.metrics(this.connections);
  }

  /** A fresh client each time: no state of the old connection can hold up the new one. */
  #connect(): void {
    this.#retry = null;
    this.#reason = `connecting to ${this.address}`;
    const client = this.#makeClient!(this.#options());
    this.#client = client;
    client.on('connect', (connack) => this.#connected(client, connack));
    client.on('error', (error) => this.#failed(describeError(error)));
    client.on('disconnect', ({ reasonCode }) => this.#dismissed(reasonCode));
    client.on('close', () => this.#lost(client));
  }

  #options(): IClientOptions {
    const { clientId, protocolVersion, keepaliveS, sessionExpiryS, receiveMaximum, username, password } =
      this.#config.external;
    return {
      protocolId: 'MQTT',
      protocolVersion,
      clientId,
      clean: false,
      keepalive: keepaliveS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      // We reconnect ourselves, with jitter.
      reconnectPeriod: 0,
      resubscribe: false,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      // No maximumPacketSize: the broker would drop what is larger without a word to the sender or to us.
      ...(protocolVersion === 5
        ? { properties: { sessionExpiryInterval: sessionExpiryS, receiveMaximum } }
        : {}),
    };
  }

  #openStream(socket: Socket): ExternalStream {
    const { protocolVersion } = this.#config.external;
    const { acceptor, acknowledger, counters } = this.#core;
    const stream = new ExternalStream(socket, {
      acceptor,
      acknowledger,
      counters,
      protocolVersion,
      limits: this.#config.limits,
      deadLetterPayloadBytes: this.#config.deadLetterPayloadBytes,
      unknownTopics: this.#config.external.unknownTopics,
      position: () => this.#context.sink.position,
      now: () => this.#context.now(),
    });
    this.#stream = stream;
    return stream;
  }

  #socketOpener(): () => Socket {
    const { host, port, tls } = this.#broker;
    const { caFile } = this.#config.external;
    if (!tls) return () => connectTcp({ host, port, noDelay: true });
    const ca = caFile === undefined ? undefined : readCertificate(caFile);
    return () => {
      const socket = connectTls({ host, port, servername: host, ...(ca === undefined ? {} : { ca }) });
      socket.setNoDelay(true);
      return socket;
    };
  }

  #connected(client: MqttClient, connack: IConnackPacket): void {
    const { logger } = this.#context;
    const { sessionPresent } = connack;
    this.#reconnects.established(performance.now());
    this.#takenOver = false;
    if (this.#connectedBefore) this.#core.counters.reconnects += 1;
    if (this.#expectsSession && !sessionPresent) this.#gap();
    this.#connectedBefore = true;
    this.#expectsSession = true;
    logger.info({ broker: this.address, sessionPresent }, 'connected to the MQTT broker');
    // Always, not only for a new session: the templates may have changed since the broker stored it.
    const subscriptions = Object.fromEntries(
      this.#topicFilters.map((filter) => [filter, { qos: 1 as const, rh: 1 }]),
    );
    client.subscribe(subscriptions, (error, granted) => {
      if (client !== this.#client || this.#stopping) return;
      const refused = (granted ?? [])
        .filter(({ qos }) => (qos as number) >= SUBACK_FAILURE)
        .map(({ topic }) => topic);
      if (error === null && refused.length === 0) {
        this.#reason = '';
        return;
      }
      this.#reason = `the broker refused the subscription to ${refused.join(', ') || describeError(error)}`;
      logger.error({ broker: this.address, refused }, 'the MQTT broker refused our subscription');
    });
  }

  /** What was published while we were away went to nobody. */
  #gap(): void {
    this.#core.counters.sessionGaps += 1;
    this.#lastGapMs = this.#context.now();
    this.#context.logger.warn(
      {
        broker: this.address,
        clientId: this.#config.external.clientId,
        hint: 'let the broker keep sessions: persistence, and no shorter expiry than the longest absence',
      },
      'the broker forgot our session: messages of the meantime are lost',
    );
  }

  /** The broker said why it ends the connection (MQTT 5). */
  #dismissed(reasonCode: number | undefined): void {
    if (reasonCode !== SESSION_TAKEN_OVER) return;
    this.#takenOver = true;
    const { clientId } = this.#config.external;
    this.#reason = `${this.address}: another client took over the id ${clientId}`;
    this.#core.complaints.warn(
      'taken_over',
      performance.now(),
      'another client uses our MQTT client id',
      () => ({
        broker: this.address,
        clientId,
        hint: ONE_ID_EACH,
      }),
    );
  }

  /** Many brokers end the older connection without a word: again and again at once looks like it. */
  #suspectFight(): void {
    this.#core.complaints.warn(
      'taken_over',
      performance.now(),
      'the broker ends our connection again and again: does another client use our MQTT client id?',
      () => ({ broker: this.address, clientId: this.#config.external.clientId, hint: ONE_ID_EACH }),
    );
  }

  #failed(reason: string): void {
    this.#reason = `${this.address}: ${reason}`;
    this.#core.complaints.warn('external', performance.now(), 'no connection to the MQTT broker', () => ({
      broker: this.address,
      reason,
    }));
  }

  #lost(client: MqttClient): void {
    if (client !== this.#client || this.#stopping || this.#retry !== null) return;
    this.#stream?.destroy();
    if (this.#reason === '' || this.#reason.startsWith('connecting')) this.#failed('connection closed');
    const delayMs = this.#reconnects.lost(performance.now(), Math.random(), this.#takenOver);
    if (this.#reconnects.suspectsFight) this.#suspectFight();
    this.#retry = setTimeout(() => this.#connect(), delayMs);
  }
}

/** @throws GatewayError MW_CONFIG_INVALID */
function brokerAddress(text: string): BrokerAddress {
  const url = new URL(text);
  const scheme = url.protocol.slice(0, -1);
  if (scheme === 'ws' || scheme === 'wss') {
    throw new GatewayError(
      'MW_CONFIG_INVALID',
      `ingest.external.url ${scheme}://: MQTT over WebSocket is not supported`,
      {
        hint: "use the broker's TCP listener, mqtt:// or mqtts://",
      },
    );
  }
  const tls = scheme === 'mqtts' || scheme === 'ssl';
  const port = url.port === '' ? (tls ? DEFAULT_PORTS.tls : DEFAULT_PORTS.plain) : Number(url.port);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port, tls };
}

/** @throws GatewayError MW_INGEST_EXTERNAL */
function readCertificate(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new GatewayError('MW_INGEST_EXTERNAL', `ingest.external.caFile ${file}: ${describeError(cause)}`, {
      cause,
    });
  }
}
