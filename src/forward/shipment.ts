/** Outbox batches -> the lines of one delivery, and its result back per batch. */

import type { OutboxBatch, SettleOutcome } from '../domain/outbox.ts';
import type { Point } from '../domain/point.ts';
import { isRevision } from '../domain/points-of.ts';
import { Delivery } from './delivery.ts';

/** A few batches on their way to a sink. */
export class Shipment {
  readonly batches: readonly OutboxBatch[];
  readonly delivery: Delivery;
  /** Requests the sink had accepted at the last refusal: more since then prove that it takes lines. */
  acceptedAtRefusal = 0;
  readonly #lines: readonly string[];

  /** @param lines one for each point of the batches, in order; '' where a point has none */
  constructor(batches: readonly OutboxBatch[], lines: readonly string[]) {
    this.batches = batches;
    this.#lines = lines;
    this.delivery = new Delivery(lines, superseded(batches));
  }

  get points(): number {
    return this.#lines.length;
  }

  lines(indices: readonly number[]): string[] {
    return indices.map((index) => this.#lines[index]!);
  }

  /** What became of each batch; only once the delivery has nothing left to send. */
  *outcomes(): Generator<[OutboxBatch, SettleOutcome]> {
    let first = 0;
    for (const batch of this.batches) {
      const deadLettered: { point: Point; reason: string }[] = [];
      batch.points.forEach((point, i) => {
        const reason = this.delivery.dead.get(first + i);
        if (reason !== undefined) deadLettered.push({ point, reason });
      });
      first += batch.points.length;
      yield [batch, { delivered: batch.points.length - deadLettered.length, deadLettered }];
    }
  }
}

/** Indices of points that a later one of the same shipment revises: two of one identity have no order in a request. */
function superseded(batches: readonly OutboxBatch[]): ReadonlySet<number> {
  const points = batches.flatMap((batch) => batch.points);
  const found = new Set<number>();
  if (!points.some(isRevision)) return found;
  const newest = new Map<string, number>();
  for (const [index, { measurement, tags, timeMs }] of points.entries()) {
    const identity = JSON.stringify([measurement, tags, timeMs]);
    const before = newest.get(identity);
    if (before !== undefined) found.add(before);
    newest.set(identity, index);
  }
  return found;
}
