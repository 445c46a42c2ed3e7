/** Configuration of a sink -> the writer that speaks its server's language. */

import type { SinkConfig } from '../config/schema.ts';
import type { Logger } from '../telemetry/logger.ts';
import { InfluxWriter } from './influx-writer.ts';
import { LineProtocolWriter } from './line-protocol-writer.ts';
import type { PointWriter } from './write-outcome.ts';

/** @param now wall clock, ms since the epoch: a server may name the date of the next attempt */
export function pointWriterOf(
  sink: string,
  config: SinkConfig,
  logger: Logger,
  now: () => number,
): PointWriter {
  if (config.type === 'influxdb2') return new InfluxWriter(sink, config, logger, now);
  return new LineProtocolWriter(sink, config, now);
}
