import { describe, expect, it } from 'vitest';
import { WaitingRoom } from '../../../src/inference/waiting-room.ts';

const DEADLINE_MS = 2_000;

interface Model {
  /** At this time, ms. */
  rowsPerSecond(atMs: number): number;
}

/** A backlog without end that enters whenever there is room; how many stayed longer than the deadline, and the rest. */
function backlog(model: Model, durationMs: number): { expired: number; answered: number; longestMs: number } {
  const room = new WaitingRoom(4096, DEADLINE_MS);
  const queue: number[] = [];
  const counts = { expired: 0, answered: 0, longestMs: 0 };
  let due = 0;
  for (let nowMs = 0; nowMs < durationMs; nowMs += 1) {
    while (queue.length < room.size) queue.push(nowMs);
    due += model.rowsPerSecond(nowMs) / 1000;
    for (; due >= 1 && queue.length > 0; due -= 1) {
      const enteredMs = queue[0]!;
      room.left(enteredMs, nowMs, queue.length);
      queue.shift();
      counts.answered += 1;
      counts.longestMs = Math.max(counts.longestMs, nowMs - enteredMs);
    }
    while (queue.length > 0 && nowMs - queue[0]! >= DEADLINE_MS) {
      room.left(queue[0]!, nowMs, queue.length);
      queue.shift();
      counts.expired += 1;
    }
  }
  return counts;
}

describe('the room before the models', () => {
  it.each([20, 100, 500, 2_000, 20_000])('expires nothing of a backlog at %i rows a second', (rate) => {
    const { expired, answered, longestMs } = backlog({ rowsPerSecond: () => rate }, 60_000);
    expect(expired).toBe(0);
    expect(longestMs).toBeLessThan(0.75 * DEADLINE_MS);
    expect(answered).toBeGreaterThan(0.95 * rate * 60 - 16);
  });

  it('is learned again where the models become ten times slower', () => {
    const { expired } = backlog({ rowsPerSecond: (atMs) => (atMs < 20_000 ? 2_000 : 200) }, 60_000);
    // Those that were inside when it happened, and the first half of what came after.
    expect(expired).toBeLessThan(3_000);
    expect(backlog({ rowsPerSecond: () => 2_000 }, 20_000).expired).toBe(0);
  });

  it('does not grow where it is not used', () => {
    const room = new WaitingRoom(4096, DEADLINE_MS);
    for (let n = 0; n < 100_000; n += 1) room.left(n, n + 1, 3);
    expect(room.size).toBe(16);
  });

  it('is never larger than the queue, nor smaller than what keeps the models at work', () => {
    expect(new WaitingRoom(5, DEADLINE_MS).size).toBe(5);
    const room = new WaitingRoom(4096, DEADLINE_MS);
    for (let n = 0; n < 100; n += 1) room.left(n * 10_000, n * 10_000 + 5_000, 16);
    expect(room.size).toBe(16);
  });
});
