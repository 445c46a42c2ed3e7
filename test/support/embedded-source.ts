/** The embedded broker as a source under test: real sockets, a real ring, commits when the test says so. */

import { afterEach } from 'vitest';
import type { ConfigInput } from '../../src/config/schema.ts';
import { createEmbeddedSource, type IngestSource } from '../../src/ingest/source.ts';
import type { Logger } from '../../src/telemetry/logger.ts';
import { harness, type TestCommitter, testConfig } from './ingest-harness.ts';
import { RawClient } from './raw-mqtt.ts';

export const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export interface Started {
  readonly source: IngestSource;
  readonly port: number;
  readonly committer: TestCommitter;
  /** Drains the ring and acknowledges. */
  commit(): void;
}

/** Started on a free port; stopped after the test. */
export async function start(
  options: {
    ingest?: ConfigInput['ingest'];
    machineClasses?: ConfigInput['machineClasses'];
    commitEveryMs?: number;
    /** Time a commit takes. */
    commitTakesMs?: number;
    keep?: boolean;
    logger?: Logger;
  } = {},
): Promise<Started> {
  const config = testConfig(options.machineClasses, options.ingest);
  let onRequest = () => undefined as unknown;
  const { context, committer, ingest } = harness(config, {
    onRequest: () => onRequest(),
    ...(options.keep === undefined ? {} : { keep: options.keep }),
    ...(options.logger === undefined ? {} : { logger: options.logger }),
  });
  const source = createEmbeddedSource(ingest, context);
  await source.start();
  cleanups.push(() => source.stop());
  const commit = () => {
    const position = committer.drain();
    if (options.commitTakesMs === undefined) source.onCommitted(position);
    else setTimeout(() => source.onCommitted(position), options.commitTakesMs);
  };
  if (options.commitEveryMs !== undefined) {
    onRequest = () => setImmediate(commit);
    const timer = setInterval(commit, options.commitEveryMs);
    cleanups.push(() => clearInterval(timer));
  }
  return { source, port: Number(new URL(source.address).port), committer, commit };
}

/** Connected; closed after the test. */
export async function client(
  port: number,
  options: Parameters<typeof RawClient.connected>[1] = {},
): Promise<RawClient> {
  const raw = await RawClient.connected(port, options);
  cleanups.push(() => raw.close());
  return raw;
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
export const json = (v: number) => JSON.stringify({ t: 1_764_000_000_000 + v, v });
