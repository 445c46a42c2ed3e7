/** Where `ingest` puts what it accepted. The ring behind it is bounded: every call may answer "no room". */

import type { DeadLetter } from './dead-letter.ts';
import type { ClockMark } from './gateway-clock.ts';
import type { ChannelRef } from './machine.ts';

export interface RecordSink {
  /** True if records of `bytes` in all fit now. Ask once per message, then write its records: all or none. */
  hasRoom(bytes: number): boolean;
  scalar(
    channelIndex: number,
    flags: number,
    quality: number,
    sequence: number,
    eventTimeMs: number,
    value: number,
  ): void;
  /** `values` is copied. */
  waveform(
    channelIndex: number,
    flags: number,
    quality: number,
    sequence: number,
    t0Ms: number,
    sampleRateHz: number,
    values: Float32Array,
  ): void;
  channel(ref: ChannelRef): void;
  deadLetter(letter: DeadLetter): void;
  clock(mark: ClockMark): void;
  /** Bytes written since the gateway started: a message is durable once the committed position reaches this. */
  readonly position: number;
  /** Share of the ring in use, 0..1. */
  readonly fill: number;
}
