/** The built-in broker as a source: the front door, aedes behind it, and the commits that acknowledge. */

import type { IngestConfig } from '../config/schema.ts';
import type { DeviceClock } from '../domain/gateway-clock.ts';
import { GatewayError } from '../errors.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import { AccessControl } from './access-control.ts';
import { Broker } from './broker.ts';
import { ByteBudget } from './byte-budget.ts';
import { FanOut } from './fan-out.ts';
import { FrontDoor } from './front-door.ts';
import { IngestCore } from './ingest-core.ts';
import type { IngestContext, IngestSource, SessionGaps } from './source.ts';

const SETTLE_MS = 2000;

export class EmbeddedSource implements IngestSource {
  readonly #config: IngestConfig;
  readonly #context: IngestContext;
  readonly #core: IngestCore;
  readonly #broker: Broker;
  readonly #door: FrontDoor;
  readonly #fanOut: FanOut;
  readonly #partial: ByteBudget;
  #address: string;

  /** @throws GatewayError MW_CONFIG_INVALID */
  constructor(config: IngestConfig, context: IngestContext) {
    const { host, port, users, allowAnonymous } = config.embedded;
    if (!isLoopback(host) && users.length === 0 && !allowAnonymous) {
      throw new GatewayError(
        'MW_CONFIG_INVALID',
        `ingest.embedded.host ${host} is open to the network without users`,
      );
    }
    this.#config = config;
    this.#context = context;
    this.#address = mqttUrl(host, port);
    this.#core = new IngestCore(config, context);
    const { acceptor, acknowledger, counters, complaints } = this.#core;
    this.#partial = new ByteBudget(config.limits.maxPartialBytes);
    this.#fanOut = new FanOut(config.limits, counters);
    const shared = {
      limits: config.limits,
      deadLetterPayloadBytes: config.deadLetterPayloadBytes,
      acceptor,
      acknowledger,
      counters,
      complaints,
      fanOut: this.#fanOut,
      position: () => context.sink.position,
      now: () => context.now(),
    };
    this.#broker = new Broker({
      ...shared,
      unknownTopics: config.embedded.unknownTopics,
      access: new AccessControl(config.embedded),
      logger: context.logger,
    });
    this.#door = new FrontDoor({
      ...shared,
      openBroker: (stream, connection) => this.#broker.open(stream, connection),
      partial: this.#partial,
      onRead: context.onRead ?? (() => undefined),
      onConnection: context.onConnection ?? (() => undefined),
    });
  }

  /** @throws GatewayError MW_INGEST_LISTEN */
  async start(): Promise<void> {
    const { host, port, users, allowAnonymous } = this.#config.embedded;
    await this.#broker.start();
    const bound = await this.#door.listen(host, port);
    this.#address = mqttUrl(isLoopback(host) ? host : bound.host, bound.port);
    const { logger } = this.#context;
    logger.info({ address: this.#address, users: users.length }, 'listening for MQTT');
    if (allowAnonymous)
      logger.warn({ address: this.#address }, 'MQTT clients without user name are accepted');
  }

  async stop(): Promise<void> {
    this.#door.stopReading();
    await this.#core.settle(SETTLE_MS);
    await this.#broker.close();
    this.#door.close();
  }

  get address(): string {
    return this.#address;
  }

  onCommitted(position: number): void {
    this.#core.acknowledger.onCommitted(position, performance.now());
    this.#broker.committed();
    this.#door.committed();
  }

  get connections(): number {
    return this.#door.connections;
  }

  get health(): { ok: boolean; reason: string } {
    const ok = this.#door.listening;
    return { ok, reason: ok ? '' : 'not listening for MQTT' };
  }

  get sessionGaps(): SessionGaps {
    return { count: 0, lastMs: null };
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
    return [
      ...this.#core.metrics(this.#door.connections),
      ...this.#fanOut.metrics(),
      { name: 'millwright_ingest_queued_bytes', value: this.#broker.queuedBytes },
      { name: 'millwright_ingest_partial_bytes', value: this.#partial.usedBytes },
    ];
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function mqttUrl(host: string, port: number): string {
  return `mqtt://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
