/** A forwarder with quick delays between an outbox in memory and a server, for tests. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { SinkConfig } from '../../src/config/schema.ts';
import { configSchema } from '../../src/config/schema.ts';
import type { OutboxReader } from '../../src/domain/outbox.ts';
import { Forwarder } from '../../src/forward/forwarder.ts';
import { pointWriterOf } from '../../src/forward/point-writer.ts';
import { SYSTEM_CLOCK } from '../../src/runtime/system-clock.ts';
import { SILENT } from '../../src/telemetry/logger.ts';

const QUICK = { flushIntervalMs: 50, retryMinMs: 50, retryMaxMs: 500, requestTimeoutMs: 5_000 };

/** Defaults of the schema, delays of a test. */
export function sinkConfig(sink: Readonly<Record<string, unknown>>): SinkConfig {
  const config = configSchema.parse({ machineClasses: {}, sinks: { plant: { ...QUICK, ...sink } } });
  return config.sinks['plant']!;
}

export function startForwarder(outbox: OutboxReader, config: SinkConfig, random = Math.random): Forwarder {
  const writer = pointWriterOf('plant', config, SILENT, Date.now);
  const clock = SYSTEM_CLOCK;
  const forwarder = new Forwarder({ sink: 'plant', config, outbox, writer, logger: SILENT, clock, random });
  forwarder.start();
  return forwarder;
}

/** Polls until `condition` holds; throws after `timeoutMs` with what it was waiting for. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; ; await sleep(20)) {
    if (await condition()) return;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
  }
}
