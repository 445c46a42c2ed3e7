/** Configuration of a class of machines: topics, channels, windows, models, health. */

import { z } from 'zod';
import { count, glob, identifier, ms } from './schema-parts.ts';

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

/** Feature sets by id; the ids are stable, their formulas versioned (docs/features.md). */
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

/** One entry of `machineClasses`. */
export const machineClassSchema = z.strictObject({
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
