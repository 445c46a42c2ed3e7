import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { estimateWear } from '../../src/cli/inspection/wear-estimate.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { StoreConfig } from '../../src/config/schema.ts';
import { storeFolder } from '../support/store.ts';
import { type Load, WearLoad } from '../support/wear-load.ts';

const IO = '/proc/self/io';

/** Bytes this process has caused to be written to a block device. */
function writtenBytes(): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(IO, 'utf8'))![1]);
}

/** Bytes written per message, without what the file system journals for itself. */
function bytesPerMessage(load: Load, messages: number, changes: Partial<StoreConfig> = {}): number {
  const folder = storeFolder();
  const wear = new WearLoad(load);
  const store = folder.open(changes, { now: () => wear.nowMs });
  const before = writtenBytes();
  while (wear.sent < messages) wear.step(store);
  const written = writtenBytes() - before;
  store.close();
  folder.remove();
  return written / messages;
}

const NO_RESULTS = { classes: [], bytesPerDay: 0, maxBytes: 0, outageDays: 0 };

/** 25 machines with four channels that send so much together. */
function configured(profile: string, messagesPerSecond: number) {
  const periodMs = 100_000 / messagesPerSecond;
  const machines = Array.from({ length: 25 }, (_, i) => `m${i}`).join(', ');
  const channels = ['a', 'b', 'c', 'd'].map((name) => `${name}: { periodMs: ${periodMs} }`).join(', ');
  const text = `store: { profile: ${profile} }
machineClasses:
  pump: { topics: ['f/{machine}/{channel}'], machines: [${machines}], channels: { ${channels} } }`;
  return parseConfig(text, { path: 'wear.yaml', env: {} });
}

/** A temporary directory in memory writes nothing to any device: then there is nothing to measure. */
const canMeasure = existsSync(IO) && bytesPerMessage({ messagesPerSecond: 100, commitWindowMs: 50 }, 500) > 0;
if (!canMeasure) console.log('skipped: no write counter for the temporary directory, wear is not measured');

describe.skipIf(!canMeasure)('bytes written to flash per message', () => {
  it.each([
    // What the goals are set for, the device itself, is measured in device-wear.test.ts.
    [{ messagesPerSecond: 100, commitWindowMs: 500 }, 300],
    [{ messagesPerSecond: 1000, commitWindowMs: 200 }, 200],
  ])('stay below the bound at %o', (load, bound) => {
    const bytes = bytesPerMessage(load, 40_000);
    expect(bytes).toBeGreaterThan(32);
    expect(bytes).toBeLessThan(bound);
  });

  it.each([
    [100, 200],
    [1000, 40],
  ])(
    'are few with the profile sd-saver at %i messages/s, as millwright check says',
    (messagesPerSecond, bound) => {
      const saver = configured('sd-saver', messagesPerSecond);
      const { commitWindowMs } = saver.store;
      expect(commitWindowMs).toBe(500);
      const messages = messagesPerSecond === 100 ? 10_000 : 40_000;
      const saved = bytesPerMessage({ messagesPerSecond, commitWindowMs }, messages, saver.store);
      const plain = configured('default', messagesPerSecond);
      const usual = bytesPerMessage({ messagesPerSecond, commitWindowMs: 50 }, messages);
      const estimates = [saver, plain].map((config) => estimateWear(config, {}, NO_RESULTS));
      const perMessage = estimates.map(({ bytesPerDay }) => bytesPerDay / (messagesPerSecond * 86_400));
      console.log(
        `wear at ${messagesPerSecond}/s: sd-saver ${saved.toFixed(0)} bytes a message (estimate ${perMessage[0]!.toFixed(0)}), ` +
          `default ${usual.toFixed(0)} (estimate ${perMessage[1]!.toFixed(0)})`,
      );
      expect(saved).toBeLessThan(bound);
      expect(usual / saved).toBeGreaterThan(4);
      for (const [i, measured] of [saved, usual].entries()) {
        expect(perMessage[i]! / measured).toBeGreaterThan(0.6);
        expect(perMessage[i]! / measured).toBeLessThan(1.7);
      }
    },
  );

  it('are far more where every message is flushed alone: the meter can tell', () => {
    expect(bytesPerMessage({ messagesPerSecond: 20, commitWindowMs: 50 }, 1000)).toBeGreaterThan(2000);
  });
});
