/** Flags and labels of the same rows enter, detection scores leave. No point adjustment, no tolerance. */

export interface AnomalyScores {
  readonly rows: number;
  readonly anomalousRows: number;
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
  readonly trueNegatives: number;
  /** TP / (TP + (FP + FN) / 2); NaN where there is neither an anomaly nor a flag. */
  readonly f1: number;
  /** False alarm rate, FP / (FP + TN); NaN without normal rows. */
  readonly far: number;
  /** Missed alarm rate, FN / (FN + TP); NaN without anomalous rows. */
  readonly mar: number;
}

/** One row of truth and what was said about it. */
export interface FlaggedRow {
  readonly anomaly: boolean;
  readonly flagged: boolean;
}

/** Counts are pooled over all rows, as the public leaderboard of SKAB does over its files. */
export function scoreAnomalies(rows: readonly FlaggedRow[]): AnomalyScores {
  const count = (anomaly: boolean, flagged: boolean) =>
    rows.filter((row) => row.anomaly === anomaly && row.flagged === flagged).length;
  const truePositives = count(true, true);
  const falsePositives = count(false, true);
  const falseNegatives = count(true, false);
  const trueNegatives = count(false, false);
  return {
    rows: rows.length,
    anomalousRows: truePositives + falseNegatives,
    truePositives,
    falsePositives,
    falseNegatives,
    trueNegatives,
    f1: truePositives / (truePositives + (falsePositives + falseNegatives) / 2),
    far: falsePositives / (falsePositives + trueNegatives),
    mar: falseNegatives / (falseNegatives + truePositives),
  };
}

/** The score of flagging every row: what any detector has to be read against. */
export function allOnes(rows: readonly FlaggedRow[]): AnomalyScores {
  return scoreAnomalies(rows.map(({ anomaly }) => ({ anomaly, flagged: true })));
}

/** A verdict known from `knownAtMs` on. */
export interface Verdict {
  readonly knownAtMs: number;
  readonly flagged: boolean;
}

/**
 * What had been said by the time of each row: the newest verdict known then, unflagged before the first. A verdict
 * about a window is known when the window ends, never earlier: that keeps the scoring causal.
 * @param timesMs ascending
 * @param verdicts any order
 */
export function flagsAt(timesMs: readonly number[], verdicts: readonly Verdict[]): boolean[] {
  const ordered = [...verdicts].sort((a, b) => a.knownAtMs - b.knownAtMs);
  let next = 0;
  let flagged = false;
  return timesMs.map((timeMs) => {
    while (next < ordered.length && ordered[next]!.knownAtMs <= timeMs) {
      flagged = ordered[next]!.flagged;
      next += 1;
    }
    return flagged;
  });
}
