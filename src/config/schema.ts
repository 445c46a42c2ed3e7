/**
 * The one source of configuration: types, defaults, ranges and descriptions. The example file and the JSON Schema
 * are generated from here (`millwright check --write-schema`), never edited by hand.
 */

import { z } from 'zod';

/** Seconds-and-milliseconds helper: an integer of milliseconds in [min, max] with a default. */
function ms(min: number, max: number, fallback: number, about: string) {
  return z.number().int().min(min).max(max).default(fallback).describe(about);
}

function count(min: number, max: number, fallback: number, about: string) {
  return z.number().int().min(min).max(max).default(fallback).describe(about);
}

const identifier = z.string().regex(/^[A-Za-z0-9_.:-]{1,64}$/, 'letters, digits, _ . : - (at most 64)');
const glob = z.string().regex(/^[A-Za-z0-9_.:*?-]{1,64}$/, 'an id in which * and ? stand for any characters');

const userSchema = z.strictObject({
  username: z.string().min(1).max(64).describe('as in the CONNECT packet'),
  password: z.string().min(1).describe('plain text; write ${ENV_NAME} to take it from the environment'),
  publish: z
    .array(z.string())
    .default([])
    .describe('topic filters this user may publish to; %u is the user name'),
  subscribe: z.array(z.string()).default([]).describe('topic filters this user may subscribe to'),
});

const limitsSchema = z.strictObject({
  maxConnections: count(1, 20000, 1000, 'open MQTT connections in all'),
  maxConnectionsPerAddress: count(1, 20000, 200, 'open MQTT connections from one IP address'),
  maxPreAuthConnections: count(1, 20000, 200, 'sockets that have not yet been accepted by CONNACK'),
  connectTimeoutMs: ms(100, 60000, 5000, 'a socket that has not completed CONNECT by then is closed'),
  maxPreAuthBytes: count(64, 65536, 4096, 'bytes a socket may send before CONNACK'),
  maxPacketBytes: count(256, 16777216, 1048576, 'largest MQTT packet accepted after CONNACK'),
  maxTopicBytes: count(16, 65535, 512, 'longest topic'),
  maxTopicLevels: count(1, 100, 16, 'deepest topic'),
  maxUnackedPerConnection: count(
    20,
    65535,
    20000,
    'QoS 1 messages of one connection that wait for the commit; reading stops beyond',
  ),
  maxMessagesPerSecondPerConnection: count(
    1,
    1000000,
    100000,
    'reading from a faster connection is paced to this',
  ),
  maxSubscriptionsPerConnection: count(0, 10000, 50, 'topic filters one connection may hold'),
  subscriberDrainTimeoutMs: ms(100, 60000, 1500, 'a subscriber that stops reading is dropped after this'),
  maxChannels: count(
    1,
    200000,
    20000,
    'distinct machine/channel pairs; beyond, messages go to the dead letters',
  ),
});

const embeddedSchema = z.strictObject({
  host: z
    .string()
    .default('127.0.0.1')
    .describe('address to listen on; other than loopback needs users or allowAnonymous'),
  port: count(0, 65535, 1883, 'TCP port; 0 takes a free one'),
  users: z
    .array(userSchema)
    .default([])
    .describe('who may connect; empty means nobody unless allowAnonymous'),
  allowAnonymous: z
    .boolean()
    .default(false)
    .describe('accept clients without user name; every log start says so'),
});

const externalSchema = z.strictObject({
  url: z
    .string()
    .regex(/^(mqtt|mqtts|tcp|ssl|ws|wss):\/\/\S+$/, 'mqtt://host:port or mqtts://host:port')
    .default('mqtt://127.0.0.1:1883')
    .describe('your broker; mqtts:// for TLS'),
  protocolVersion: z
    .union([z.literal(4), z.literal(5)])
    .default(5)
    .describe('4 is MQTT 3.1.1'),
  clientId: identifier.default('millwright').describe('stable, so that the broker keeps our session'),
  username: z.string().optional().describe('as your broker knows us'),
  password: z.string().optional().describe('write ${ENV_NAME} to take it from the environment'),
  caFile: z.string().optional().describe('PEM file of the CA that signed the broker certificate'),
  keepaliveS: count(5, 3600, 30, 'MQTT keep alive'),
  sessionExpiryS: count(
    0,
    4294967295,
    86400,
    'MQTT 5: how long the broker keeps our session while we are away',
  ),
  receiveMaximum: count(1, 65535, 5000, 'MQTT 5: messages the broker may send before we acknowledge'),
  reconnectMinMs: ms(50, 60000, 1000, 'first reconnect delay; grows with full jitter'),
  reconnectMaxMs: ms(100, 600000, 30000, 'longest reconnect delay'),
});

