/** A message or point the gateway could not use or deliver, kept verbatim with its reason. */

/** Why a payload could not be used. The words appear in metrics, logs, the API and `millwright outbox`. */
export const DEAD_LETTER_REASONS = [
  'malformed_json',
  'malformed_binary',
  'missing_value',
  'not_a_number',
  'not_finite',
  'bad_timestamp',
  'future_timestamp',
  'past_timestamp',
  'wrong_unit',
  'wrong_sample_rate',
  'unknown_channel',
  'too_many_channels',
  'unknown_topic',
  'oversize',
  'window_failed',
  'rejected_by_sink',
] as const;
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[number];

export interface DeadLetter {
  readonly reason: DeadLetterReason;
  /** What exactly was wrong, one line. */
  readonly detail: string;
  /** MQTT topic; `sink:<name>` for a point a sink refused, `window:<class>/<machine>` for a failed window. */
  readonly source: string;
  /** Verbatim; no more than its beginning where `originalBytes` is there. */
  readonly payload: Uint8Array;
  /** Length of the whole payload, where only its beginning was kept. */
  readonly originalBytes?: number;
  readonly receivedMs: number;
}

/** `first 16384 of 51236 bytes`; null where the payload is whole. */
export function describeCut({
  payload,
  originalBytes,
}: Pick<DeadLetter, 'payload' | 'originalBytes'>): string | null {
  return originalBytes === undefined ? null : `first ${payload.length} of ${originalBytes} bytes`;
}

/** What a letter keeps of a payload. @param payload all of it, or what is there of `originalBytes` */
export function keptOf(
  payload: Uint8Array,
  originalBytes: number,
  maxBytes: number,
): Pick<DeadLetter, 'payload' | 'originalBytes'> {
  const kept = payload.subarray(0, maxBytes);
  return kept.length < originalBytes ? { payload: kept, originalBytes } : { payload: kept };
}
