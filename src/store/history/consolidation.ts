/**
 * Rows of a fine resolution in, rows of a coarse one out. Pure.
 *
 * AVERAGE weighs every window alike, MIN and MAX are those of everything in the row, LAST is that of the newest window,
 * and `count` says how many windows there are. All but the count are kept as 32-bit floats, rounded to nearest, so
 * that equal windows give equal bits whenever they are consolidated.
 */

import type { HistoryRows } from '../../domain/history.ts';

/** `n` rows without anything in them. */
export function emptyRows(startMs: number, stepMs: number, n: number): HistoryRows {
  const unknown = () => new Float64Array(n).fill(Number.NaN);
  return {
    startMs,
    stepMs,
    average: unknown(),
    min: unknown(),
    max: unknown(),
    last: unknown(),
    count: new Float64Array(n),
  };
}

/** Gathers what falls into one row, in ascending time. */
export class RowAccumulator {
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #last = Number.NaN;
  #count = 0;

  /** @param count windows the values stand for; 0 changes nothing */
  add(average: number, min: number, max: number, last: number, count: number): void {
    if (count === 0) return;
    this.#sum += average * count;
    this.#min = Math.min(this.#min, min);
    this.#max = Math.max(this.#max, max);
    this.#last = last;
    this.#count += count;
  }

  /** Writes row `i` and starts anew. */
  finish(rows: HistoryRows, i: number): void {
    if (this.#count > 0) {
      // Rounding of the sum must not carry the mean beyond what it is the mean of.
      const mean = Math.min(this.#max, Math.max(this.#min, this.#sum / this.#count));
      rows.average[i] = Math.fround(mean);
      rows.min[i] = this.#min;
      rows.max[i] = this.#max;
      rows.last[i] = this.#last;
      rows.count[i] = this.#count;
    }
    this.#sum = 0;
    this.#min = Number.POSITIVE_INFINITY;
    this.#max = Number.NEGATIVE_INFINITY;
    this.#last = Number.NaN;
    this.#count = 0;
  }
}

/** Coarser rows of `fine`, which starts and ends at multiples of `stepMs`, itself a multiple of the fine step. */
export function consolidate(fine: HistoryRows, stepMs: number): HistoryRows {
  const perRow = stepMs / fine.stepMs;
  const rows = emptyRows(fine.startMs, stepMs, fine.count.length / perRow);
  const row = new RowAccumulator();
  for (let i = 0; i < rows.count.length; i += 1) {
    for (let j = i * perRow; j < (i + 1) * perRow; j += 1) {
      row.add(fine.average[j]!, fine.min[j]!, fine.max[j]!, fine.last[j]!, fine.count[j]!);
    }
    row.finish(rows, i);
  }
  return rows;
}

/** Puts the rows of `from` that hold anything over those of `to` at the same times; both have the same step. */
export function overlay(from: HistoryRows, to: HistoryRows): void {
  const shift = (from.startMs - to.startMs) / to.stepMs;
  const first = Math.max(0, -shift);
  const end = Math.min(from.count.length, to.count.length - shift);
  for (let i = first; i < end; i += 1) {
    if (from.count[i] === 0) continue;
    to.average[i + shift] = from.average[i]!;
    to.min[i + shift] = from.min[i]!;
    to.max[i + shift] = from.max[i]!;
    to.last[i + shift] = from.last[i]!;
    to.count[i + shift] = from.count[i]!;
  }
}

/**
 * The xff of rrdtool: a row is unknown where more than this share of its windows is missing. Applied on reading, so
 * that coarse rows are made of everything that is known, whatever became of the fine ones.
 */
export function withGaps(rows: HistoryRows, hopMs: number, xff: number): HistoryRows {
  // Rounding of the product must not make a full row of a fractional number of windows unknown.
  const needed = Math.max(1, ((1 - xff) * rows.stepMs) / hopMs - 1e-9);
  const shown = emptyRows(rows.startMs, rows.stepMs, rows.count.length);
  for (let i = 0; i < rows.count.length; i += 1) {
    shown.count[i] = rows.count[i]!;
    if (rows.count[i]! < needed) continue;
    shown.average[i] = rows.average[i]!;
    shown.min[i] = rows.min[i]!;
    shown.max[i] = rows.max[i]!;
    shown.last[i] = rows.last[i]!;
  }
  return shown;
}
