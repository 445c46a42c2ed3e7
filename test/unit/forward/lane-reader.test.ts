import { describe, expect, it } from 'vitest';
import type { Point } from '../../../src/domain/point.ts';
import { LaneReader } from '../../../src/forward/lane-reader.ts';
import { Shipment } from '../../../src/forward/shipment.ts';
import { MemoryOutbox, numberedPoints } from '../../support/memory-outbox.ts';

function makeReader(ignoresAfterId: boolean) {
  const outbox = new MemoryOutbox();
  outbox.ignoresAfterId = ignoresAfterId;
  const reader = new LaneReader(outbox, 'plant');
  const append = (count: number) => {
    for (let i = 0; i < count; i++) outbox.append(numberedPoints(10));
  };
  const ids = (lane: 'live' | 'backlog', maxPoints = 30) => reader.take(lane, maxPoints).map(({ id }) => id);
  return { outbox, reader, append, ids };
}

describe.each([false, true])('LaneReader (an outbox that ignores afterId: %s)', (ignoresAfterId) => {
  const setUp = () => makeReader(ignoresAfterId);

  it('sends the newest first and leaves everything older to the backlog lane, oldest first', () => {
    const { append, ids } = setUp();
    append(10);
    expect(ids('live')).toEqual([8, 9, 10]);
    expect(ids('backlog')).toEqual([1, 2, 3]);
  });

  it('never gives the live lane what is older than what it has seen', () => {
    const { append, ids } = setUp();
    append(10);
    ids('live');
    expect(ids('live')).toEqual([]);
    append(1);
    expect(ids('live')).toEqual([11]);
  });

  it('never gives the backlog lane what the live lane has not seen', () => {
    const { append, ids } = setUp();
    append(3);
    expect(ids('backlog')).toEqual([]);
  });

  it('leaves to the backlog lane what came in faster than the live lane could send', () => {
    const { outbox, reader, append, ids } = setUp();
    append(1);
    const first = reader.take('live', 30);
    append(6);
    expect(ids('live')).toEqual([5, 6, 7]);
    for (const { id, points } of first)
      outbox.settleOutbox('plant', id, { delivered: points.length, deadLettered: [] });
    reader.release(first);
    expect(ids('backlog')).toEqual([2, 3, 4]);
  });

  it('starts over with the newest after a failed live shipment', () => {
    const { reader, append, ids } = setUp();
    append(5);
    const failed = reader.take('live', 30);
    append(5);
    reader.releaseAsLive(failed);
    expect(ids('live')).toEqual([8, 9, 10]);
    expect(ids('backlog')).toEqual([1, 2, 3]);
  });

  it('does not send a batch twice while it is on its way', () => {
    const { append, ids } = setUp();
    append(4);
    expect(ids('live')).toEqual([2, 3, 4]);
    expect(ids('backlog')).toEqual([1]);
    expect(ids('backlog')).toEqual([]);
  });
});

describe('points that revise earlier ones', () => {
  const window = (revision: number): Point => ({
    pointClass: 'aggregate',
    measurement: 'machine_features',
    tags: { machine: 'm' },
    fields: { count: 4 + revision, revision },
    timeMs: 1_700_000_000_000,
  });

  it('never overtake them by the live lane', () => {
    const { outbox, append, ids } = makeReader(false);
    outbox.append([window(0)]);
    append(9);
    outbox.append([window(1)]);
    append(1);
    expect(ids('live')).toEqual([10, 12]);
    expect(ids('backlog', 200)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('wait until what the live lane took is settled', () => {
    const { outbox, reader, ids } = makeReader(false);
    outbox.append([window(0)]);
    const live = reader.take('live', 30);
    outbox.append([window(1)]);
    expect(ids('live')).toEqual([]);
    expect(ids('backlog')).toEqual([]);
    outbox.settleOutbox('plant', 1, { delivered: 1, deadLettered: [] });
    reader.release(live);
    expect(ids('backlog')).toEqual([2]);
  });

  it('go alone where both are in one shipment', () => {
    const shipment = new Shipment(
      [
        { id: 1, points: [window(0), ...numberedPoints(1)] },
        { id: 2, points: [window(1)] },
      ],
      ['old', 'other', 'new'],
    );
    expect(shipment.lines(shipment.delivery.next(10))).toEqual(['other', 'new']);
    shipment.delivery.accepted(2);
    expect([...shipment.outcomes()].map(([{ id }, { delivered }]) => [id, delivered])).toEqual([
      [1, 2],
      [2, 1],
    ]);
  });
});
