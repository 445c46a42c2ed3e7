/** The channels of a machine as the watermark sees them: newest event times in, the channel that holds it out. */

import type { ChannelConfig } from '../config/schema.ts';
import { ScalarBuffer } from './scalar-buffer.ts';
import { WaveformBuffer } from './waveform-buffer.ts';

/** A channel with the samples that wait for their windows; one of the two buffers is there, by the channel's kind. */
export interface MachineChannel {
  readonly name: string;
  readonly config: ChannelConfig;
  readonly scalar: ScalarBuffer | null;
  readonly waveform: WaveformBuffer | null;
  seen: boolean;
  idle: boolean;
  newestMs: number;
  lastArrivalMs: number;
}

/** A channel that has received nothing. */
export function newChannel(name: string, config: ChannelConfig): MachineChannel {
  return {
    name,
    config,
    scalar: config.kind === 'scalar' ? new ScalarBuffer() : null,
    waveform: config.kind === 'waveform' ? new WaveformBuffer() : null,
    seen: false,
    idle: false,
    newestMs: Number.NEGATIVE_INFINITY,
    lastArrivalMs: Number.NEGATIVE_INFINITY,
  };
}

/** Finds the channel that holds the watermark, without looking at all of them each time one moves on. */
export class WatermarkHolder {
  /** Where the search begins: after a channel moved on, the next one is likely to be the slowest. */
  #from = 0;
  #heldAtMs = Number.NEGATIVE_INFINITY;

  /**
   * A slowest required channel that is not idle; the newest of the optional ones where none of the required speaks;
   * null if nobody does. As long as some channel stands at or before the last holder's time the watermark can't rise,
   * so any such channel will do.
   */
  find(channels: readonly MachineChannel[]): MachineChannel | null {
    const { length } = channels;
    let slowest: MachineChannel | null = null;
    let at = this.#from < length ? this.#from : 0;
    for (let left = length; left > 0; left -= 1) {
      const channel = channels[at]!;
      if (channel.seen && !channel.idle && channel.config.required) {
        if (slowest === null || channel.newestMs < slowest.newestMs) {
          slowest = channel;
          this.#from = at;
        }
        if (channel.newestMs <= this.#heldAtMs) break;
      }
      at = at + 1 === length ? 0 : at + 1;
    }
    if (slowest === null) return newestOf(channels);
    this.#heldAtMs = slowest.newestMs;
    return slowest;
  }
}

function newestOf(channels: readonly MachineChannel[]): MachineChannel | null {
  let newest: MachineChannel | null = null;
  for (const channel of channels) {
    if (channel.seen && !channel.idle && (newest === null || channel.newestMs > newest.newestMs))
      newest = channel;
  }
  return newest;
}
