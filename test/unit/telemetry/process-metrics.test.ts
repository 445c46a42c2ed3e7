import { describe, expect, it } from 'vitest';
import { ProcessMetrics } from '../../../src/telemetry/process-metrics.ts';

describe('ProcessMetrics', () => {
  it('tells of memory, CPU time, start and version, in base units', () => {
    const source = new ProcessMetrics({ version: '1.2.3', thread: 'main' });
    const values = new Map(
      source.metrics().map((sample) => [`${sample.name} ${sample.labels?.['mode'] ?? ''}`.trim(), sample]),
    );
    source.stop();
    expect(values.get('millwright_process_resident_memory_bytes')!.value).toBeGreaterThan(10_000_000);
    expect(values.get('millwright_process_cpu_seconds_total user')!.value).toBeGreaterThan(0.01);
    const age = Date.now() / 1000 - values.get('millwright_process_start_time_seconds')!.value;
    expect(Math.abs(age - process.uptime())).toBeLessThan(2);
    expect(values.get('millwright_build_info')).toMatchObject({
      value: 1,
      labels: { version: '1.2.3', node: process.version },
    });
  });

  it('sees an event loop that was held up', async () => {
    const source = new ProcessMetrics({ version: '1', thread: 'main' });
    await new Promise((resolve) => setTimeout(resolve, 60));
    const until = performance.now() + 300;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 60));
    const worst = source.metrics().find((sample) => sample.labels?.['quantile'] === '1')!;
    source.stop();
    expect(worst.value).toBeGreaterThan(0.2);
    expect(worst.value).toBeLessThan(5);
  });

  it('leaves the numbers of the whole process to the main thread', () => {
    const source = new ProcessMetrics({ version: '1', thread: 'pipeline' });
    const names = new Set(source.metrics().map((sample) => sample.name));
    source.stop();
    expect([...names].sort()).toEqual([
      'millwright_event_loop_delay_seconds',
      'millwright_process_heap_used_bytes',
    ]);
  });
});
