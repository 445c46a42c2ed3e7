/** An outbox in memory with the promises of the real one, and an account of what became of each point. */

import type { OutboxBacklog, OutboxBatch, OutboxReader, SettleOutcome } from '../../src/domain/outbox.ts';
import type { Point } from '../../src/domain/point.ts';

export class MemoryOutbox implements OutboxReader {
  readonly #batches = new Map<number, { batch: OutboxBatch; atMs: number }>();
  readonly deadLettered: { point: Point; reason: string }[] = [];
  delivered = 0;
  produced = 0;
  /** An outbox may return batches up to `afterId` all the same. */
  ignoresAfterId = false;
  /** Set to make `settleOutbox` fail: the process died between the server's answer and the settlement. */
  settleFails = false;
  #nextId = 1;

  append(points: readonly Point[]): number {
    const id = this.#nextId++;
    this.#batches.set(id, { batch: { id, points }, atMs: Date.now() });
    this.produced += points.length;
    return id;
  }

  readOutbox(_sink: string, maxPoints: number, lane: 'live' | 'backlog', afterId = 0): OutboxBatch[] {
    const after = this.ignoresAfterId ? 0 : afterId;
    const all = [...this.#batches.values()].map(({ batch }) => batch).filter(({ id }) => id > after);
    all.sort((a, b) => a.id - b.id);
    if (lane === 'live') all.reverse();
    const taken: OutboxBatch[] = [];
    let points = 0;
    for (const batch of all) {
      if (taken.length > 0 && points + batch.points.length > maxPoints) break;
      taken.push(batch);
      points += batch.points.length;
    }
    return taken;
  }

  settleOutbox(_sink: string, batchId: number, outcome: SettleOutcome): void {
    if (this.settleFails) throw new Error('killed before the settlement');
    if (!this.#batches.delete(batchId)) throw new Error(`batch ${batchId} settled twice`);
    this.delivered += outcome.delivered;
    this.deadLettered.push(...outcome.deadLettered);
  }

  backlog(_sink: string): OutboxBacklog {
    let points = 0;
    let oldestMs: number | null = null;
    for (const { batch, atMs } of this.#batches.values()) {
      points += batch.points.length;
      oldestMs = Math.min(oldestMs ?? atMs, atMs);
    }
    return { points, bytes: points * 20, oldestMs };
  }
}

let counter = 0;

/** Points of one series whose field `n` counts through all calls, so that a query can tell each. */
export function numberedPoints(count: number, measurement = 'numbered'): Point[] {
  return Array.from({ length: count }, () => {
    const n = counter++;
    return {
      pointClass: 'raw',
      measurement,
      tags: { machine: `m${n % 7}` },
      fields: { n },
      timeMs: 1_700_000_000_000 + n,
    };
  });
}
