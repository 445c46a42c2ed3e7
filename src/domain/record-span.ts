/** A contiguous stretch of whole records inside some memory. */

import type { RecordViews } from './record-codec.ts';

export interface RecordSpan {
  readonly views: RecordViews;
  /** Byte offsets into the views; `to` is a record boundary. */
  readonly from: number;
  readonly to: number;
}
