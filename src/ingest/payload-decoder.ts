/** The payload mapping of a class or channel enters, its compiled decoder leaves. */

import type { PayloadConfig } from '../config/schema.ts';
import { JsonDecoder } from './json-decoder.ts';
import { NumberDecoder } from './number-decoder.ts';
import type { PayloadDecoder } from './reading.ts';
import { WaveformBlockDecoder } from './waveform-block.ts';

/** @param takesChannel whether a name that only the payload gives is a channel of the class */
export function compileDecoder(
  payload: PayloadConfig,
  takesChannel: (name: string) => boolean,
): PayloadDecoder {
  switch (payload.format) {
    case 'json':
      return new JsonDecoder(payload, takesChannel);
    case 'number':
      return new NumberDecoder();
    case 'block':
      return new WaveformBlockDecoder();
  }
}

/** True where one message carries many channels and the topic names none. */
export function carriesManyChannels(payload: PayloadConfig): boolean {
  return payload.format === 'json' && (payload.allFields || payload.fields !== undefined);
}
