/** A lane of the outbox -> the next shipment, read and encoded in slices. */

import type { Clock } from '../domain/clock.ts';
import type { OutboxBatch } from '../domain/outbox.ts';
import type { Point } from '../domain/point.ts';
import type { LaneName, LaneReader } from './lane-reader.ts';
import { encodeLine } from './line-protocol.ts';
import { Shipment } from './shipment.ts';

/** Points read or encoded in one go: the thread has a commit to do every few milliseconds. */
const SLICE_POINTS = 250;
/** What the live lane reads at once; what is beyond goes as backlog. */
export const LIVE_POINTS = 1_000;

/**
 * Null when the lane has nothing to send.
 * @param batchPoints about as many points at most; one outbox batch may hold more
 * @throws what the outbox throws; batches taken until then are given back
 */
export async function loadShipment(
  reader: LaneReader,
  lane: LaneName,
  batchPoints: number,
  clock: Clock,
): Promise<Shipment | null> {
  const batches: OutboxBatch[] = [];
  const lines: string[] = [];
  const pagePoints = Math.min(batchPoints, lane === 'live' ? LIVE_POINTS : SLICE_POINTS);
  try {
    let page = reader.take(lane, pagePoints);
    while (page.length > 0) {
      batches.push(...page);
      for (const { points } of page) await encodeInSlices(points, lines, clock);
      if (lane === 'live' || lines.length >= batchPoints) break;
      page = reader.take(lane, pagePoints, batches.at(-1)!.id);
    }
  } catch (error) {
    reader.release(batches);
    throw error;
  }
  return batches.length === 0 ? null : new Shipment(batches, lines);
}

async function encodeInSlices(points: readonly Point[], lines: string[], clock: Clock): Promise<void> {
  for (let i = 0; i < points.length; i += SLICE_POINTS) {
    for (const point of points.slice(i, i + SLICE_POINTS)) lines.push(encodeLine(point));
    // Small batches share a slice.
    if (points.length >= SLICE_POINTS || lines.length % SLICE_POINTS < points.length)
      await new Promise<void>((resolve) => clock.nextTurn(resolve));
  }
}
