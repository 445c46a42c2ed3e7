/** Configuration of the front door: broker, limits, clock guard. */

import { z } from 'zod';
import { count, identifier, ms } from './schema-parts.ts';

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
  maxClientIdBytes: count(23, 4096, 256, 'longest client id'),
  maxKeepAliveS: count(
    10,
    65535,
    7200,
    'keep alive of a client that asks for a longer one, or for none; silent for 1.5 times as long, it is disconnected',
  ),
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
  maxDeadLettersPerSecond: count(
    10,
    1000000,
    1000,
    'unusable messages kept per second, of all clients of the embedded broker; their senders are read more slowly beyond',
  ),
  maxSubscriptionsPerConnection: count(0, 10000, 50, 'topic filters one connection may hold'),
  maxInflightQos2: count(1, 65535, 1000, 'QoS 2 messages of one session between PUBLISH and PUBREL'),
  maxRetainedMessages: count(0, 1000000, 10000, 'topics with a retained message'),
  maxRetainedBytes: count(0, 1073741824, 16777216, 'memory for retained messages'),
  maxQueuedMessages: count(0, 100000, 1000, 'messages kept for one subscriber that is away'),
  maxQueuedBytes: count(0, 1073741824, 33554432, 'memory for messages of all subscribers that are away'),
  maxPartialBytes: count(
    1048576,
    1073741824,
    67108864,
    'memory for packets that have not arrived completely, of all connections; the one that grows beyond is ended',
  ),
  subscriberDrainTimeoutMs: ms(100, 60000, 1500, 'a subscriber that stops reading is dropped after this'),
  maxChannels: count(
    1,
    200000,
    20000,
    'distinct machine/channel pairs; beyond, messages go to the dead letters',
  ),
});

/** What happens to a message on a topic that no machine class takes. */
const unknownTopics = z.enum(['dead_letter', 'count']);

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
  unknownTopics: unknownTopics
    .default('dead_letter')
    .describe(
      'messages on topics of no machine class, unless a subscriber takes them: kept, or only counted',
    ),
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
  unknownTopics: unknownTopics
    .default('count')
    .describe('messages our topic filters bring along for machines of no class: kept, or only counted'),
});

const clockGuardSchema = z.strictObject({
  maxFutureMs: ms(0, 86400000, 5000, 'a sample further ahead of the gateway clock goes to the dead letters'),
  maxPastMs: ms(
    0,
    3155760000000,
    86400000,
    'a sample older than this goes to the dead letters; 0 accepts any age',
  ),
  warnOffsetMs: ms(
    100,
    86400000,
    2000,
    'a machine whose clock is off by more (median of arrival minus event time) is reported',
  ),
});

/** Section `ingest`: where messages come from and how much of them is taken. */
export const ingestSchema = z.strictObject({
  mode: z
    .enum(['embedded', 'external'])
    .default('embedded')
    .describe('embedded: sensors connect to us; external: we subscribe to your broker'),
  embedded: embeddedSchema.prefault({}),
  external: externalSchema.prefault({}),
  limits: limitsSchema.prefault({}),
  clockGuard: clockGuardSchema.prefault({}),
  deadLetterPayloadBytes: count(
    64,
    1048576,
    131072,
    'a bad payload is kept up to this many bytes, and not sent again if it is cut; the default holds 1 s at 25.6 kHz in float32',
  ),
  ringBytes: count(
    65536,
    268435456,
    4194304,
    'ring between the MQTT thread and the pipeline; a power of two',
  ),
});
