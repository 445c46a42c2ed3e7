/** Ingest messages enter, those that a local subscriber wants leave through aedes. */

import type { Aedes, PublishPacket } from 'aedes';
import type { IngestLimits } from '../config/schema.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import type { IngestCounters } from './ingest-counters.ts';
import { topicMatches } from './topic-filter.ts';
import type { Route } from './topic-router.ts';

/** Messages on their way to local subscribers; beyond, they miss some: ingest never waits for a subscriber. */
const MAX_UNDER_WAY = 1000;
const MAX_UNDER_WAY_BYTES = 16_777_216;

/** Bounds what the broker keeps as retained messages, which aedes holds in memory. */
export class RetainedBudget {
  readonly #limits: IngestLimits;
  readonly #counters: IngestCounters;
  readonly #sizes = new Map<string, number>();
  #bytes = 0;

  constructor(limits: IngestLimits, counters: IngestCounters) {
    this.#limits = limits;
    this.#counters = counters;
  }

  get messages(): number {
    return this.#sizes.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True if a message may be retained; an empty one gives its topic's share back. [MQTT-3.3.1-10] */
  admit(topic: string, bytes: number): boolean {
    const before = this.#sizes.get(topic);
    if (bytes === 0) {
      this.#sizes.delete(topic);
      this.#bytes -= before ?? 0;
      return true;
    }
    const size = topic.length + bytes;
    const tooMany = before === undefined && this.#sizes.size >= this.#limits.maxRetainedMessages;
    if (tooMany || this.#bytes - (before ?? 0) + size > this.#limits.maxRetainedBytes) {
      this.#counters.retainedRefused += 1;
      return false;
    }
    this.#sizes.set(topic, size);
    this.#bytes += size - (before ?? 0);
    return true;
  }
}

/** Follows the subscriptions of the broker. */
export class FanOut {
  readonly #limits: IngestLimits;
  readonly #counters: IngestCounters;
  /** Client id -> filters. A persistent session keeps them while its client is away. */
  readonly #sessions = new Map<string, Set<string>>();
  readonly retained: RetainedBudget;
  readonly #verdicts = new WeakMap<Route, { generation: number; wanted: boolean }>();
  #generation = 0;
  #underWay = 0;
  #underWayBytes = 0;
  #broker: Aedes | null = null;

  constructor(limits: IngestLimits, counters: IngestCounters) {
    this.#limits = limits;
    this.#counters = counters;
    this.retained = new RetainedBudget(limits, counters);
  }

  /** Sessions that hold subscriptions, those of clients that are away included. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Adds a filter to the client's session, within the limits; one it holds already always passes. */
  admit(clientId: string, filter: string): boolean {
    const { maxConnections, maxSubscriptionsPerConnection } = this.#limits;
    const filters = this.#sessions.get(clientId);
    if (filters?.has(filter)) return true;
    if (filters === undefined && this.#sessions.size >= maxConnections) return false;
    if ((filters?.size ?? 0) >= maxSubscriptionsPerConnection) return false;
    if (filters === undefined) this.#sessions.set(clientId, new Set([filter]));
    else filters.add(filter);
    this.#generation += 1;
    return true;
  }

  metrics(): MetricSample[] {
    return [
      { name: 'millwright_ingest_sessions', value: this.#sessions.size },
      { name: 'millwright_ingest_retained_messages', value: this.retained.messages },
      { name: 'millwright_ingest_retained_bytes', value: this.retained.bytes },
    ];
  }

  follow(broker: Aedes): void {
    this.#broker = broker;
    // A clean session ends what an earlier one of the same id had subscribed to.
    broker.on('client', (client) => {
      if (client.clean) this.#forget(client.id);
    });
    broker.on('clientDisconnect', (client) => {
      if (client.clean) this.#forget(client.id);
    });
    broker.on('unsubscribe', (topics, client) => {
      const filters = this.#sessions.get(client.id);
      for (const topic of topics) filters?.delete(topic);
      if (filters?.size === 0) this.#sessions.delete(client.id);
      this.#generation += 1;
    });
  }

  /** Remembered per route until somebody subscribes or leaves. */
  isWanted(route: Route): boolean {
    if (this.#sessions.size === 0) return false;
    let verdict = this.#verdicts.get(route);
    if (verdict === undefined || verdict.generation !== this.#generation) {
      verdict = { generation: this.#generation, wanted: this.#matches(route.topic) };
      this.#verdicts.set(route, verdict);
    }
    return verdict.wanted;
  }

  /** True if some session's filter takes the topic; walks all filters. */
  isSubscribed(topic: string): boolean {
    return this.#matches(topic);
  }

  /** The payload is copied. */
  publish(topic: string, payload: Buffer, qos: 0 | 1, retain: boolean): void {
    if (this.#broker === null) return;
    const bytes = payload.length;
    if (this.#underWay >= MAX_UNDER_WAY || this.#underWayBytes + bytes > MAX_UNDER_WAY_BYTES) {
      this.#counters.fanOutDropped += 1;
      return;
    }
    this.#underWay += 1;
    this.#underWayBytes += bytes;
    const kept = retain && this.retained.admit(topic, payload.length);
    const packet: PublishPacket = {
      cmd: 'publish',
      topic,
      payload: Buffer.from(payload),
      qos,
      retain: kept,
      dup: false,
    };
    this.#broker.publish(packet, () => {
      this.#underWay -= 1;
      this.#underWayBytes -= bytes;
    });
  }

  #forget(clientId: string): void {
    if (this.#sessions.delete(clientId)) this.#generation += 1;
  }

  #matches(topic: string): boolean {
    for (const filters of this.#sessions.values()) {
      for (const filter of filters) if (topicMatches(filter, topic)) return true;
    }
    return false;
  }
}
