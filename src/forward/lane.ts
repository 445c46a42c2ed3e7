/** One of the two ways from the outbox of a sink to its server: what it carries, and by when its next step is due. */

import type { Clock } from '../domain/clock.ts';
import type { LaneName } from './lane-reader.ts';
import { Pause } from './pause.ts';
import type { Shipment } from './shipment.ts';

export class Lane {
  readonly name: LaneName;
  readonly pause: Pause;
  shipment: Shipment | null = null;
  /** Nothing to send and waiting for points. */
  idle = false;
  restUntilMs = 0;
  request: { readonly abort: AbortController; readonly startedMs: number } | null = null;
  readonly #clock: Clock;
  #dueMs: number;

  constructor(name: LaneName, clock: Clock) {
    this.name = name;
    this.pause = new Pause(clock);
    this.#clock = clock;
    this.#dueMs = clock.monotonicMs();
  }

  /** It is at work; it will sleep, or wait for an answer, for `ms` at most before it says so again. */
  expect(ms: number): void {
    this.#dueMs = this.#clock.monotonicMs() + ms;
  }

  async sleep(ms: number): Promise<void> {
    this.expect(ms);
    await this.pause.sleep(ms);
  }

  /** How long the lane should have gone on by now, ms; 0 while it works, sleeps or waits within its time. */
  get overdueMs(): number {
    return Math.max(0, this.#clock.monotonicMs() - this.#dueMs);
  }
}
