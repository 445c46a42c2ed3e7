/** What a recorded machine said, in event-time order: the common shape of every recording format. */

/** One instant of scalar channels. */
export interface RowMessage {
  readonly kind: 'row';
  /** ms after the recording's own beginning, >= 0. */
  readonly offsetMs: number;
  /** Channel -> finite number; channels without a reading at this instant are absent. */
  readonly values: Readonly<Record<string, number>>;
}

/** One block of one waveform channel. */
export interface WaveformMessage {
  readonly kind: 'waveform';
  /** ms from the recording's beginning to the first sample of the block. */
  readonly offsetMs: number;
  readonly channel: string;
  /** As a machine class declares it: `g`. */
  readonly unit: string;
  readonly sampleRateHz: number;
  readonly sequence: number;
  /** Shape [n], in `unit`. */
  readonly values: Float32Array;
}

export type RecordedMessage = RowMessage | WaveformMessage;

/** One machine's stream. `messages()` may be called again and gives the same messages. */
export interface Recording {
  /** A machine id the gateway accepts (letters, digits, _ . : -). */
  readonly machine: string;
  /** Every channel that occurs, in the order of the source. */
  readonly channels: readonly string[];
  /** Absolute time of offset 0 where the source states one, ms since the epoch. */
  readonly originMs: number | null;
  /** Offset of the last message. */
  readonly lastOffsetMs: number;
  /** Nominal distance of messages: what follows one recording starts this long after its last message. */
  readonly spacingMs: number;
  readonly messageCount: number;
  /** Ascending in offsetMs. */
  messages(): Iterable<RecordedMessage>;
}

const FORBIDDEN = /[^A-Za-z0-9_.:-]+/g;

/** A name as an identifier: runs of other characters become `_`; at most 64 long, never empty. */
export function identifierFrom(name: string): string {
  const id = name.trim().replace(FORBIDDEN, '_').slice(0, 64);
  return id === '' ? '_' : id;
}
