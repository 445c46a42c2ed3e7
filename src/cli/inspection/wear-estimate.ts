/** A configuration enters; what its records and results write to the medium a day, and how long that bears it, leaves. */

import type { ChannelConfig, Config, MachineClassConfig } from '../../config/schema.ts';
import { lifeDays } from '../../store/wear-meter.ts';
import { type StorageEstimate, spelledOut } from './storage-estimate.ts';

const SECONDS_PER_DAY = 86_400;
/**
 * Measured on ext4 with scalars at 20 to 1,000 messages/s and commits of 50 to 1,000 ms (`store-wear.test.ts`): a
 * commit costs this much whatever is in it, being written in blocks of the file system twice, to the log and when the
 * log is folded back.
 */
const BYTES_PER_COMMIT = 7_000;
/** And this much per byte of records. */
const BYTES_PER_RECORD_BYTE = { plain: 1.5, deflated: 0.5 } as const;
/** Results are written to the log and to the database. */
const BYTES_PER_RESULT_BYTE = 2;
const SCALAR_RECORD_BYTES = 32;
const SAMPLE_BYTES = 4;
/** Where a channel says nothing about its period. */
const ASSUMED_PERIOD_MS = 1_000;

export interface WearEstimate {
  /** Of all machines, those of `durability: memory` left out. */
  readonly messagesPerSecond: number;
  /** Scalar channels without `periodMs`, taken to send once a second. */
  readonly assumedChannels: number;
  readonly bytesPerDay: number;
  readonly budgetBytesPerDay: number;
  /** Days a new medium of `store.flash` bears that. */
  readonly lifeDays: number;
}

interface Rate {
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
}

/** @param machines how many of each class; default is the ids that are spelled out, or 1. `*` counts no channel */
export function estimateWear(
  config: Config,
  machines: Readonly<Record<string, number>>,
  storage: StorageEstimate,
): WearEstimate {
  let [messagesPerSecond, recordBytes, assumedChannels] = [0, 0, 0];
  for (const [name, classConfig] of Object.entries(config.machineClasses)) {
    const count = machines[name] ?? spelledOut(classConfig);
    for (const [id, channel] of Object.entries(classConfig.channels)) {
      if (id === '*' || channel.durability === 'memory') continue;
      const rate = rateOf(channel, classConfig);
      messagesPerSecond += count * rate.messagesPerSecond;
      recordBytes += count * rate.bytesPerSecond;
      if (channel.kind === 'scalar' && channel.periodMs === undefined) assumedChannels += 1;
    }
  }
  const { store } = config;
  const commitsPerSecond = Math.min(messagesPerSecond, 1000 / Math.max(1, store.commitWindowMs));
  const perRecordByte = BYTES_PER_RECORD_BYTE[store.compressJournal ? 'deflated' : 'plain'];
  const perSecond = commitsPerSecond * BYTES_PER_COMMIT + recordBytes * perRecordByte;
  const bytesPerDay = perSecond * SECONDS_PER_DAY + storage.bytesPerDay * BYTES_PER_RESULT_BYTE;
  const { budgetBytesPerDay } = store.flash;
  const days = lifeDays(store.flash, bytesPerDay);
  return { messagesPerSecond, assumedChannels, bytesPerDay, budgetBytesPerDay, lifeDays: days };
}

function rateOf(channel: ChannelConfig, { window }: MachineClassConfig): Rate {
  if (channel.kind === 'scalar') {
    const messagesPerSecond = 1000 / (channel.periodMs ?? ASSUMED_PERIOD_MS);
    return { messagesPerSecond, bytesPerSecond: messagesPerSecond * SCALAR_RECORD_BYTES };
  }
  const windowsPerSecond = 1000 / (window.hopMs ?? window.sizeMs);
  const continuous = channel.sampleRateHz ?? 0;
  const samplesPerSecond =
    channel.samplesPerWindow === undefined ? continuous : channel.samplesPerWindow * windowsPerSecond;
  return { messagesPerSecond: windowsPerSecond, bytesPerSecond: samplesPerSecond * SAMPLE_BYTES };
}
