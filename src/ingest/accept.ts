/**
 * An MQTT message enters, records in the ring leave: the only way into the pipeline.
 *
 * All or none: the room for everything a message becomes is asked for once, so a refused message has left no trace
 * and may be offered again. What cannot be used is kept as a dead letter, a record like any other, so that its
 * acknowledgement is as true as that of a good message.
 */

import type { ChannelConfig, IngestConfig } from '../config/schema.ts';
import type { DeadLetter, DeadLetterReason } from '../domain/dead-letter.ts';
import { alignRecord, RecordFlag, SCALAR_BYTES } from '../domain/record.ts';
import { waveformRecordBytes } from '../domain/record-codec.ts';
import type { RecordSink } from '../domain/record-sink.ts';
import type { ChannelTarget } from './channel-registry.ts';
import { judgeTime } from './clock-guard.ts';
import type { Complaints } from './complaints.ts';
import type { IngestCounters } from './ingest-counters.ts';
import type { PublishFields } from './mqtt-packets.ts';
import { Found, Reading } from './reading.ts';
import type { SequenceGuard } from './sequence-guard.ts';
import type { Route, TopicRouter } from './topic-router.ts';

export type AcceptOutcome =
  /** In the ring: acknowledge once the sink's position of now is committed. */
  | 'accepted'
  /** In the ring and not to be made durable: acknowledge at once. */
  | 'volatile'
  /** The ring is full; nothing happened. Offer the message again after the next commit. */
  | 'no_room'
  /** QoS 0 dropped because the ring is nearly full; counted. */
  | 'shed'
  /** No machine class takes this topic; nothing happened. */
  | 'not_ours';

export interface AcceptOptions {
  readonly clockGuard: IngestConfig['clockGuard'];
  readonly deadLetterPayloadBytes: number;
  readonly ringBytes: number;
  readonly limits: { readonly maxPacketBytes: number };
}

/** QoS 0 is dropped above this share of the ring, so that acknowledged messages keep the rest. */
const SHED_ABOVE_FILL = 0.75;
/** A sample rate may differ by float32 rounding. */
const RATE_TOLERANCE = 1e-6;
const GOOD = 0;
const DEAD_LETTER_HEADER_BYTES = 28;
const MAX_DETAIL_BYTES = 1024;

/** One per source. Flat JSON messages of known channels allocate nothing here. */
export class Acceptor {
  readonly router: TopicRouter;
  readonly #sink: RecordSink;
  readonly #counters: IngestCounters;
  readonly #complaints: Complaints;
  readonly #options: AcceptOptions;
  /** A message larger than half the ring may never find room beside the padding at its end. */
  readonly #maxRecordBytes: number;
  readonly #reading = new Reading();

  constructor(
    router: TopicRouter,
    sink: RecordSink,
    counters: IngestCounters,
    complaints: Complaints,
    options: AcceptOptions,
  ) {
    this.router = router;
    this.#sink = sink;
    this.#counters = counters;
    this.#complaints = complaints;
    this.#options = options;
    this.#maxRecordBytes = (options.ringBytes >> 1) - 8;
  }

  /** The message of a PUBLISH whose topic and payload lie in `bytes`. @param nowMs wall clock */
  acceptPublish(route: Route, bytes: Buffer, fields: PublishFields, nowMs: number): AcceptOutcome {
    return this.accept(route, bytes, fields.payloadFrom, fields.payloadTo, fields.qos, nowMs);
  }

  /** The payload [from, to) of a message on the route's topic. @param nowMs wall clock */
  accept(route: Route, bytes: Buffer, from: number, to: number, qos: number, nowMs: number): AcceptOutcome {
    if (qos === 0 && this.#sink.fill > SHED_ABOVE_FILL) return this.#shed();
    const outcome = this.#decode(route, bytes, from, to, nowMs);
    if (outcome === 'no_room') return qos === 0 ? this.#shed() : outcome;
    this.#counters.payloadBytes += to - from;
    return outcome;
  }

  #shed(): AcceptOutcome {
    this.#counters.shed += 1;
    return 'shed';
  }

