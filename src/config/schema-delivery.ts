/** Configuration behind the windows: inference, store and sinks. */

import { z } from 'zod';
import { count, ms } from './schema-parts.ts';

const influxSinkSchema = z.strictObject({
  type: z.literal('influxdb2').describe('InfluxDB 2.x and 3 (v2 API), through the official client'),
  url: z
    .string()
    .regex(/^https?:\/\/\S+$/, 'http://host:8086')
    .describe('base address of the database'),
  org: z.string().default('plant').describe('organisation the bucket belongs to'),
  bucket: z.string().default('gw').describe('must exist; the token must be allowed to write to it'),
  token: z.string().default('').describe('write ${ENV_NAME} to take it from the environment'),
});

const lineProtocolSinkSchema = z.strictObject({
  type: z
    .literal('line-protocol')
    .describe('InfluxDB 1.8 and VictoriaMetrics: POST of line protocol to /write'),
  url: z
    .string()
    .regex(/^https?:\/\/\S+$/, 'http://host:8086')
    .describe('base address of the database'),
  database: z.string().default('gw').describe('VictoriaMetrics keeps it as label `db`'),
  username: z.string().optional().describe('for basic authentication'),
  password: z.string().optional().describe('write ${ENV_NAME} to take it from the environment'),
});

/** Keys that every sink has. */
export const deliverySchema = z.strictObject({
  batchPoints: count(1, 50000, 5000, 'points in one request'),
  flushIntervalMs: ms(50, 600000, 1000, 'how long a point waits for company'),
  requestTimeoutMs: ms(100, 600000, 30000, 'a request without answer is given up and sent again'),
  retryMinMs: ms(10, 600000, 1000, 'first retry delay; doubles with full jitter'),
  retryMaxMs: ms(100, 3600000, 60000, 'longest retry delay'),
  gzip: z.boolean().default(true).describe('compress request bodies'),
});

/** One entry of `sinks`. */
export const sinkSchema = z.discriminatedUnion('type', [
  influxSinkSchema.extend(deliverySchema.shape),
  lineProtocolSinkSchema.extend(deliverySchema.shape),
]);

/** What the medium bears, for the estimate of its life. */
const flashSchema = z.strictObject({
  capacityBytes: count(1000000, 1e15, 32000000000, 'size of the card or disk'),
  writeCycles: count(
    1,
    1000000,
    500,
    'times each cell can be written: 500 for consumer cards, 3000 for endurance cards; for a rating in terabytes written, that over the size',
  ),
  writeAmplification: z
    .number()
    .min(1)
    .max(100)
    .default(4)
    .describe('bytes the cells take for each byte of ours: file system and the card itself'),
  budgetBytesPerDay: count(1000000, 1e15, 5000000000, 'more than this a day is warned of'),
});

/** Keys of `store` that a profile sets where the file does not. */
export const STORE_PROFILES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'sd-saver': { commitWindowMs: 500, adaptiveCommit: false, compressJournal: true },
};

/** Section `store`: what is kept, and for how long. */
export const storeSchema = z.strictObject({
  profile: z
    .enum(['default', 'sd-saver'])
    .default('default')
    .describe(
      'sd-saver: fewer and smaller writes for a memory card, by commitWindowMs 500, adaptiveCommit false and ' +
        'compressJournal true; a key that is written out wins',
    ),
  commitWindowMs: ms(
    0,
    1000,
    50,
    'group commit: QoS 1 is acknowledged at the end of each window, after the fsync',
  ),
  adaptiveCommit: z
    .boolean()
    .default(true)
    .describe('commit early when a client waits with its in-flight allowance used up'),
  compressJournal: z
    .boolean()
    .default(false)
    .describe('records are deflated before they are written: about half the bytes for a few per cent of CPU'),
  flash: flashSchema.prefault({}),
  maxBytes: count(1048576, 1099511627776, 1073741824, 'size the database may grow to'),
  maxAgeDays: z
    .number()
    .positive()
    .max(3660)
    .default(30)
    .describe('undelivered points older than this are evicted and counted'),
  minFreeBytes: count(
    0,
    1099511627776,
    67108864,
    'free space below which new data is no longer acknowledged',
  ),
  maxQuarantineBytes: count(
    0,
    1099511627776,
    1073741824,
    'damaged databases are kept up to this size, the newest in any case',
  ),
  maxDeadLetterBytes: count(65536, 1073741824, 16777216, 'oldest dead letters go first beyond this'),
});

/** Section `inference`: how models run. */
export const inferenceSchema = z.strictObject({
  isolation: z
    .enum(['process', 'thread'])
    .default('process')
    .describe('process: a crash inside a model cannot take the gateway down'),
  deadlineMs: ms(10, 60000, 2000, 'a window whose models have not answered by then goes on without scores'),
  maxQueue: count(
    1,
    100000,
    4096,
    'vectors waiting for inference; beyond, the oldest goes on without scores',
  ),
});
