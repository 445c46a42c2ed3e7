/** What a closed window adds to the on-device history, and what the history answers. */

/** One series' share of one window. */
export interface HistorySample {
  /** `<channel>` for the channel's own samples, `<channel>.<feature>` or a bare machine feature otherwise. */
  readonly series: string;
  readonly average: number;
  readonly min: number;
  readonly max: number;
  readonly last: number;
}

/** A window's place in time and its samples. A later one with the same start replaces it: a revision counts once. */
export interface HistoryWindow {
  readonly startMs: number;
  readonly sizeMs: number;
  /** Distance of window starts: the primary step. */
  readonly hopMs: number;
  /** Finite values only: what is undefined is absent, and becomes a gap. */
  readonly samples: readonly HistorySample[];
}

/** Rows of one series at one resolution; every column has the same length. */
export interface HistoryRows {
  /** Start of the first row, ms since the epoch, a multiple of `stepMs`; row i covers [startMs + i stepMs, + stepMs). */
  readonly startMs: number;
  readonly stepMs: number;
  /** NaN in the four columns where `count` is 0. */
  readonly average: Float64Array;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly last: Float64Array;
  /** Windows in the row. */
  readonly count: Float64Array;
}

/** One archive of a series. */
export interface HistoryArchive {
  readonly stepMs: number;
  /** Rows that can be read back at least. */
  readonly rows: number;
  readonly bytes: number;
}

/** One series as the store knows it. */
export interface HistorySeries {
  readonly machine: string;
  readonly series: string;
  readonly hopMs: number;
  /** Finest first. */
  readonly archives: readonly HistoryArchive[];
}

/** What is asked of the history. */
export interface HistoryQuery {
  readonly machine: string;
  readonly series: string;
  /** Half-open [fromMs, toMs), ms since the epoch; widened to whole rows. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Resolution in ms; without it the finest that reaches back to `fromMs` and stays below `maxRows`. */
  readonly stepMs?: number;
  readonly maxRows: number;
}

/** Why there are no rows. */
export type HistoryRefusal =
  | { readonly reason: 'unknown_series' }
  | { readonly reason: 'unknown_resolution'; readonly stepsMs: readonly number[] }
  | { readonly reason: 'too_many_rows'; readonly rows: number };

/** Rows with gaps as NaN, or why there are none. */
export type HistoryAnswer =
  | { readonly rows: HistoryRows; readonly damagedBlocks: number }
  | { readonly refused: HistoryRefusal };
