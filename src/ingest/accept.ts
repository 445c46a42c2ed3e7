/**
 * An MQTT message enters, records in the ring leave: the only way into the pipeline.
 *
 * All or none: the room for everything a message becomes is asked for once, so a refused message has left no trace
 * and may be offered again. What cannot be used is kept as a dead letter, a record like any other, so that its
 * acknowledgement is as true as that of a good message.
 */

import type { ChannelConfig, IngestConfig } from '../config/schema.ts';
import { type DeadLetter, type DeadLetterReason, keptOf } from '../domain/dead-letter.ts';
import type { StampClock } from '../domain/gateway-clock.ts';
import { alignRecord, RecordFlag, SCALAR_BYTES, UNCERTAIN } from '../domain/record.ts';
import { waveformRecordBytes } from '../domain/record-codec.ts';
import type { RecordSink } from '../domain/record-sink.ts';
import type { ChannelTarget } from './channel-registry.ts';
import { judgeTime } from './clock-guard.ts';
import type { Complaints } from './complaints.ts';
import type { IngestCounters } from './ingest-counters.ts';
import { Found, Reading } from './reading.ts';
import { checkField, checkValue } from './reading-checks.ts';
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
  | 'shed';

/** Why a message goes to the dead letters unread; `source` is its topic. */
export type Unusable = Pick<DeadLetter, 'reason' | 'detail' | 'source'>;

export interface AcceptOptions {
  readonly clockGuard: IngestConfig['clockGuard'];
  readonly deadLetterPayloadBytes: number;
  readonly ringBytes: number;
  readonly limits: { readonly maxPacketBytes: number };
}

/** Where and how a value is stamped. */
interface Stamp {
  readonly timeMs: number;
  readonly flags: number;
  readonly quality: number;
}

/** The message under consideration. */
interface Message {
  readonly route: Route;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
  readonly nowMs: number;
}

/** QoS 0 is dropped above this share of the ring, so that acknowledged messages keep the rest. */
const SHED_ABOVE_FILL = 0.75;
const GOOD = 0;
/** With the length of a payload before its cut. */
const DEAD_LETTER_FRAME_BYTES = 32;
const MAX_DETAIL_BYTES = 1024;

/**
 * One per source. `mayKeep` is asked before each dead letter: false, and the message finds no room for now, which slows
 * its sender down. A letter costs fifty times what a sample costs, and a flood of them would displace the older ones.
 * Reuses its scratch memory: a flat JSON message of known channels costs one small object.
 */
export class Acceptor {
  readonly router: TopicRouter;
  readonly #sink: RecordSink;
  readonly #counters: IngestCounters;
  readonly #complaints: Complaints;
  readonly #options: AcceptOptions;
  readonly #clock: StampClock;
  readonly #mayKeep: () => boolean;
  /** A message larger than half the ring may never find room beside the padding at its end. */
  readonly #maxRecordBytes: number;
  readonly #reading = new Reading();

  constructor(
    router: TopicRouter,
    sink: RecordSink,
    counters: IngestCounters,
    complaints: Complaints,
    options: AcceptOptions,
    clock: StampClock,
    mayKeep: () => boolean = () => true,
  ) {
    this.router = router;
    this.#sink = sink;
    this.#counters = counters;
    this.#complaints = complaints;
    this.#options = options;
    this.#clock = clock;
    this.#mayKeep = mayKeep;
    this.#maxRecordBytes = (options.ringBytes >> 1) - 8;
  }

