/** k of n to raise, a run to clear. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Condition, INACTIVE, type Level, withVote } from '../../../src/health/persistence.ts';

const RULE = { raiseCount: 3, raiseOutOf: 5, clearCount: 4 };

function levels(votes: readonly Level[], rule = RULE): Level[] {
  let condition: Condition = INACTIVE;
  return votes.map((vote, i) => {
    condition = withVote(condition, vote, i, rule);
    return condition.level;
  });
}

describe('withVote', () => {
  it('raises with the third vote of five, not with three of six', () => {
    expect(levels([2, 0, 2, 0, 2])).toEqual([0, 0, 0, 0, 2]);
    expect(levels([2, 0, 2, 0, 0, 2])).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('counts votes of both levels towards the lower one', () => {
    expect(levels([1, 2, 1])).toEqual([0, 0, 1]);
  });

  it('clears after four windows in a row, and a single vote starts the run anew', () => {
    expect(levels([2, 2, 2, 0, 0, 0, 2, 0, 0, 0, 0])).toEqual([0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 0]);
  });

  it('forgets what came before a clear, so that one vote does not raise again', () => {
    const rule = { raiseCount: 3, raiseOutOf: 5, clearCount: 1 };
    expect(levels([2, 2, 2, 0, 2, 0, 0], rule)).toEqual([0, 0, 2, 0, 0, 0, 0]);
  });

  it('rises from warning to alarm, falls back to warning, then clears', () => {
    expect(levels([1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0])).toEqual([
      0, 0, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 0,
    ]);
  });

  it('keeps when it became active over changes of level', () => {
    let condition: Condition = INACTIVE;
    for (const vote of [1, 1, 1, 2, 2, 2, 1, 1, 1, 1] as const)
      condition = withVote(condition, vote, 7, RULE);
    for (const vote of [2, 2, 2] as const) condition = withVote(condition, vote, 99, RULE);
    expect(condition).toMatchObject({ level: 2, sinceMs: 7 });
  });

  it('is as before the first vote once everything is calm, so that nothing needs storing', () => {
    let condition: Condition = INACTIVE;
    for (const vote of [2, 2, 0, 0, 0, 0, 0] as const) condition = withVote(condition, vote, 1, RULE);
    expect(condition).toEqual(INACTIVE);
  });

  it('agrees with the definition on any votes and any rule', () => {
    const rules = fc
      .record({
        raiseOutOf: fc.integer({ min: 1, max: 8 }),
        k: fc.integer({ min: 1, max: 8 }),
        clearCount: fc.integer({ min: 1, max: 8 }),
      })
      .map(({ raiseOutOf, k, clearCount }) => ({
        raiseCount: Math.min(k, raiseOutOf),
        raiseOutOf,
        clearCount,
      }));
    const votes = fc.array(fc.constantFrom<Level[]>(0, 1, 2), { maxLength: 60 });
    fc.assert(
      fc.property(votes, rules, (sequence, rule) => {
        expect(levels(sequence, rule)).toEqual(byDefinition(sequence, rule));
      }),
      { numRuns: 2000 },
    );
  });
});

/** Looks at the whole past at every window: levels as two marks of how far back votes still count. */
function byDefinition(sequence: readonly Level[], rule: typeof RULE): Level[] {
  const countsFrom = { 1: 0, 2: 0 };
  const active = { 1: false, 2: false };
  const activeFrom = { 1: 0, 2: 0 };
  return sequence.map((_, now) => {
    for (const level of [2, 1] as const) {
      const run = sequence.slice(activeFrom[level], now + 1).slice(-rule.clearCount);
      if (active[level] && run.length === rule.clearCount && run.every((vote) => vote < level)) {
        active[level] = false;
        // What fell is forgotten: a warning takes the votes for alarm with it.
        for (const forgotten of [level, 2] as const) countsFrom[forgotten] = now + 1;
      }
    }
    for (const level of [1, 2] as const) {
      const from = Math.max(countsFrom[level], now + 1 - rule.raiseOutOf);
      const votes = sequence.slice(from, now + 1).filter((vote) => vote >= level);
      if (!active[level] && votes.length >= rule.raiseCount) {
        active[level] = true;
        activeFrom[level] = now + 1;
      }
    }
    return active[2] ? 2 : active[1] ? 1 : 0;
  });
}
