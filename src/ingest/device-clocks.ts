/** The offset of each machine's clock enters, who is off and by how much leaves. */

import type { DeviceClock } from '../domain/gateway-clock.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import type { ChannelRegistry } from './channel-registry.ts';
import type { Complaints } from './complaints.ts';

/** Machines named one by one, in the status and as series of the metrics; the others are counted. */
const MAX_NAMED = 20;

/** One per source. */
export class DeviceClocks {
  readonly #registry: ChannelRegistry;
  readonly #complaints: Complaints;
  readonly #warnOffsetMs: number;

  constructor(registry: ChannelRegistry, complaints: Complaints, warnOffsetMs: number) {
    this.#registry = registry;
    this.#complaints = complaints;
    this.#warnOffsetMs = warnOffsetMs;
  }

  /** Machines whose clocks are off, worst first, at most 20. */
  worst(): DeviceClock[] {
    return this.#skewed().slice(0, MAX_NAMED);
  }

  /** Numbers of all, series of the worst; one line in the log now and then while some are off. */
  metrics(): MetricSample[] {
    let largestMs = 0;
    for (const { clock } of this.#registry.machines()) {
      const offsetMs = clock.medianMs();
      if (Math.abs(offsetMs) > Math.abs(largestMs)) largestMs = offsetMs;
    }
    const skewed = this.#skewed();
    this.#complain(skewed);
    return [
      { name: 'millwright_ingest_clock_offset_seconds', value: largestMs / 1000 },
      { name: 'millwright_ingest_clock_skewed_machines', value: skewed.length },
      ...skewed.slice(0, MAX_NAMED).map(
        ({ machine, offsetMs }): MetricSample => ({
          name: 'millwright_ingest_machine_clock_offset_seconds',
          labels: { machine },
          value: offsetMs / 1000,
        }),
      ),
    ];
  }

  #skewed(): DeviceClock[] {
    const skewed: DeviceClock[] = [];
    for (const { clock, machine } of this.#registry.machines()) {
      const offsetMs = clock.medianMs();
      if (Math.abs(offsetMs) > this.#warnOffsetMs) skewed.push({ machine, offsetMs: Math.round(offsetMs) });
    }
    return skewed.sort((a, b) => Math.abs(b.offsetMs) - Math.abs(a.offsetMs));
  }

  #complain(skewed: readonly DeviceClock[]): void {
    const worst = skewed[0];
    if (worst === undefined) return;
    this.#complaints.warn('clock_skew', performance.now(), 'clocks of senders are off', () => ({
      machines: skewed.length,
      worst: worst.machine,
      offsetMs: worst.offsetMs,
      hint: 'synchronise their clocks, or let them send without time stamps: the gateway then stamps on arrival',
    }));
  }
}