  /** Takes the payload [from, to) of a message on the route's topic. @param nowMs time of day */
  accept(route: Route, bytes: Buffer, from: number, to: number, qos: number, nowMs: number): AcceptOutcome {
    if (qos === 0 && this.#sink.fill > SHED_ABOVE_FILL) return this.#shed();
    const outcome = this.#take({ route, bytes, from, to, nowMs });
    if (outcome === 'no_room') return qos === 0 ? this.#shed() : outcome;
    this.#counters.payloadBytes += to - from;
    return outcome;
  }

  /**
   * Takes the payload [from, to) of a message that no decoder may see, as a dead letter; `bytes` may hold no more than
   * its beginning. @param nowMs wall clock
   */
  keep(cause: Unusable, bytes: Buffer, from: number, to: number, qos: number, nowMs: number): AcceptOutcome {
    if (qos === 0 && this.#sink.fill > SHED_ABOVE_FILL) return this.#shed();
    const kept = keptOf(bytes.subarray(from, to), to - from, this.#options.deadLetterPayloadBytes);
    const letter = { ...cause, ...kept, receivedMs: nowMs };
    if (!this.#hasRoomFor(letter)) return qos === 0 ? this.#shed() : 'no_room';
    this.#write(letter);
    this.#counters.payloadBytes += to - from;
    return 'accepted';
  }

  #shed(): AcceptOutcome {
    this.#counters.shed += 1;
    return 'shed';
  }

  #take(message: Message): AcceptOutcome {
    const { route, bytes, from, to } = message;
    const reason = this.#tooLarge(to - from) ?? this.#decode(route, bytes, from, to);
    if (reason !== null) return this.#deadLetter(message, reason);
    if (route.channel === '') return this.#takeFields(message);
    const target = this.router.target(route, 0)!;
    const fault = checkValue(this.#reading, target) ?? this.#noChannelLeft(target, 0);
    return fault === null ? this.#takeValue(message, target) : this.#deadLetter(message, fault);
  }

  #tooLarge(payloadBytes: number): DeadLetterReason | null {
    const { maxPacketBytes } = this.#options.limits;
    if (payloadBytes <= maxPacketBytes) return null;
    return this.#reading.fault(
      'oversize',
      `${payloadBytes} bytes; limits.maxPacketBytes is ${maxPacketBytes}`,
    );
  }

  #decode(route: Route, bytes: Buffer, from: number, to: number): DeadLetterReason | null {
    const { decoder, channel, machine } = route;
    if (decoder !== null) return decoder.decode(bytes, from, to, this.#reading);
    return this.#reading.fault('unknown_channel', `class ${machine.machineClass} has no channel ${channel}`);
  }

  /** A message of one channel whose value fits it. */
  #takeValue(message: Message, target: ChannelTarget): AcceptOutcome {
    const reading = this.#reading;
    const waveform = target.config.kind === 'waveform';
    const count = reading.found[0] === Found.NUMBER ? 1 : reading.sampleCount;
    const stepMs = count === 1 ? 0 : this.#stepMs(target.config);
    const stamped = Number.isNaN(reading.timeMs);
    const stamp = stamped ? this.#arrival(message) : deviceStamp(reading.timeMs);
    // Stamped at arrival, the newest value is from now.
    const firstMs = stamped ? stamp.timeMs - (count - 1) * stepMs : stamp.timeMs;
    const reason = stamped ? null : this.#judgeTime(message, firstMs, firstMs + (count - 1) * stepMs);
    if (reason !== null) return this.#deadLetter(message, reason);
    const size = (waveform ? waveformRecordBytes(count) : count * SCALAR_BYTES) + announcement(target);
    if (size > this.#maxRecordBytes) return this.#oversize(message, size);
    if (!this.#sink.hasRoom(size)) return 'no_room';
    const index = this.#announced(message.route, target);
    const flags = target.flags | this.#sequenceFlag(target.sequence) | stamp.flags;
    const first = { timeMs: firstMs, flags, quality: stamp.quality };
    if (waveform) this.#writeWaveform(index, first, target.config.sampleRateHz!);
    else this.#writeScalars(index, first, count, stepMs);
    return this.#done(count, target.flags !== 0);
  }

  /** Distance of the values of a list or block, ms. */
  #stepMs(config: ChannelConfig): number {
    if (config.kind === 'waveform') return 1000 / config.sampleRateHz!;
    return this.#reading.found[0] === Found.BLOCK ? 1000 / this.#reading.sampleRateHz : config.periodMs!;
  }

  /** While the time of day is not known, what arrives is stamped with the time since boot. */
  #arrival({ nowMs }: Message): Stamp {
    const { holding, isSet, offsetMs } = this.#clock;
    if (holding)
      return {
        timeMs: nowMs - offsetMs,
        flags: RecordFlag.GATEWAY_TIME | RecordFlag.BOOT_TIME,
        quality: GOOD,
      };
    return { timeMs: nowMs, flags: RecordFlag.GATEWAY_TIME, quality: isSet ? GOOD : UNCERTAIN };
  }

