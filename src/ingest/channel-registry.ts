/** Names of channels enter, their dense persisted indices and running state leave. */

import type { ChannelConfig, MachineClassConfig } from '../config/schema.ts';
import type { ChannelRef } from '../domain/machine.ts';
import { alignRecord, RecordFlag } from '../domain/record.ts';
import { ClockOffset } from './clock-guard.ts';
import { SequenceGuard } from './sequence-guard.ts';

const CHANNEL_HEADER_BYTES = 20;

/** One channel of one machine; exists once, whichever topics name it. */
export interface ChannelTarget {
  readonly name: string;
  readonly config: ChannelConfig;
  /** VOLATILE or 0. */
  readonly flags: number;
  readonly sequence: SequenceGuard;
  /** Null until its first value is accepted. */
  ref: ChannelRef | null;
  /** Size of the record that announces it. */
  readonly announceBytes: number;
}

/** One machine of one class. */
export interface MachineState {
  readonly machineClass: string;
  readonly machine: string;
  readonly config: MachineClassConfig;
  /** Those that have an index. */
  readonly channels: Map<string, ChannelTarget>;
  /** For messages that carry many channels under one sequence number. */
  readonly sequence: SequenceGuard;
  readonly clock: ClockOffset;
}

/** Every channel ever seen. Bounded by `maxChannels`, which known channels count towards. */
export class ChannelRegistry {
  readonly #maxChannels: number;
  readonly #known = new Map<string, ChannelRef>();
  readonly #machines = new Map<string, MachineState>();
  #nextIndex = 0;

  constructor(known: readonly ChannelRef[], maxChannels: number) {
    this.#maxChannels = maxChannels;
    for (const ref of known) {
      this.#known.set(channelKey(ref.machineClass, ref.machine, ref.channel), ref);
      this.#nextIndex = Math.max(this.#nextIndex, ref.index + 1);
    }
  }

  get size(): number {
    return this.#known.size;
  }

  /** Channels that may still be added. */
  get room(): number {
    return Math.max(0, this.#maxChannels - this.#known.size);
  }

  /** For the clock statistics. */
  machines(): Iterable<MachineState> {
    return this.#machines.values();
  }

  /** The state of a machine. One that never delivers a channel is forgotten when there are many. */
  machine(machineClass: string, machine: string, config: MachineClassConfig): MachineState {
    const key = `${machineClass}\0${machine}`;
    const known = this.#machines.get(key);
    if (known !== undefined) return known;
    const state = {
      machineClass,
      machine,
      config,
      channels: new Map(),
      sequence: new SequenceGuard(),
      clock: new ClockOffset(),
    };
    if (this.#machines.size < this.#maxChannels) this.#machines.set(key, state);
    return state;
  }

  /** The channel by name, null if its class declares neither it nor `*`. */
  channel(machine: MachineState, name: string): ChannelTarget | null {
    const known = machine.channels.get(name);
    if (known !== undefined) return known;
    const config = channelConfig(machine.config, name);
    if (config === null) return null;
    const target = this.#target(machine, name, config);
    // A name that has delivered nothing yet costs no lasting memory: anyone may invent names.
    if (target.ref !== null) machine.channels.set(name, target);
    return target;
  }

  /**
   * Gives the channel its index; returns it if it has to be announced, null if it was known. The caller asked for
   * `room`, and writes the announcement before the channel's first record.
   */
  assign(machine: MachineState, target: ChannelTarget): ChannelRef | null {
    const { machineClass, machine: id } = machine;
    const key = channelKey(machineClass, id, target.name);
    machine.channels.set(target.name, target);
    const known = this.#known.get(key);
    if (known !== undefined) {
      target.ref = known;
      return null;
    }
    target.ref = { index: this.#nextIndex, machineClass, machine: id, channel: target.name };
    this.#nextIndex += 1;
    this.#known.set(key, target.ref);
    return target.ref;
  }

  #target(machine: MachineState, name: string, config: ChannelConfig): ChannelTarget {
    const { machineClass, machine: id } = machine;
    const text = Buffer.byteLength(machineClass) + Buffer.byteLength(id) + Buffer.byteLength(name);
    return {
      name,
      config,
      flags: config.durability === 'memory' ? RecordFlag.VOLATILE : 0,
      sequence: new SequenceGuard(),
      ref: this.#known.get(channelKey(machineClass, id, name)) ?? null,
      announceBytes: alignRecord(CHANNEL_HEADER_BYTES + text),
    };
  }
}

/** What a class says about a channel: its own entry, or the one for any other; null if it has neither. */
export function channelConfig(machineClass: MachineClassConfig, name: string): ChannelConfig | null {
  const { channels } = machineClass;
  if (name !== '*' && Object.hasOwn(channels, name)) return channels[name]!;
  return channels['*'] ?? null;
}

function channelKey(machineClass: string, machine: string, channel: string): string {
  return `${machineClass}\0${machine}\0${channel}`;
}
