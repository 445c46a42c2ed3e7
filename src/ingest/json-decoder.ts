/** A JSON payload and the mapping of its class enter, time, sequence and numbers leave in a Reading. */

import type { PayloadConfig } from '../config/schema.ts';
import type { DeadLetterReason } from '../domain/dead-letter.ts';
import { msFromIso8601, msFromNumber, type TimeUnit } from './event-time.ts';
import { type DiscoverMember, JsonMemberReader, JsonMembers, MemberKind } from './json-members.ts';
import { isJsonButForNonFinite } from './json-non-finite.ts';
import { Found, type PayloadDecoder, type Reading } from './reading.ts';

export type JsonPayloadConfig = Extract<PayloadConfig, { format: 'json' }>;

/** Names an unnamed member of an `allFields` payload may have; those of the configuration's identifiers. */
const CHANNEL_NAME = /^[A-Za-z0-9_.:-]{1,64}$/;
/** Members of one class's `allFields` payloads that are looked for; more are left aside. */
const MAX_DISCOVERED = 1024;

/** Compiled once a class (or channel); holds the scratch memory of its messages. */
export class JsonDecoder implements PayloadDecoder {
  readonly #timeUnit: TimeUnit;
  readonly #reader: JsonMemberReader;
  readonly #members = new JsonMembers();
  readonly #slotNames: string[] = [];
  readonly #channelSlots: number[] = [];
  readonly #many: boolean;
  readonly #timeSlot: number;
  readonly #sequenceSlot: number;
  readonly #unitSlot: number;
  readonly #rateSlot: number;

  /** @param takesChannel whether a member that only `allFields` names is a channel of the class */
  constructor(config: JsonPayloadConfig, takesChannel: (name: string) => boolean) {
    const pointers: string[] = [];
    const slotFor = (pointer: string | null) => (pointer === null ? -1 : pointers.push(pointer) - 1);
    this.#timeUnit = config.timeUnit;
    this.#many = config.allFields || config.fields !== undefined;
    this.#timeSlot = slotFor(config.time);
    this.#sequenceSlot = slotFor(config.sequence);
    this.#unitSlot = slotFor(config.unit);
    this.#rateSlot = slotFor(config.sampleRateHz);
    if (config.fields !== undefined) {
      for (const [name, pointer] of Object.entries(config.fields)) {
        this.#slotNames.push(name);
        this.#channelSlots.push(slotFor(pointer));
      }
    } else if (!config.allFields) {
      this.#channelSlots.push(slotFor(config.value));
    }
    const discover = config.allFields ? this.#discoverer(takesChannel) : null;
    this.#reader = new JsonMemberReader(pointers, this.#many ? -1 : this.#channelSlots[0]!, discover);
  }

  get slotNames(): readonly string[] {
    return this.#slotNames;
  }

  /** `malformed_json`, `not_finite` for NaN written as a word, `bad_timestamp` for a time that is missing or no time; what else is wrong shows in `out`. */
  decode(bytes: Buffer, from: number, to: number, out: Reading): DeadLetterReason | null {
    const members = this.#members;
    if (!this.#reader.read(bytes, from, to, members)) {
      return isJsonButForNonFinite(bytes, from, to)
        ? out.fault('not_finite', 'NaN or Infinity, which JSON cannot hold')
        : out.fault('malformed_json', 'not JSON');
    }
    out.begin(this.#channelSlots.length);
    for (let i = 0; i < this.#channelSlots.length; i++) this.#channel(i, this.#channelSlots[i]!, out);
    if (this.#sequenceSlot >= 0 && members.kinds[this.#sequenceSlot] === MemberKind.NUMBER) {
      const sequence = members.numbers[this.#sequenceSlot]!;
      if (Number.isInteger(sequence) && sequence >= 0) out.sequence = sequence % 2 ** 32;
    }
    if (this.#unitSlot >= 0) {
      out.unit = members.kinds[this.#unitSlot] === MemberKind.TEXT ? members.texts[this.#unitSlot]! : '';
    }
    if (this.#rateSlot >= 0) {
      // 0 is no rate a channel can have: a configured member that is missing must not pass as "not stated".
      out.sampleRateHz =
        members.kinds[this.#rateSlot] === MemberKind.NUMBER ? members.numbers[this.#rateSlot]! : 0;
    }
    return this.#time(out);
  }

  #channel(i: number, slot: number, out: Reading): void {
    const members = this.#members;
    switch (members.kinds[slot]) {
      case MemberKind.NUMBER:
        out.found[i] = Found.NUMBER;
        out.values[i] = members.numbers[slot]!;
        break;
      case MemberKind.LIST:
        out.found[i] = Found.LIST;
        out.growSamples(members.listLength);
        out.samples.set(members.list.subarray(0, members.listLength));
        out.sampleCount = members.listLength;
        break;
      case MemberKind.TEXT:
      case MemberKind.OTHER:
        out.found[i] = Found.OTHER;
        break;
      default:
        out.found[i] = Found.NOTHING;
    }
  }

  #time(out: Reading): DeadLetterReason | null {
    const slot = this.#timeSlot;
    if (slot < 0) return null;
    const kind = this.#members.kinds[slot];
    if (kind === MemberKind.NUMBER) out.timeMs = msFromNumber(this.#members.numbers[slot]!, this.#timeUnit);
    else if (kind === MemberKind.TEXT && this.#timeUnit === 'iso8601') {
      out.timeMs = msFromIso8601(this.#members.texts[slot]!);
    } else {
      const absent = kind === MemberKind.ABSENT || kind === MemberKind.NULL;
      return out.fault(
        'bad_timestamp',
        absent ? 'no event time' : `the event time is no ${this.#wantedTime}`,
      );
    }
    if (Number.isFinite(out.timeMs)) return null;
    return out.fault('bad_timestamp', `the event time is no ${this.#wantedTime}`);
  }

  get #wantedTime(): string {
    return this.#timeUnit === 'iso8601' ? 'ISO 8601 text with a zone' : `number of ${this.#timeUnit}`;
  }

  #discoverer(takesChannel: (name: string) => boolean): DiscoverMember {
    return (name) => {
      if (this.#slotNames.length >= MAX_DISCOVERED || !CHANNEL_NAME.test(name) || !takesChannel(name))
        return -1;
      const slot = this.#reader.add(`/${name}`);
      this.#slotNames.push(name);
      this.#channelSlots.push(slot);
      return slot;
    };
  }
}
