/** The windows of a machine as a real InfluxDB has them. */

import type { Influx } from './influx.ts';

export interface StoredWindow {
  readonly startMs: number;
  readonly count: number;
  readonly mean: number;
  readonly quality: string;
}

const FIELDS = ['count', 'mean', 'quality'];

/** Of one channel with `proc.basic`, by start. The machine's name must be its own in the database. */
export async function storedWindows(influx: Influx, machine: string): Promise<StoredWindow[]> {
  const rows = await influx.query(
    `from(bucket: "${influx.bucket}") |> range(start: 0, stop: 2100-01-01T00:00:00Z)
      |> filter(fn: (r) => r._measurement == "machine_features" and r.machine == "${machine}")
      |> filter(fn: (r) => ${FIELDS.map((field) => `r._field == "${field}"`).join(' or ')})
      |> map(fn: (r) => ({_time: r._time, _field: r._field, _value: string(v: r._value)}))`,
  );
  const windows = new Map<number, Record<string, string>>();
  for (const row of rows) {
    const startMs = Date.parse(String(row['_time']));
    windows.set(startMs, { ...windows.get(startMs), [String(row['_field'])]: String(row['_value']) });
  }
  return [...windows]
    .sort(([a], [b]) => a - b)
    .map(([startMs, fields]) => ({
      startMs,
      count: Number(fields['count']),
      mean: Number(fields['mean']),
      quality: fields['quality'] ?? '',
    }));
}

export function samplesIn(windows: readonly StoredWindow[]): number {
  return windows.reduce((sum, { count }) => sum + count, 0);
}

/** Sum of all values; exact for eighths of whole numbers. */
export function sumOf(windows: readonly StoredWindow[]): number {
  return windows.reduce((sum, { count, mean }) => sum + Math.round(count * mean * 8) / 8, 0);
}