const clockGuardSchema = z.strictObject({
  maxFutureMs: ms(0, 86400000, 5000, 'a sample further ahead of the gateway clock goes to the dead letters'),
  maxPastMs: ms(
    0,
    3155760000000,
    86400000,
    'a sample older than this goes to the dead letters; 0 accepts any age',
  ),
});

const ingestSchema = z.strictObject({
  mode: z
    .enum(['embedded', 'external'])
    .default('embedded')
    .describe('embedded: sensors connect to us; external: we subscribe to your broker'),
  embedded: embeddedSchema.prefault({}),
  external: externalSchema.prefault({}),
  limits: limitsSchema.prefault({}),
  clockGuard: clockGuardSchema.prefault({}),
  deadLetterPayloadBytes: count(64, 1048576, 16384, 'a bad payload is kept up to this many bytes'),
  ringBytes: count(
    65536,
    268435456,
    8388608,
    'ring between the MQTT thread and the pipeline; a power of two',
  ),
});

const payloadSchema = z.discriminatedUnion('format', [
  z.strictObject({
    format: z.literal('json'),
    value: z.string().default('/v').describe('JSON pointer to the number, or to the array of numbers'),
    fields: z
      .record(identifier, z.string())
      .optional()
      .describe(
        'many channels in one message: channel -> JSON pointer; replaces value and the {channel} of the topic',
      ),
    allFields: z
      .boolean()
      .default(false)
      .describe('every numeric top-level member except time and sequence is a channel'),
    time: z
      .string()
      .nullable()
      .default('/t')
      .describe('JSON pointer to the event time; null stamps at arrival'),
    timeUnit: z
      .enum(['s', 'ms', 'us', 'ns', 'iso8601'])
      .default('ms')
      .describe('of the event time, since the epoch'),
    sequence: z.string().nullable().default(null).describe('JSON pointer to a sequence number'),
    unit: z
      .string()
      .nullable()
      .default(null)
      .describe('JSON pointer to a unit that must equal the declared one'),
    sampleRateHz: z
      .string()
      .nullable()
      .default(null)
      .describe('JSON pointer to the sample rate of a waveform array'),
  }),
  z.strictObject({
    format: z
      .literal('block')
      .describe('binary waveform block: 32-byte header, then samples (docs/payloads.md)'),
  }),
  z.strictObject({
    format: z.literal('number').describe('the payload is one decimal number in text, stamped at arrival'),
  }),
]);

/** Feature sets by id; the ids are stable and versioned (`domain.md` §1.10). */
export const FEATURE_SETS = [
  'vib.basic',
  'vib.spectral',
  'vib.iso',
  'vib.bearing',
  'proc.basic',
  'proc.trend',
  'usage',
] as const;

const channelSchema = z.strictObject({
  kind: z
    .enum(['scalar', 'waveform'])
    .default('scalar')
    .describe('one number at a time, or blocks of equidistant samples'),
  unit: z
    .string()
    .min(1)
    .max(24)
    .default('1')
    .describe('declared, never guessed: g, m/s2, mm/s, degC, bar, A, ...'),
  periodMs: z
    .number()
    .positive()
    .max(86400000)
    .optional()
    .describe('nominal time between samples, for coverage'),
  sampleRateHz: z.number().positive().max(1000000).optional().describe('waveforms: required'),
  samplesPerWindow: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('waveforms sent as snapshots: samples expected per window; default is continuous'),
  features: z
    .array(z.enum(FEATURE_SETS))
    .default(['proc.basic'])
    .describe('what is computed per window (docs/features.md)'),
  payload: payloadSchema.optional().describe('overrides the payload of the class'),
  durability: z
    .enum(['disk', 'memory'])
    .default('disk')
    .describe('memory: acknowledged on receipt, not journaled; lost at a crash'),
  required: z.boolean().default(true).describe('holds back the watermark while it is not idle'),
});

const bearingSchema = z.strictObject({
  rollingElements: count(3, 200, 9, 'number of rolling elements'),
  ballDiameter: z.number().positive().describe('same unit as pitchDiameter'),
  pitchDiameter: z
    .number()
    .positive()
    .describe('diameter of the circle through the centres of the rolling elements'),
  contactAngleDeg: z
    .number()
    .min(0)
    .max(60)
    .default(0)
    .describe('0 for deep-groove and cylindrical roller bearings'),
});

const machineParametersSchema = z.strictObject({
  shaftSpeedRpm: z.number().positive().max(100000).optional().describe('nominal speed; vib.bearing needs it'),
  bearing: bearingSchema.optional().describe('geometry of the bearing that vib.bearing watches'),
  isoGroup: z
    .union([z.literal(1), z.literal(2)])
    .optional()
    .describe('ISO 10816-3 machine group'),
  isoSupport: z
    .enum(['rigid', 'flexible'])
    .optional()
    .describe('how the machine stands; with isoGroup it gives the zone limits'),
  envelopeBandHz: z
    .tuple([z.number().positive(), z.number().positive()])
    .optional()
    .describe('demodulation band; default 2-10 kHz within the spectrum'),
  running: z
    .strictObject({ channel: identifier, above: z.number() })
    .optional()
    .describe('the machine runs while the mean of this channel is above the value'),
  ratedLoad: z.number().positive().optional().describe('in the unit of the load channel'),
});

