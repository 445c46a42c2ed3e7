/** The three machines of the demonstration: time enters, what their sensors say leaves. */

import type { RecordedMessage, RowMessage, WaveformMessage } from '../recordings/recording.ts';
import { fanFouling, LIFE_S, pumpDamage } from './life.ts';
import { RandomSource } from './random.ts';
import { type ShaftAndBearing, vibrationBlock } from './vibration.ts';

/** Fastest sensor period; the simulation steps by it. */
export const TICK_MS = 200;
const TICKS_PER_SECOND = 1000 / TICK_MS;

const SAMPLE_RATE_HZ = 12_800;
/** One second every two: velocity from 10 Hz needs a second without a gap. */
const BLOCK_SAMPLES = 12_800;
const BLOCK_PERIOD_TICKS = 2 * TICKS_PER_SECOND;
const BLOCK_MS = (BLOCK_SAMPLES * 1000) / SAMPLE_RATE_HZ;

/** Peak of a blow on the outer race at failure. */
const FAILED_IMPACT_G = 12;
/** Thermal time constant of a bearing housing, and how far friction heats it. */
const HOUSING_TIME_CONSTANT_S = 25;
const FAILED_HEATING_K = 22;
const FOULED_HEATING_K = 6;

/** 6205 deep-groove ball bearing, millimetres. */
const BEARING_6205 = { rollingElements: 9, ballDiameter: 7.94, pitchDiameter: 39.04 } as const;

const PUMP: ShaftAndBearing = {
  ...BEARING_6205,
  shaftSpeedRpm: 1480,
  // The fifth is the vane pass of a five-vane impeller.
  harmonicsG: [0.15, 0.05, 0.02, 0.01, 0.08],
  noiseG: 0.05,
};

const MOTOR: ShaftAndBearing = {
  ...BEARING_6205,
  shaftSpeedRpm: 1480,
  harmonicsG: [0.08, 0.06, 0.02],
  noiseG: 0.03,
};

export interface SimulatedMachine {
  readonly machine: string;
  readonly machineClass: 'pump' | 'fan' | 'motor';
  /** Call once per tick, ascending from 0: the state of the machine moves on. */
  messagesAt(tick: number): RecordedMessage[];
}

/** @param seed the same seed gives the same messages, bit for bit */
export function simulatedMachines(seed: number): SimulatedMachine[] {
  return [new Pump('pump-1', seed), new Fan('fan-1', seed), new Motor('motor-1', seed)];
}

function row(tick: number, values: Record<string, number>): RowMessage {
  return { kind: 'row', offsetMs: tick * TICK_MS, values };
}

/** Sensors resolve so many digits, not seventeen. */
function rounded(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}

/** A snapshot is sent when it is complete: it began one block before this tick. None between two snapshots. */
function vibration(
  tick: number,
  shaft: ShaftAndBearing,
  impactG: number,
  random: RandomSource,
): WaveformMessage[] {
  if (tick % BLOCK_PERIOD_TICKS !== 0) return [];
  return [
    {
      kind: 'waveform',
      offsetMs: tick * TICK_MS - BLOCK_MS,
      channel: 'vibration',
      unit: 'g',
      sampleRateHz: SAMPLE_RATE_HZ,
      sequence: tick / BLOCK_PERIOD_TICKS,
      values: vibrationBlock(shaft, impactG, SAMPLE_RATE_HZ, BLOCK_SAMPLES, random),
    },
  ];
}

function lifeSeconds(tick: number): number {
  return (tick / TICKS_PER_SECOND) % LIFE_S;
}

/** A bearing housing that friction heats. While a part is replaced the machine stands and cools down. */
class Housing {
  readonly #timeConstantS: number;
  #heatingK = 0;

  constructor(timeConstantS: number) {
    this.#timeConstantS = timeConstantS;
  }

  /** Call once a second. @returns kelvin above a sound machine */
  heatingK(lifeS: number, steadyK: number): number {
    this.#heatingK = lifeS === 0 ? 0 : this.#heatingK + (steadyK - this.#heatingK) / this.#timeConstantS;
    return this.#heatingK;
  }
}

/** A centrifugal pump whose bearing wears out: impacts, heat, a little less flow. */
class Pump implements SimulatedMachine {
  readonly machineClass = 'pump';
  readonly machine: string;
  readonly #random: RandomSource;
  readonly #housing = new Housing(HOUSING_TIME_CONSTANT_S);

  constructor(machine: string, seed: number) {
    this.machine = machine;
    this.#random = new RandomSource(seed, machine);
  }

  messagesAt(tick: number): RecordedMessage[] {
    if (tick % TICKS_PER_SECOND !== 0) return [];
    const lifeS = lifeSeconds(tick);
    const damage = pumpDamage(lifeS);
    const heatingK = this.#housing.heatingK(lifeS, FAILED_HEATING_K * damage);
    const noise = () => this.#random.normal();
    const values = {
      temperature: rounded(48 + heatingK + 0.08 * noise(), 2),
      pressure: rounded(4.2 * (1 - 0.03 * damage) + 0.015 * noise(), 3),
      flow: rounded(118 * (1 - 0.05 * damage) + 0.6 * noise(), 1),
    };
    return [...vibration(tick, PUMP, FAILED_IMPACT_G * damage, this.#random), row(tick, values)];
  }
}

/** A fan whose blades foul: less air for more current, and a warmer bearing. */
class Fan implements SimulatedMachine {
  readonly machineClass = 'fan';
  readonly machine: string;
  readonly #random: RandomSource;
  readonly #housing = new Housing(2 * HOUSING_TIME_CONSTANT_S);

  constructor(machine: string, seed: number) {
    this.machine = machine;
    this.#random = new RandomSource(seed, machine);
  }

  messagesAt(tick: number): RecordedMessage[] {
    const lifeS = lifeSeconds(tick);
    const fouling = fanFouling(lifeS);
    const noise = () => this.#random.normal();
    const values: Record<string, number> = {
      current: rounded(8.4 * (1 + 0.14 * fouling) + 0.05 * noise(), 3),
      airflow: rounded(5200 * (1 - 0.22 * fouling) + 35 * noise(), 0),
    };
    if (tick % TICKS_PER_SECOND === 0) {
      const heatingK = this.#housing.heatingK(lifeS, FOULED_HEATING_K * fouling);
      values['bearing_temperature'] = rounded(41 + heatingK + 0.08 * noise(), 2);
    }
    return [row(tick, values)];
  }
}

/** A motor with nothing wrong: whatever is said about it is a false alarm. */
class Motor implements SimulatedMachine {
  readonly machineClass = 'motor';
  readonly machine: string;
  readonly #random: RandomSource;

  constructor(machine: string, seed: number) {
    this.machine = machine;
    this.#random = new RandomSource(seed, machine);
  }

  messagesAt(tick: number): RecordedMessage[] {
    const current = row(tick, { current: rounded(14.2 + 0.07 * this.#random.normal(), 3) });
    return [...vibration(tick, MOTOR, 0, this.#random), current];
  }
}
