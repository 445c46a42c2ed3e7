import { describe, expect, it } from 'vitest';
import { ChannelRegistry } from '../../../src/ingest/channel-registry.ts';
import { Complaints } from '../../../src/ingest/complaints.ts';
import { DeviceClocks } from '../../../src/ingest/device-clocks.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';
import { metric, testConfig } from '../../support/ingest-harness.ts';

const { machineClasses } = testConfig();

/** Machines m0, m1, ... whose clocks are behind by so much. */
function measured(behindMs: readonly number[]): DeviceClocks {
  const registry = new ChannelRegistry([], 1000);
  behindMs.forEach((offsetMs, i) => {
    const { clock } = registry.machine('machines', `m${i}`, machineClasses['machines']!);
    // Every third look is a delayed message: the median does not care.
    for (let n = 0; n < 15; n += 1) clock.observe(n * 1000 - offsetMs - (n % 3 === 0 ? 50_000 : 0), n * 1000);
  });
  return new DeviceClocks(registry, new Complaints(SILENT), 2000);
}

describe('clocks of devices', () => {
  it('are reported with their robust offset where they are off, worst first', () => {
    const clocks = measured([100, 2001, -7000, 0]);
    expect(clocks.worst()).toEqual([
      { machine: 'm2', offsetMs: -7000 },
      { machine: 'm1', offsetMs: 2001 },
    ]);
    const metrics = clocks.metrics();
    expect(metric(metrics, 'millwright_ingest_clock_skewed_machines')).toBe(2);
    expect(metric(metrics, 'millwright_ingest_clock_offset_seconds')).toBe(-7);
    expect(metric(metrics, 'millwright_ingest_machine_clock_offset_seconds', 'm1')).toBe(2.001);
  });

  it('are named twenty at most, and all counted', () => {
    const clocks = measured(Array.from({ length: 50 }, (_, i) => 3000 + i));
    expect(clocks.worst()).toHaveLength(20);
    const series = clocks.metrics().filter(({ name }) => name.endsWith('machine_clock_offset_seconds'));
    expect(series).toHaveLength(20);
    expect(metric(clocks.metrics(), 'millwright_ingest_clock_skewed_machines')).toBe(50);
  });
});