const windowSchema = z.strictObject({
  sizeMs: ms(100, 86400000, 10000, 'length of a window'),
  hopMs: z
    .number()
    .int()
    .min(100)
    .max(86400000)
    .optional()
    .describe('distance of window starts; default = sizeMs (tumbling)'),
  offsetMs: z.number().int().min(0).default(0).describe('windows start at multiples of hopMs plus this'),
  outOfOrderMs: ms(0, 3600000, 2000, 'how far samples of one machine may arrive out of order'),
  allowedLatenessMs: ms(
    0,
    86400000,
    0,
    'a closed window is recomputed for samples up to this late (revision + 1)',
  ),
  idleTimeoutMs: ms(100, 86400000, 30000, 'a channel silent for this long no longer holds back the others'),
  maxSamplesPerWindow: count(
    1,
    16777216,
    1048576,
    'samples one channel may hold in one window; more are counted and dropped',
  ),
});

const baselineSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('learn what is normal for each machine, then score against it'),
  model: z.string().default('machine-baseline').describe('folder under models/'),
  features: z
    .array(z.string())
    .default(['*'])
    .describe('full feature ids with * and ?; which features the detector watches'),
  minWindows: count(20, 100000, 200, 'windows of good quality to learn from'),
  minSpanMs: ms(0, 31557600000, 86400000, 'time those windows must span'),
  falseAlarmsPerMachinePer30Days: z
    .number()
    .positive()
    .max(1000)
    .default(1)
    .describe('budget that sets the threshold'),
  smoothingWindows: count(1, 1000, 1, 'the detector sees the mean of this many windows'),
});

const healthSchema = z.strictObject({
  raiseCount: count(1, 100, 3, 'windows over the limit ...'),
  raiseOutOf: count(1, 100, 5, '... out of this many, before an alarm is raised'),
  clearCount: count(1, 1000, 5, 'windows in a row below the limit before it clears'),
  rulWarning: z
    .number()
    .positive()
    .optional()
    .describe('warn when the lower end of the RUL interval is below this'),
  rulAlarm: z.number().positive().optional().describe('alarm when it is below this'),
});

const modelUseSchema = z.strictObject({
  name: z.string().describe('folder under modelsDir'),
  version: z.string().default('latest').describe('a folder under the name, or latest'),
});

const machineClassSchema = z.strictObject({
  machines: z
    .array(glob)
    .default(['*'])
    .describe('machine ids of this class, * and ? allowed; the first class that matches wins'),
  topics: z
    .array(z.string().min(1))
    .min(1)
    .describe('topic templates; {machine} and {channel} take one level each'),
  payload: payloadSchema.prefault({ format: 'json' }),
  channels: z
    .record(z.union([identifier, z.literal('*')]), channelSchema)
    .describe("channel name -> what it carries; '*' stands for any other"),
  parameters: machineParametersSchema.prefault({}),
  usage: z.boolean().default(false).describe('machine-level feature set usage: run hours, starts, cycles'),
  window: windowSchema.prefault({}),
  models: z.array(modelUseSchema).default([]),
  baseline: baselineSchema.prefault({ enabled: false }),
  health: healthSchema.prefault({}),
});

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

const deliverySchema = z.strictObject({
  batchPoints: count(1, 50000, 5000, 'points in one request'),
  flushIntervalMs: ms(50, 600000, 1000, 'how long a point waits for company'),
  requestTimeoutMs: ms(100, 600000, 30000, 'a request without answer is given up and sent again'),
  retryMinMs: ms(10, 600000, 1000, 'first retry delay; doubles with full jitter'),
  retryMaxMs: ms(100, 3600000, 60000, 'longest retry delay'),
  gzip: z.boolean().default(true).describe('compress request bodies'),
});

const sinkSchema = z.discriminatedUnion('type', [
  influxSinkSchema.extend(deliverySchema.shape),
  lineProtocolSinkSchema.extend(deliverySchema.shape),
]);

const storeSchema = z.strictObject({
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
  maxDeadLetterBytes: count(65536, 1073741824, 16777216, 'oldest dead letters go first beyond this'),
});

const inferenceSchema = z.strictObject({
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
  machineClasses: z
    .record(identifier, machineClassSchema)
    .describe('one entry may stand for hundreds of machines'),
  inference: inferenceSchema.prefault({}),
  store: storeSchema.prefault({}),
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
export type IngestConfig = Config['ingest'];
export type IngestLimits = Config['ingest']['limits'];
export type InferenceConfig = Config['inference'];
export type HttpConfig = Config['http'];
