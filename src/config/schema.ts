/**
 * The one source of configuration: types, defaults, ranges and descriptions. The example file and the JSON Schema
 * are generated from here (`millwright check --write-schema`), never edited by hand. The sections with many keys have
 * files of their own: `schema-ingest.ts`, `schema-machine-class.ts`, `schema-delivery.ts`.
 */

import { z } from 'zod';
import { clockSchema } from './schema-clock.ts';
import { type deliverySchema, inferenceSchema, sinkSchema, storeSchema } from './schema-delivery.ts';
import { historySchema } from './schema-history.ts';
import { ingestSchema } from './schema-ingest.ts';
import { machineClassSchema } from './schema-machine-class.ts';
import { count, identifier, ms } from './schema-parts.ts';

const httpSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('the page, the API and /metrics; all read-only'),
  host: z
    .string()
    .default('127.0.0.1')
    .describe('address to listen on; other than loopback shows the page to the network, without a login'),
  port: count(0, 65535, 8080, 'TCP port; 0 takes a free one'),
});

/** The whole configuration. Unknown keys are errors. */
export const configSchema = z.strictObject({
  gateway: z
    .strictObject({ id: identifier.default('millwright').describe('tag `gateway` of the status points') })
    .prefault({}),
  dataDir: z
    .string()
    .default('data')
    .describe('everything that must survive; relative to the working directory'),
  modelsDir: z
    .string()
    .default('models')
    .describe('relative to the working directory, then to the installation'),
  ingest: ingestSchema.prefault({}),
  clock: clockSchema.prefault({}),
  machineClasses: z
    .record(identifier, machineClassSchema)
    .describe('one entry may stand for hundreds of machines'),
  inference: inferenceSchema.prefault({}),
  store: storeSchema.prefault({}),
  history: historySchema.prefault({}),
  sinks: z.record(identifier, sinkSchema).default({}).describe('where points go; each has its own cursor'),
  statusIntervalMs: ms(1000, 3600000, 10000, 'how often the gateway writes its own status point'),
  http: httpSchema.prefault({}),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('least severe line that is written'),
    })
    .prefault({}),
});

export type Config = z.output<typeof configSchema>;
export type ConfigInput = z.input<typeof configSchema>;
export type MachineClassConfig = Config['machineClasses'][string];
export type ChannelConfig = MachineClassConfig['channels'][string];
export type PayloadConfig = MachineClassConfig['payload'];
export type WindowConfig = MachineClassConfig['window'];
export type MachineParameters = MachineClassConfig['parameters'];
export type BaselineConfig = MachineClassConfig['baseline'];
export type HealthConfig = MachineClassConfig['health'];
export type SinkConfig = Config['sinks'][string];
export type InfluxSinkConfig = Extract<SinkConfig, { type: 'influxdb2' }>;
export type LineProtocolSinkConfig = Extract<SinkConfig, { type: 'line-protocol' }>;
export type DeliveryConfig = z.output<typeof deliverySchema>;
export type StoreConfig = Config['store'];
export type ClockConfig = Config['clock'];
export type HistoryConfig = Config['history'];
export type IngestConfig = Config['ingest'];
export type IngestLimits = Config['ingest']['limits'];
export type InferenceConfig = Config['inference'];
export type HttpConfig = Config['http'];
