/** A message of a machine enters, MQTT topic and payload leave. */

import { GatewayError } from '../../errors.ts';
import { encodeWaveformBlock } from '../../ingest/waveform-block.ts';
import type { RecordedMessage } from '../recordings/recording.ts';

/** What one PUBLISH carries. */
export interface Outgoing {
  readonly topic: string;
  readonly payload: string | Uint8Array;
}

/**
 * Encoder for a topic template with `{machine}` and, optionally, `{channel}`. Rows become one JSON message
 * (`{"t":ms,"s1":...}`), or one a channel (`{"t":ms,"v":...}`) where the template has `{channel}`; waveforms become
 * binary blocks and need `{channel}`.
 * @throws GatewayError MW_USAGE for a template without `{machine}`, or with wildcards
 */
export function messageEncoder(
  template: string,
): (machine: string, timeMs: number, message: RecordedMessage) => Outgoing[] {
  if (!template.includes('{machine}') || /[+#\0]/.test(template)) {
    throw new GatewayError('MW_USAGE', `--topic ${template}: needs {machine} and no + or #`, {
      hint: 'for example --topic "fleet/{machine}/cycle"',
    });
  }
  const perChannel = template.includes('{channel}');
  return (machine, timeMs, message) => {
    const ofMachine = template.replaceAll('{machine}', machine);
    const topicOf = (channel: string) => ofMachine.replaceAll('{channel}', channel);
    if (message.kind === 'waveform') {
      if (!perChannel) {
        throw new GatewayError('MW_USAGE', `--topic ${template}: a waveform names its channel in the topic`, {
          hint: 'for example --topic "rig/{machine}/{channel}"',
        });
      }
      const { channel, unit, sampleRateHz, sequence, values } = message;
      const payload = encodeWaveformBlock({ t0Ms: timeMs, sampleRateHz, unit, sequence, values });
      return [{ topic: topicOf(channel), payload }];
    }
    if (!perChannel) return [{ topic: ofMachine, payload: JSON.stringify({ t: timeMs, ...message.values }) }];
    return Object.entries(message.values).map(([channel, v]) => ({
      topic: topicOf(channel),
      payload: JSON.stringify({ t: timeMs, v }),
    }));
  };
}
