/**
 * Resident memory over time enters, its slope with a confidence interval leaves.
 *
 * A garbage-collected process breathes: single readings say little. Readings are grouped into buckets of equal time and
 * each bucket is represented by its median, then a line is fitted through the buckets (ordinary least squares). A
 * process that was killed and started again begins a new segment: segments share one slope and have an intercept each,
 * so that restarts neither hide a leak nor look like one. What a process needs to warm up is left out by the caller.
 */

export interface MemoryReading {
  /** Monotonic or wall clock, s. */
  readonly atS: number;
  readonly bytes: number;
  /** Life of the process the reading belongs to. */
  readonly segment: number;
}

export interface MemorySlope {
  readonly mbPerHour: number;
  /** Half width of the 95 % confidence interval, MB/h; Infinity with too few buckets. */
  readonly halfWidth: number;
  readonly buckets: number;
  /** Standard deviation around the line, MB. */
  readonly scatterMb: number;
}

/** Fits the slope. @param bucketS width of a bucket; a few breaths of the collector */
export function memorySlope(readings: readonly MemoryReading[], bucketS: number): MemorySlope {
  const segments = bucketMedians(readings, bucketS);
  let sxx = 0;
  let sxy = 0;
  for (const points of segments) {
    const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
    for (const [x, y] of points) {
      sxx += (x - meanX) ** 2;
      sxy += (x - meanX) * (y - meanY);
    }
  }
  const slope = sxx === 0 ? 0 : sxy / sxx;
  let squares = 0;
  for (const points of segments) {
    const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
    for (const [x, y] of points) squares += (y - meanY - slope * (x - meanX)) ** 2;
  }
  const buckets = segments.reduce((sum, points) => sum + points.length, 0);
  const freedom = buckets - segments.length - 1;
  const variance = freedom > 0 ? squares / freedom : Number.POSITIVE_INFINITY;
  return {
    mbPerHour: slope * 3600,
    halfWidth: freedom > 0 && sxx > 0 ? studentT95(freedom) * Math.sqrt(variance / sxx) * 3600 : Infinity,
    buckets,
    scatterMb: Math.sqrt(variance),
  };
}

/** True if memory grows by more than `limitMbPerHour` beyond doubt: the whole confidence interval lies above. */
export function grows(slope: MemorySlope, limitMbPerHour: number): boolean {
  return slope.mbPerHour - slope.halfWidth > limitMbPerHour;
}

/** Per segment: middle of the bucket in s, median in MB. */
function bucketMedians(readings: readonly MemoryReading[], bucketS: number): [number, number][][] {
  const buckets = new Map<number, Map<number, number[]>>();
  for (const { atS, bytes, segment } of readings) {
    const ofSegment = buckets.get(segment) ?? new Map<number, number[]>();
    buckets.set(segment, ofSegment);
    const index = Math.floor(atS / bucketS);
    ofSegment.set(index, [...(ofSegment.get(index) ?? []), bytes / 1e6]);
  }
  return [...buckets.values()].map((ofSegment) =>
    [...ofSegment].map(([index, values]) => [(index + 0.5) * bucketS, median(values)]),
  );
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Two-sided 95 % quantile of Student's t; 0 to 6 % too large. */
function studentT95(freedom: number): number {
  return 1.96 + 2.4 / freedom + 2.8 / freedom ** 2 + 5.5 / freedom ** 3;
}