  #writeWaveform(index: number, { flags, quality, timeMs }: Stamp, sampleRateHz: number): void {
    const { block, sampleCount, sequence } = this.#reading;
    const values = block.subarray(0, sampleCount);
    this.#sink.waveform(index, flags, quality, Math.max(0, sequence), timeMs, sampleRateHz, values);
  }

  #writeScalars(index: number, { flags, quality, timeMs }: Stamp, count: number, stepMs: number): void {
    const { found, values, block, samples } = this.#reading;
    const list = found[0] === Found.NUMBER ? values : found[0] === Found.BLOCK ? block : samples;
    const sequence = Math.max(0, this.#reading.sequence);
    for (let i = 0; i < count; i++) {
      this.#sink.scalar(index, flags, quality, sequence, timeMs + i * stepMs, list[i]!);
    }
  }

  /**
   * A message of many channels: the good values are taken; if any is not, the whole message goes to the dead letters
   * beside them, so that neither the good nor the evidence is lost.
   */
  #takeFields(message: Message): AcceptOutcome {
    const { route } = message;
    const stamped = Number.isNaN(this.#reading.timeMs);
    const stamp = stamped ? this.#arrival(message) : deviceStamp(this.#reading.timeMs);
    const late = stamped ? null : this.#judgeTime(message, stamp.timeMs, stamp.timeMs);
    if (late !== null) return this.#deadLetter(message, late);
    const good = this.#sortFields(route);
    if (good.count === 0) {
      return this.#deadLetter(
        message,
        good.fault ?? this.#reading.fault('missing_value', 'no channel of this class'),
      );
    }
    const letter = good.fault === null ? null : this.#letter(message, good.fault);
    const size = good.bytes + (letter === null ? 0 : deadLetterBytes(letter));
    if (size > this.#maxRecordBytes) return this.#oversize(message, size);
    if (!this.#sink.hasRoom(size) || (letter !== null && !this.#mayKeep())) return 'no_room';
    this.#writeFields(route, stamp);
    if (letter === null) return this.#done(good.count, !good.durable);
    this.#write(letter);
    this.#counters.samples += good.count;
    return 'accepted';
  }

  /** Sets the slots that can't be used to NOTHING and keeps why the first one can't. */
  #sortFields(route: Route): {
    count: number;
    bytes: number;
    durable: boolean;
    fault: DeadLetterReason | null;
  } {
    const reading = this.#reading;
    const sorted = { count: 0, bytes: 0, durable: false, fault: null as DeadLetterReason | null };
    let detail = '';
    let newChannels = 0;
    for (let slot = 0; slot < route.decoder!.slotNames.length; slot++) {
      if (reading.found[slot] === Found.NOTHING) continue;
      const target = this.router.target(route, slot);
      const fault = checkField(reading, slot, target) ?? this.#noChannelLeft(target!, newChannels);
      if (fault === null) {
        if (target!.ref === null) newChannels += 1;
        if (target!.flags === 0) sorted.durable = true;
        sorted.bytes += SCALAR_BYTES + announcement(target!);
        sorted.count += 1;
        continue;
      }
      if (sorted.fault === null) {
        sorted.fault = fault;
        detail = reading.detail;
      }
      reading.found[slot] = Found.NOTHING;
    }
    if (sorted.fault !== null) reading.detail = detail;
    return sorted;
  }

  #writeFields(route: Route, stamp: Stamp): void {
    const reading = this.#reading;
    const { timeMs, quality } = stamp;
    const flags = this.#sequenceFlag(route.machine.sequence) | stamp.flags;
    const sequence = Math.max(0, reading.sequence);
    for (let slot = 0; slot < route.decoder!.slotNames.length; slot++) {
      if (reading.found[slot] === Found.NOTHING) continue;
      const target = this.router.target(route, slot)!;
      const index = this.#announced(route, target);
      this.#sink.scalar(index, flags | target.flags, quality, sequence, timeMs, reading.values[slot]!);
    }
  }

  #judgeTime({ route, nowMs }: Message, firstMs: number, lastMs: number): DeadLetterReason | null {
    const { clockGuard } = this.#options;
    const verdict = judgeTime(clockGuard, firstMs, lastMs, nowMs, this.#clock);
    // Replayed recordings (any age allowed) say nothing about a clock, and ours must be right to judge another.
    if (verdict !== 'bad_timestamp' && clockGuard.maxPastMs > 0 && this.#clock.isSet)
      route.machine.clock.observe(lastMs, nowMs);
    switch (verdict) {
      case 'ok':
        return null;
      case 'bad_timestamp':
        return this.#reading.fault(verdict, `${firstMs} ms is no time after 1970`);
      case 'future_timestamp':
        return this.#reading.fault(
          verdict,
          this.#clock.isSet
            ? `${lastMs - nowMs} ms ahead; allowed are ${clockGuard.maxFutureMs}`
            : 'no time before 2100, and the gateway does not know its own',
        );
      case 'past_timestamp':
        return this.#reading.fault(
          verdict,
          this.#clock.isSet
            ? `${nowMs - firstMs} ms old; allowed are ${clockGuard.maxPastMs}`
            : `more than ${clockGuard.maxPastMs} ms before the newest time the gateway knew`,
        );
    }
  }

  /** @param promised new channels that earlier values of the same message will take */
  #noChannelLeft(target: ChannelTarget, promised: number): DeadLetterReason | null {
    const { room, size } = this.router.registry;
    if (target.ref !== null || promised < room) return null;
    const detail = `${size} channels are known, ${target.name} would be one more`;
    return this.#reading.fault('too_many_channels', detail);
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

  #oversize(message: Message, size: number): AcceptOutcome {
    const detail = `${size} bytes of records; the ring takes ${this.#maxRecordBytes} at once`;
    return this.#deadLetter(message, this.#reading.fault('oversize', detail));
  }

  #deadLetter(message: Message, reason: DeadLetterReason): AcceptOutcome {
    const letter = this.#letter(message, reason);
    if (!this.#hasRoomFor(letter)) return 'no_room';
    this.#write(letter);
    return 'accepted';
  }

  /** Room in the ring, and within the rate at which dead letters are kept. */
  #hasRoomFor(letter: DeadLetter): boolean {
    return this.#sink.hasRoom(deadLetterBytes(letter)) && this.#mayKeep();
  }

  #letter({ route, bytes, from, to, nowMs }: Message, reason: DeadLetterReason): DeadLetter {
    const kept = keptOf(bytes.subarray(from, to), to - from, this.#options.deadLetterPayloadBytes);
    const { detail } = this.#reading;
    return { reason, detail, source: route.topic, ...kept, receivedMs: nowMs };
  }

  #write(letter: DeadLetter): void {
    const { reason, source: topic, detail, receivedMs } = letter;
    this.#sink.deadLetter(letter);
    this.#counters.deadLettered += 1;
    this.#counters.deadLetters[reason] += 1;
    this.#complaints.warn(reason, receivedMs, 'message kept as dead letter', () => ({ topic, detail }));
  }
}

function deviceStamp(timeMs: number): Stamp {
  return { timeMs, flags: 0, quality: GOOD };
}

function announcement(target: ChannelTarget): number {
  return target.ref === null ? target.announceBytes : 0;
}

/** Upper bound of the record's size. */
function deadLetterBytes({ reason, detail, source, payload }: DeadLetter): number {
  const text = Buffer.byteLength(reason) + Math.min(MAX_DETAIL_BYTES, Buffer.byteLength(detail));
  return alignRecord(DEAD_LETTER_FRAME_BYTES + text + Buffer.byteLength(source) + payload.length);
}