  #decode(route: Route, bytes: Buffer, from: number, to: number, nowMs: number): AcceptOutcome {
    const reading = this.#reading;
    const { decoder } = route;
    const { maxPacketBytes } = this.#options.limits;
    let reason: DeadLetterReason | null;
    if (to - from > maxPacketBytes) {
      reason = reading.fault(
        'oversize',
        `${to - from} bytes; ingest.limits.maxPacketBytes is ${maxPacketBytes}`,
      );
    } else if (decoder === null) {
      reason = reading.fault(
        'unknown_channel',
        `class ${route.machine.machineClass} has no channel ${route.channel}`,
      );
    } else {
      reason = decoder.decode(bytes, from, to, reading);
      if (reason === null) {
        if (route.channel === '') return this.#fields(route, bytes, from, to, nowMs);
        const target = this.router.target(route, 0)!;
        reason = this.#unusable(target, target.config);
        if (reason === null) return this.#one(route, target, bytes, from, to, nowMs);
      }
    }
    return this.#deadLetter(route, reason, bytes, from, to, nowMs);
  }

  /** Why the value of a one-channel message does not fit its channel. */
  #unusable(target: ChannelTarget, config: ChannelConfig): DeadLetterReason | null {
    const reading = this.#reading;
    const found = reading.found[0];
    if (found === Found.NOTHING) return reading.fault('missing_value', 'no value');
    if (found === Found.OTHER) return reading.fault('not_a_number', 'the value is no number');
    if (reading.unit !== null && reading.unit !== config.unit) {
      return reading.fault(
        'wrong_unit',
        `unit "${reading.unit}"; channel ${target.name} is declared in ${config.unit}`,
      );
    }
    if (config.kind === 'waveform') return this.#unusableWaveform(config);
    if (found === Found.NUMBER) {
      return Number.isFinite(reading.values[0]) ? null : reading.fault('not_finite', 'the value is infinite');
    }
    if (reading.sampleCount === 0) return reading.fault('missing_value', 'the list is empty');
    if (found === Found.LIST && config.periodMs === undefined) {
      return reading.fault('not_a_number', 'a list, but the channel declares no periodMs to space it by');
    }
    return this.#finite(found === Found.BLOCK ? reading.block : reading.samples);
  }

  #unusableWaveform(config: ChannelConfig): DeadLetterReason | null {
    const reading = this.#reading;
    const declared = config.sampleRateHz!;
    if (reading.found[0] === Found.NUMBER) {
      return reading.fault('not_a_number', 'one number; a waveform channel takes a list or a block');
    }
    if (reading.sampleCount === 0) return reading.fault('missing_value', 'no samples');
    const rate = reading.sampleRateHz;
    if (!Number.isNaN(rate) && !(Math.abs(rate - declared) <= RATE_TOLERANCE * declared)) {
      return reading.fault('wrong_sample_rate', `${rate} Hz; the channel is declared at ${declared} Hz`);
    }
    if (reading.found[0] === Found.LIST) {
      reading.growBlock(reading.sampleCount);
      for (let i = 0; i < reading.sampleCount; i++) reading.block[i] = reading.samples[i]!;
    }
    return this.#finite(reading.block);
  }

  #finite(values: Float32Array | Float64Array): DeadLetterReason | null {
    let sum = 0;
    // x - x is 0 for every finite x and NaN for the others: one test for the whole list.
    for (let i = 0; i < this.#reading.sampleCount; i++) sum += values[i]! - values[i]!;
    return Number.isNaN(sum) ? this.#reading.fault('not_finite', 'a sample is NaN or infinite') : null;
  }

  /** A message of one channel whose values are good. */
  #one(
    route: Route,
    target: ChannelTarget,
    bytes: Buffer,
    from: number,
    to: number,
    nowMs: number,
  ): AcceptOutcome {
    const reading = this.#reading;
    const { config } = target;
    const waveform = config.kind === 'waveform';
    const count = reading.found[0] === Found.NUMBER ? 1 : reading.sampleCount;
    const stepMs = count === 1 && !waveform ? 0 : this.#stepMs(config);
    const stamped = Number.isNaN(reading.timeMs);
    // Stamped at arrival, the newest value is from now.
    const firstMs = stamped ? nowMs - (count - 1) * stepMs : reading.timeMs;
    const reason =
      (stamped ? null : this.#judgeTime(route, firstMs, firstMs + (count - 1) * stepMs, nowMs)) ??
      this.#noChannelLeft(target);
    if (reason !== null) return this.#deadLetter(route, reason, bytes, from, to, nowMs);
    const size = (waveform ? waveformRecordBytes(count) : count * SCALAR_BYTES) + announcement(target);
    if (size > this.#maxRecordBytes) return this.#oversize(route, size, bytes, from, to, nowMs);
    if (!this.#sink.hasRoom(size)) return 'no_room';
    const index = this.#announced(route, target);
    const flags =
      target.flags | this.#sequenceFlag(target.sequence) | (stamped ? RecordFlag.GATEWAY_TIME : 0);
    const sequence = Math.max(0, reading.sequence);
    if (waveform) {
      const values = reading.block.subarray(0, count);
      this.#sink.waveform(index, flags, GOOD, sequence, firstMs, config.sampleRateHz!, values);
    } else if (reading.found[0] === Found.NUMBER) {
      this.#sink.scalar(index, flags, GOOD, sequence, firstMs, reading.values[0]!);
    } else {
      const values = reading.found[0] === Found.BLOCK ? reading.block : reading.samples;
      for (let i = 0; i < count; i++) {
        this.#sink.scalar(index, flags, GOOD, sequence, firstMs + i * stepMs, values[i]!);
      }
    }
    return this.#done(count, target.flags !== 0);
  }

  /** Distance of the values of a list or block, ms. */
  #stepMs(config: ChannelConfig): number {
    if (config.kind === 'waveform') return 1000 / config.sampleRateHz!;
    return this.#reading.found[0] === Found.BLOCK ? 1000 / this.#reading.sampleRateHz : config.periodMs!;
  }

  /**
   * A message of many channels: the good values are taken; if any is not, the whole message goes to the dead letters
   * beside them, so that neither the good nor the evidence is lost.
   */
  #fields(route: Route, bytes: Buffer, from: number, to: number, nowMs: number): AcceptOutcome {
    const reading = this.#reading;
    const stamped = Number.isNaN(reading.timeMs);
    const timeMs = stamped ? nowMs : reading.timeMs;
    let reason = stamped ? null : this.#judgeTime(route, timeMs, timeMs, nowMs);
    if (reason !== null) return this.#deadLetter(route, reason, bytes, from, to, nowMs);
    const slots = route.decoder!.slotNames.length;
    let size = 0;
    let taken = 0;
    let newChannels = 0;
    let durable = false;
    for (let slot = 0; slot < slots; slot++) {
      if (reading.found[slot] === Found.NOTHING) continue;
      const target = this.router.target(route, slot);
      const fault = this.#fieldFault(target, slot, newChannels);
      if (fault !== null) {
        reason ??= fault;
        reading.found[slot] = Found.NOTHING;
        continue;
      }
      if (target!.ref === null) newChannels += 1;
      if (target!.flags === 0) durable = true;
      size += SCALAR_BYTES + announcement(target!);
      taken += 1;
    }
    if (taken === 0) {
      reason ??= reading.fault('missing_value', 'no channel of this class in the message');
      return this.#deadLetter(route, reason, bytes, from, to, nowMs);
    }
    const letter = reason === null ? null : this.#letter(route, reason, bytes, from, to, nowMs);
    if (letter !== null) size += deadLetterBytes(letter);
    if (size > this.#maxRecordBytes) return this.#oversize(route, size, bytes, from, to, nowMs);
    if (!this.#sink.hasRoom(size)) return 'no_room';
    const flags = this.#sequenceFlag(route.machine.sequence) | (stamped ? RecordFlag.GATEWAY_TIME : 0);
    const sequence = Math.max(0, reading.sequence);
    for (let slot = 0; slot < slots; slot++) {
      if (reading.found[slot] === Found.NOTHING) continue;
      const target = this.router.target(route, slot)!;
      const index = this.#announced(route, target);
      this.#sink.scalar(index, flags | target.flags, GOOD, sequence, timeMs, reading.values[slot]!);
    }
    if (letter !== null) {
      this.#write(route, letter);
      this.#counters.samples += taken;
      return 'accepted';
    }
    return this.#done(taken, !durable);
  }

  /** Why one value of many can't be used; null if it can. */
  #fieldFault(target: ChannelTarget | null, slot: number, newChannels: number): DeadLetterReason | null {
    const reading = this.#reading;
    if (target === null) return reading.fault('unknown_channel', 'a member is no channel of the class');
    const { name, config } = target;
    if (config.kind === 'waveform') return reading.fault('not_a_number', `${name} is a waveform channel`);
    if (reading.found[slot] !== Found.NUMBER) return reading.fault('not_a_number', `${name} is no number`);
    if (!Number.isFinite(reading.values[slot])) return reading.fault('not_finite', `${name} is infinite`);
    if (reading.unit !== null && reading.unit !== config.unit) {
      return reading.fault('wrong_unit', `unit "${reading.unit}"; ${name} is declared in ${config.unit}`);
    }
    if (target.ref === null && newChannels >= this.router.registry.room) return this.#tooManyChannels(name);
    return null;
  }

  #judgeTime(route: Route, firstMs: number, lastMs: number, nowMs: number): DeadLetterReason | null {
    const verdict = judgeTime(this.#options.clockGuard, firstMs, lastMs, nowMs);
    // Replayed recordings (any age allowed) say nothing about a clock.
    if (verdict !== 'bad_timestamp' && this.#options.clockGuard.maxPastMs > 0) {
      route.machine.clock.observe(lastMs, nowMs);
    }
    if (verdict === 'ok') return null;
    const { maxFutureMs, maxPastMs } = this.#options.clockGuard;
    switch (verdict) {
      case 'bad_timestamp':
        return this.#reading.fault(verdict, `${firstMs} ms is no time after 1970`);
      case 'future_timestamp':
        return this.#reading.fault(
          verdict,
          `${Math.round(lastMs - nowMs)} ms ahead; allowed are ${maxFutureMs}`,
        );
      case 'past_timestamp':
        return this.#reading.fault(
          verdict,
          `${Math.round(nowMs - firstMs)} ms old; allowed are ${maxPastMs}`,
        );
    }
  }

  #noChannelLeft(target: ChannelTarget): DeadLetterReason | null {
    return target.ref === null && this.router.registry.room === 0 ? this.#tooManyChannels(target.name) : null;
  }

  #tooManyChannels(name: string): DeadLetterReason {
    const { size } = this.router.registry;
    return this.#reading.fault('too_many_channels', `${size} channels are known, ${name} would be one more`);
  }

  #announced(route: Route, target: ChannelTarget): number {
    if (target.ref === null) {
      const fresh = this.router.registry.assign(route.machine, target);
      if (fresh !== null) this.#sink.channel(fresh);
    }
    return target.ref!.index;
  }

  #sequenceFlag(guard: SequenceGuard): number {
    if (this.#reading.sequence < 0) return 0;
    guard.observe(this.#reading.sequence, this.#counters.sequence);
    return RecordFlag.HAS_SEQUENCE;
  }

  #done(samples: number, isVolatile: boolean): AcceptOutcome {
    this.#counters.accepted += 1;
    this.#counters.samples += samples;
    if (!isVolatile) return 'accepted';
    this.#counters.volatile += 1;
    return 'volatile';
  }

  #oversize(
    route: Route,
    size: number,
    bytes: Buffer,
    from: number,
    to: number,
    nowMs: number,
  ): AcceptOutcome {
    const detail = `${size} bytes of records; the ring takes ${this.#maxRecordBytes} at once`;
    return this.#deadLetter(route, this.#reading.fault('oversize', detail), bytes, from, to, nowMs);
  }

  #deadLetter(
    route: Route,
    reason: DeadLetterReason,
    bytes: Buffer,
    from: number,
    to: number,
    nowMs: number,
  ): AcceptOutcome {
    const letter = this.#letter(route, reason, bytes, from, to, nowMs);
    if (!this.#sink.hasRoom(deadLetterBytes(letter))) return 'no_room';
    this.#write(route, letter);
    return 'accepted';
  }

  #letter(
    route: Route,
    reason: DeadLetterReason,
    bytes: Buffer,
    from: number,
    to: number,
    nowMs: number,
  ): DeadLetter {
    const keptTo = Math.min(to, from + this.#options.deadLetterPayloadBytes);
    const { detail } = this.#reading;
    return { reason, detail, source: route.topic, payload: bytes.subarray(from, keptTo), receivedMs: nowMs };
  }

  #write(route: Route, letter: DeadLetter): void {
    this.#sink.deadLetter(letter);
    this.#counters.deadLettered += 1;
    this.#counters.deadLetters[letter.reason] += 1;
    this.#complaints.warn(letter.reason, letter.receivedMs, 'message kept as dead letter', () => ({
      topic: route.topic,
      detail: letter.detail,
    }));
  }
}

function announcement(target: ChannelTarget): number {
  return target.ref === null ? target.announceBytes : 0;
}

/** Upper bound of the record's size. */
function deadLetterBytes({ reason, detail, source, payload }: DeadLetter): number {
  const text = Buffer.byteLength(reason) + Math.min(MAX_DETAIL_BYTES, Buffer.byteLength(detail));
  return alignRecord(DEAD_LETTER_HEADER_BYTES + text + Buffer.byteLength(source) + payload.length);
}
