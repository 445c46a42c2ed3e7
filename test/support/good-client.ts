/** What a well-behaved sender sees while others misbehave: the latency of its acknowledgements, in slices of time. */

import { Worker } from 'node:worker_threads';
import { median } from './memory-slope.ts';

const SLICE_MS = 1000;

export interface GoodClient {
  /**
   * Median over one-second slices since then of the 99th percentile within the slice, ms. One slice in which the
   * machine was busy elsewhere does not decide.
   */
  p99Ms(sinceMs: number): number;
  /** Acknowledged messages since then. */
  count(sinceMs: number): number;
  /** Longest wait for an acknowledgement since then, ms; messages that still wait included. */
  longestMs(sinceMs: number): number;
  /** Its connection was ended. */
  readonly lost: boolean;
  stop(): Promise<number>;
}

/** The clock of the measurements: ms, the same in every thread. */
export function sharedNowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Sends a message every `everyMs` until stopped. */
export function startGoodClient(port: number, topic: string, everyMs = 5): GoodClient {
  const worker = new Worker(new URL('./good-client.mjs', import.meta.url), {
    workerData: { port, topic, everyMs },
  });
  const measured: [number, number][] = [];
  let lost = 0;
  let oldestWaitingMs = 0;
  worker.on('message', (message: { measured: [number, number][]; lost: number; oldestWaitingMs: number }) => {
    measured.push(...message.measured);
    lost = message.lost;
    oldestWaitingMs = message.oldestWaitingMs;
  });
  const since = (sinceMs: number) => measured.filter(([sentAtMs]) => sentAtMs >= sinceMs);
  return {
    p99Ms(sinceMs) {
      const slices = new Map<number, number[]>();
      for (const [sentAtMs, latencyMs] of since(sinceMs)) {
        const slice = Math.floor((sentAtMs - sinceMs) / SLICE_MS);
        slices.set(slice, [...(slices.get(slice) ?? []), latencyMs]);
      }
      return median([...slices.values()].map((latencies) => quantile99(latencies)));
    },
    count: (sinceMs) => since(sinceMs).length,
    longestMs: (sinceMs) => Math.max(oldestWaitingMs, ...since(sinceMs).map(([, latencyMs]) => latencyMs)),
    get lost() {
      return lost > 0;
    },
    stop: () => worker.terminate(),
  };
}

function quantile99(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * 0.99) - 1)]!;
}
