/** One vote per judged window enters, the level of an alarm condition leaves: k of n to raise, a run to clear. */

import type { HealthConfig } from '../config/schema.ts';

/** 0 inactive, 1 warning, 2 alarm: of one window (its vote) or of a condition. */
export type Level = 0 | 1 | 2;

/** What one condition remembers. An undisturbed one is always equal to `INACTIVE`, so that it needs no storing. */
export interface Condition {
  readonly level: Level;
  /** Votes of the last judged windows, newest last, at most `raiseOutOf`, without leading zeros. */
  readonly votes: readonly Level[];
  /** Judged windows in a row that voted less than warning, while the condition is active. */
  readonly runBelowWarning: number;
  /** The same for less than alarm, while the level is alarm. */
  readonly runBelowAlarm: number;
  /** Start of the window that made the condition active; 0 while inactive. */
  readonly sinceMs: number;
}

export const INACTIVE: Condition = { level: 0, votes: [], runBelowWarning: 0, runBelowAlarm: 0, sinceMs: 0 };

export type PersistenceRule = Pick<HealthConfig, 'raiseCount' | 'raiseOutOf' | 'clearCount'>;

/**
 * The condition after one more judged window.
 *
 * It rises to a level when `raiseCount` of the last `raiseOutOf` votes reach that level, and falls below a level when
 * `clearCount` votes in a row did not reach it; so a value that swings around the limit neither raises nor clears.
 * What fell is forgotten: votes from before a clear never raise again. A window without judgement casts no vote and
 * must not be passed here: the condition stays as it is (on-delay and off-delay of OPC UA Part 9, counted in windows).
 *
 * @param startMs start of the window that votes
 */
export function withVote(
  condition: Condition,
  vote: Level,
  startMs: number,
  rule: PersistenceRule,
): Condition {
  const runBelowWarning = condition.level >= 1 && vote < 1 ? condition.runBelowWarning + 1 : 0;
  const runBelowAlarm = condition.level === 2 && vote < 2 ? condition.runBelowAlarm + 1 : 0;
  if (runBelowWarning >= rule.clearCount) return INACTIVE;

  const falls = runBelowAlarm >= rule.clearCount;
  const recent = [...condition.votes, vote].slice(-rule.raiseOutOf);
  const votes = withoutLeadingZeros(falls ? recent.map(atMostWarning) : recent);
  const level = levelOf(votes, rule.raiseCount, falls ? 1 : condition.level);
  return {
    level,
    votes,
    runBelowWarning,
    runBelowAlarm: falls ? 0 : runBelowAlarm,
    sinceMs: level === 0 ? 0 : condition.level === 0 ? startMs : condition.sinceMs,
  };
}

/** Vote of the last judged window; 0 if there was none. */
export function newestVote({ votes }: Condition): Level {
  return votes.at(-1) ?? 0;
}

/** How many of the remembered votes reach `level`. */
export function votesAtLeast({ votes }: Condition, level: Level): number {
  return countAtLeast(votes, level);
}

/** The highest level that enough votes reach, at least `kept`. */
function levelOf(votes: readonly Level[], raiseCount: number, kept: Level): Level {
  if (kept === 2 || countAtLeast(votes, 2) >= raiseCount) return 2;
  return kept === 1 || countAtLeast(votes, 1) >= raiseCount ? 1 : 0;
}

function countAtLeast(votes: readonly Level[], level: Level): number {
  return votes.filter((vote) => vote >= level).length;
}

function withoutLeadingZeros(votes: readonly Level[]): readonly Level[] {
  const first = votes.findIndex((level) => level > 0);
  return first === -1 ? [] : votes.slice(first);
}

function atMostWarning(level: Level): Level {
  return level === 2 ? 1 : level;
}
