/** Configuration of the on-device history: resolutions, and which numbers get one. */

import { z } from 'zod';
import { count } from './schema-parts.ts';

const archiveSchema = z.strictObject({
  stepMs: z
    .number()
    .int()
    .multipleOf(1000)
    .min(1000)
    .max(604800000)
    .describe('length of a row; whole seconds, a multiple of the archive before'),
  rows: z.number().int().min(1).max(1000000).describe('how many it remembers'),
});

const DAY_MS = 86_400_000;

/** Section `history`: round-robin archives in the store. */
export const historySchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe('keep months of history on the device, in storage of fixed size'),
  archives: z
    .array(archiveSchema)
    .min(1)
    .max(8)
    .default([
      { stepMs: 60_000, rows: (7 * DAY_MS) / 60_000 },
      { stepMs: 900_000, rows: (90 * DAY_MS) / 900_000 },
      { stepMs: 3_600_000, rows: (730 * DAY_MS) / 3_600_000 },
    ])
    .describe('resolutions of every series, finest first: 1 min for 7 d, 15 min for 90 d, 1 h for 2 years'),
  xff: z
    .number()
    .min(0)
    .lt(1)
    .default(0.5)
    .describe('a row is a gap where more than this share of its windows is missing (rrdtool xff)'),
  channels: z
    .boolean()
    .default(true)
    .describe('one series per channel: mean, least, largest and last sample'),
  features: z
    .array(z.string().min(1).max(256))
    .default(['*.rms', '*.kurtosis', '*.velocity_rms.*'])
    .describe('full feature ids with * and ?; one series each'),
  maxSeries: count(0, 65535, 512, 'series over all machines; more are counted and left out'),
});
