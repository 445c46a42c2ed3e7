import { describe, expect, it } from 'vitest';
import { CommitDemand } from '../../../src/ingest/commit-demand.ts';

const COMMIT_EVERY_MS = 50;

/** Deterministic noise in [0, 1). */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** A client that sends at given times, whatever happens, against a commit every 50 ms that takes 2 ms. */
function paced(arrivals: readonly number[]): number {
  const demand = new CommitDemand();
  let pending = 0;
  let forced = 0;
  let commitAt = COMMIT_EVERY_MS;
  let forcedAt = Number.POSITIVE_INFINITY;
  for (const at of arrivals) {
    while (Math.min(commitAt, forcedAt) <= at) {
      const now = Math.min(commitAt, forcedAt);
      demand.committed(pending, now);
      pending = 0;
      forcedAt = Number.POSITIVE_INFINITY;
      if (now === commitAt) commitAt += COMMIT_EVERY_MS;
    }
    pending += 1;
    if (demand.arrived(pending, at)) {
      forced += 1;
      forcedAt = Math.min(forcedAt, at + 2);
    }
  }
  return forced;
}

describe('CommitDemand', () => {
  it('asks for a commit each time a client with an allowance of 20 has used it up, from the third round on', () => {
    const demand = new CommitDemand();
    let now = 0;
    const round = () => {
      let asked = 0;
      for (let i = 1; i <= 20; i++) {
        now += 0.05;
        if (demand.arrived(i, now)) asked = i;
      }
      if (asked === 0) now += COMMIT_EVERY_MS;
      else now += 2;
      demand.committed(20, now);
      return asked;
    };
    expect(round()).toBe(0);
    expect(round()).toBe(0);
    expect([round(), round(), round()]).toEqual([20, 20, 20]);
    expect(demand.plateau).toBe(20);
  });

  it('reaches more than 1000 acknowledgements a second for that client with a 50 ms window and a 5 ms disk', () => {
    const demand = new CommitDemand();
    let now = 0;
    let acknowledged = 0;
    while (now < 2000) {
      let asked = false;
      for (let i = 1; i <= 20; i++) {
        now += 0.1;
        asked = demand.arrived(i, now) || asked;
      }
      now += asked ? 5 : COMMIT_EVERY_MS;
      demand.committed(20, now);
      acknowledged += 20;
    }
    expect(acknowledged / 2).toBeGreaterThan(1000);
  });

  it('never fires for a paced sender of 500 messages a second', () => {
    expect(paced(Array.from({ length: 10_000 }, (_, i) => i * 2))).toBe(0);
  });

  it('hardly ever fires for a paced sender whose sending jitters and stalls', () => {
    let forced = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const random = noise(seed);
      const arrivals: number[] = [];
      let at = 0;
      for (let i = 0; i < 10_000; i++) {
        // 1 % of the messages come after a stall of up to 40 ms, as on a loaded machine.
        at += random() < 0.01 ? 40 * random() : 4 * random();
        arrivals.push(at);
      }
      forced += paced(arrivals);
    }
    // 200,000 messages in 8,000 commit windows.
    expect(forced).toBeLessThan(80);
  });

  it('learns nothing from fewer than eight pending messages', () => {
    const demand = new CommitDemand();
    for (let round = 0; round < 10; round++) {
      for (let i = 1; i <= 7; i++) demand.arrived(i, round * 100 + i);
      demand.committed(7, round * 100 + 90);
    }
    expect(demand.plateau).toBe(0);
  });

  it('forgets the plateau once the client goes beyond it', () => {
    const demand = new CommitDemand();
    for (let round = 0; round < 3; round++) {
      for (let i = 1; i <= 10; i++) demand.arrived(i, round * 100 + i * 0.1);
      demand.committed(10, round * 100 + 60);
    }
    expect(demand.plateau).toBe(10);
    for (let i = 1; i <= 11; i++) demand.arrived(i, 400 + i * 0.1);
    expect(demand.plateau).toBe(0);
  });
});
