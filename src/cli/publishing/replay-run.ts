/** Placed recordings enter, their messages leave through a publisher at the chosen pace, and a summary of it all. */

import { setTimeout as sleep } from 'node:timers/promises';
import { mergeByTime, type PlacedRecording } from '../recordings/merge.ts';
import { Progress } from '../terminal/progress.ts';
import type { messageEncoder } from './message-encoding.ts';
import { Pacer } from './pacer.ts';
import type { Publisher } from './publisher.ts';

const STOP_GRACE_MS = 2000;
const LONGEST_SLEEP_MS = 200;
const PROGRESS_MS = 200;

export interface ReplayPlan {
  readonly placed: readonly PlacedRecording[];
  readonly encode: ReturnType<typeof messageEncoder>;
  readonly publisher: Publisher;
  /** 1 is as recorded, Infinity without waiting. */
  readonly speed: number;
  /** Recorded messages at most. */
  readonly limit: number;
}

/** What `--json` prints. `messages` counts PUBLISH packets handed over; a row sent channel by channel is several. */
export interface ReplaySummary {
  readonly messages: number;
  readonly acknowledged: number;
  readonly resent: number;
  readonly reconnects: number;
  readonly machines: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly messagesPerSecond: number;
  readonly ackLatencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly firstEventMs: number | null;
  readonly lastEventMs: number | null;
  readonly interrupted: boolean;
}

/** One pass over the timeline. */
export class ReplayRun {
  readonly #plan: ReplayPlan;
  readonly #startedAtMs = performance.now();
  #stopped = false;
  #endedAtMs = 0;
  /** Recorded messages handed over; one may be several PUBLISH packets. */
  #taken = 0;
  #bytes = 0;
  #firstEventMs: number | null = null;
  #lastEventMs: number | null = null;

  constructor(plan: ReplayPlan) {
    this.#plan = plan;
  }

  /** Ends `play` soon; acknowledgements on the way get a moment. */
  stop(): void {
    this.#stopped = true;
    this.#plan.publisher.interrupt();
  }

  /** @throws GatewayError MW_INGEST_EXTERNAL when the broker stays away */
  async play(): Promise<void> {
    const total = this.#total();
    const progress = new Progress(total);
    const timer = setInterval(() => {
      progress.update(this.#taken, `${this.#plan.publisher.counts.inFlight} in flight`);
    }, PROGRESS_MS);
    try {
      await this.#sendAll(total);
      await this.#settle();
    } finally {
      clearInterval(timer);
      progress.clear();
      this.#endedAtMs = performance.now();
    }
  }

  summary(): ReplaySummary {
    const { published, acknowledged, resent, reconnects } = this.#plan.publisher.counts;
    const seconds = (this.#endedAtMs - this.#startedAtMs) / 1000;
    const latency = (q: number) => Math.round(this.#plan.publisher.latencyQuantile(q) * 1000) / 1000;
    return {
      messages: published,
      acknowledged,
      resent,
      reconnects,
      machines: new Set(this.#plan.placed.map(({ recording }) => recording.machine)).size,
      bytes: this.#bytes,
      seconds: Math.round(seconds * 1000) / 1000,
      messagesPerSecond: Math.round(acknowledged / seconds),
      ackLatencyMs: { p50: latency(0.5), p99: latency(0.99), max: latency(1) },
      firstEventMs: this.#firstEventMs,
      lastEventMs: this.#lastEventMs,
      interrupted: this.#stopped,
    };
  }

  #total(): number {
    const messages = this.#plan.placed.reduce((sum, { recording }) => sum + recording.messageCount, 0);
    return Math.min(messages, this.#plan.limit);
  }

  async #sendAll(limit: number): Promise<void> {
    const pacer = new Pacer(this.#plan.speed);
    for (const { machine, timeMs, message } of mergeByTime(this.#plan.placed)) {
      if (this.#stopped || this.#taken >= limit) return;
      await this.#moment(pacer, timeMs);
      if (this.#stopped) return;
      for (const outgoing of this.#plan.encode(machine, timeMs, message)) {
        this.#bytes += outgoing.payload.length;
        const room = this.#plan.publisher.publish(outgoing);
        if (room !== null) await room;
      }
      this.#taken += 1;
      this.#firstEventMs ??= timeMs;
      this.#lastEventMs = timeMs;
    }
  }

  /** Long waits are cut into slices, so that an interrupt is heard. */
  async #moment(pacer: Pacer, timeMs: number): Promise<void> {
    for (;;) {
      const waitMs = pacer.waitMs(timeMs, performance.now());
      if (waitMs === 0 || this.#stopped) return;
      await sleep(Math.min(waitMs, LONGEST_SLEEP_MS));
    }
  }

  /** After an interrupt the acknowledgements on the way get a moment, not for ever. */
  async #settle(): Promise<void> {
    if (!this.#stopped) await this.#plan.publisher.drained();
    if (this.#plan.publisher.counts.inFlight === 0) return;
    await Promise.race([this.#plan.publisher.drained(), sleep(STOP_GRACE_MS)]);
  }
}
