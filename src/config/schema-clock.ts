/** Configuration of the gateway's own time of day. */

import { z } from 'zod';
import { ms } from './schema-parts.ts';

/** Section `clock`: when the system clock is believed. */
export const clockSchema = z.strictObject({
  trust: z
    .enum(['auto', 'system'])
    .default('auto')
    .describe(
      'auto: believe it once the time service has set it or it is plausible; system: always, as where the host guarantees it',
    ),
  syncedFile: z
    .string()
    .min(1)
    .default('/run/systemd/timesync/synchronized')
    .describe('exists once the time service has set the clock since boot'),
  maxHoldMs: ms(
    0,
    86400000,
    600000,
    'samples without time stamps wait this long for the clock to be set, then go on with the best guess, marked uncertain',
  ),
  stepMs: ms(100, 60000, 1000, 'a jump of the system clock by this much is a step'),
  confirmStepMs: ms(0, 86400000, 60000, 'a step is followed once it has lasted this long'),
});
