/** Ids taken out of order in, the smallest set of closed ranges that says the same out. Pure and immutable. */

/** Closed ranges [from, to], ascending, neither overlapping nor touching. */
export type IdRanges = readonly (readonly [number, number])[];

/** True if `id` lies in one of the ranges. Binary search. */
export function hasId(ranges: IdRanges, id: number): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [from, to] = ranges[middle]!;
    if (id < from) high = middle - 1;
    else if (id > to) low = middle + 1;
    else return true;
  }
  return false;
}

/** The ranges with `id` added. */
export function addId(ranges: IdRanges, id: number): IdRanges {
  if (hasId(ranges, id)) return ranges;
  const out: [number, number][] = [];
  let [from, to] = [id, id];
  for (const range of ranges) {
    if (range[1] + 1 < from) out.push([range[0], range[1]]);
    else if (range[0] - 1 > to) {
      out.push([from, to]);
      [from, to] = range;
    } else {
      from = Math.min(from, range[0]);
      to = Math.max(to, range[1]);
    }
  }
  out.push([from, to]);
  return out;
}

/** A cursor: everything up to and with `floor` is taken, and so are the ranges above it. */
export interface Cursor {
  readonly floor: number;
  readonly taken: IdRanges;
}

/** True if the cursor has taken `id`. */
export function isTaken(cursor: Cursor, id: number): boolean {
  return id <= cursor.floor || hasId(cursor.taken, id);
}

/** The cursor after taking `id`. */
export function take(cursor: Cursor, id: number): Cursor {
  return isTaken(cursor, id)
    ? cursor
    : raiseFloor({ floor: cursor.floor, taken: addId(cursor.taken, id) }, 0);
}

/** The cursor with its floor at least at `floor` and, from there, over every range it touches. */
export function raiseFloor(cursor: Cursor, floor: number): Cursor {
  let raised = Math.max(cursor.floor, floor);
  const taken = cursor.taken.filter(([from, to]) => {
    if (from > raised + 1) return true;
    raised = Math.max(raised, to);
    return false;
  });
  return { floor: raised, taken };
}
