/** What leaves the gateway, for any sink. Identity = measurement + tags + time: sending it twice overwrites. */

/** Numbers are floats and finite; strings for words such as quality. */
export type FieldValue = number | string | boolean;

/** Class for overflow policy: alarms are the last to go. */
export const POINT_CLASSES = ['raw', 'aggregate', 'assessment', 'alarm'] as const;
export type PointClass = (typeof POINT_CLASSES)[number];

export interface Point {
  readonly pointClass: PointClass;
  readonly measurement: string;
  readonly tags: Readonly<Record<string, string>>;
  /** At least one field. */
  readonly fields: Readonly<Record<string, FieldValue>>;
  /** ms since the epoch; the window start for everything derived from a window. */
  readonly timeMs: number;
}
