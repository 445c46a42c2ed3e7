import { describe, expect, it } from 'vitest';
import type {
  RecordedMessage,
  RowMessage,
  WaveformMessage,
} from '../../../../src/cli/recordings/recording.ts';
import { fanFouling, LIFE_S, pumpDamage } from '../../../../src/cli/simulator/life.ts';
import { simulatedMachines, TICK_MS } from '../../../../src/cli/simulator/machines.ts';
import { RandomSource } from '../../../../src/cli/simulator/random.ts';
import { demoTimeline } from '../../../../src/cli/simulator/timeline.ts';
import { outerRaceHz, vibrationBlock } from '../../../../src/cli/simulator/vibration.ts';

const BEARING = {
  shaftSpeedRpm: 1480,
  rollingElements: 9,
  ballDiameter: 7.94,
  pitchDiameter: 39.04,
  harmonicsG: [0.1],
  noiseG: 0.01,
};

function play(seed: number, seconds: number): Map<string, RecordedMessage[]> {
  const said = new Map<string, RecordedMessage[]>();
  const machines = simulatedMachines(seed);
  for (let tick = 0; tick < (seconds * 1000) / TICK_MS; tick += 1) {
    for (const machine of machines) {
      said.set(machine.machine, [...(said.get(machine.machine) ?? []), ...machine.messagesAt(tick)]);
    }
  }
  return said;
}

/** Power of a signal at one frequency, by direct correlation. */
function powerAt(signal: Float64Array, hz: number, sampleRateHz: number): number {
  let [re, im] = [0, 0];
  signal.forEach((value, i) => {
    re += value * Math.cos((2 * Math.PI * hz * i) / sampleRateHz);
    im += value * Math.sin((2 * Math.PI * hz * i) / sampleRateHz);
  });
  return (re * re + im * im) / signal.length ** 2;
}

describe('vibrationBlock', () => {
  it('strikes at the outer-race frequency of the geometry, a little late for slip', () => {
    expect(outerRaceHz(BEARING)).toBeCloseTo(88.4247, 4);
    const block = vibrationBlock(BEARING, 5, 12_800, 51_200, new RandomSource(1, 'x'));
    const squared = Float64Array.from(block, (v) => v * v);
    const mean = squared.reduce((sum, v) => sum + v, 0) / squared.length;
    const envelope = squared.map((v) => v - mean);
    let best = 0;
    for (let hz = 60; hz <= 120; hz += 0.25) {
      if (powerAt(envelope, hz, 12_800) > powerAt(envelope, best, 12_800)) best = hz;
    }
    expect(best / outerRaceHz(BEARING)).toBeGreaterThan(0.98);
    expect(best / outerRaceHz(BEARING)).toBeLessThan(1);
  });

  it('is its harmonics and noise alone while the bearing is sound', () => {
    const block = vibrationBlock(BEARING, 0, 12_800, 12_800, new RandomSource(1, 'x'));
    const rms = Math.sqrt(block.reduce((sum, v) => sum + v * v, 0) / block.length);
    expect(rms).toBeCloseTo(Math.sqrt(0.1 ** 2 / 2 + 0.01 ** 2), 3);
  });
});

describe('the simulated machines', () => {
  it('say the same for the same seed, bit for bit, and otherwise for another', () => {
    expect(play(7, 5)).toEqual(play(7, 5));
    expect(play(7, 5)).not.toEqual(play(8, 5));
  });

  it('send what the demo configuration declares: rates, channels, sequence, ascending times', () => {
    const said = play(1, 10);
    const blocks = said.get('pump-1')!.filter((m): m is WaveformMessage => m.kind === 'waveform');
    expect(blocks).toHaveLength(5);
    expect(
      blocks.every((b) => b.values.length === 12_800 && b.sampleRateHz === 12_800 && b.unit === 'g'),
    ).toBe(true);
    expect(blocks.map((b) => b.sequence)).toEqual([0, 1, 2, 3, 4]);
    const fan = said.get('fan-1')! as RowMessage[];
    expect(fan.filter((m) => 'airflow' in m.values)).toHaveLength(50);
    expect(fan.filter((m) => 'bearing_temperature' in m.values)).toHaveLength(10);
    expect(fan.every((m, i) => i === 0 || m.offsetMs > fan[i - 1]!.offsetMs)).toBe(true);
  });

  it('leave the motor sound all its life, while the pump warms up and the fan blows less', () => {
    const said = play(3, 240);
    const mean = (machine: string, channel: string, from: number, to: number) => {
      const values = said
        .get(machine)!
        .filter(
          (m): m is RowMessage => m.kind === 'row' && m.offsetMs >= from * 1000 && m.offsetMs < to * 1000,
        )
        .map((m) => m.values[channel])
        .filter((v) => v !== undefined);
      return values.reduce((sum, v) => sum + v, 0) / values.length;
    };
    expect(mean('pump-1', 'temperature', 230, 240)).toBeGreaterThan(mean('pump-1', 'temperature', 0, 50) + 5);
    expect(mean('fan-1', 'airflow', 75, 85)).toBeLessThan(mean('fan-1', 'airflow', 0, 60) - 200);
    expect(mean('fan-1', 'current', 75, 85)).toBeGreaterThan(mean('fan-1', 'current', 0, 60) + 0.2);
    expect(mean('motor-1', 'current', 200, 240)).toBeCloseTo(mean('motor-1', 'current', 0, 40), 1);
  });
});

describe('a replacement', () => {
  it('leaves every machine as it was when new', () => {
    const said = play(5, LIFE_S + 30);
    const at = (machine: string, channel: string, second: number) =>
      said
        .get(machine)!
        .filter((m): m is RowMessage => m.kind === 'row' && m.offsetMs === second * 1000)
        .map((m) => m.values[channel]!)[0]!;
    expect(at('pump-1', 'temperature', LIFE_S - 1)).toBeGreaterThan(65);
    expect(at('pump-1', 'temperature', LIFE_S + 10)).toBeCloseTo(48, 0);
    expect(at('fan-1', 'airflow', LIFE_S + 10)).toBeGreaterThan(5000);
  });
});

describe('the story', () => {
  it('leaves a first minute to learn from, then grows to failure and stays failed until the replacement', () => {
    expect([0, 30, 60].map(pumpDamage)).toEqual([0, 0, 0]);
    expect(pumpDamage(120)).toBeGreaterThan(0.02);
    expect(pumpDamage(240)).toBeCloseTo(1, 12);
    expect(pumpDamage(LIFE_S - 1)).toBeCloseTo(1, 12);
    expect([0, 69].map(fanFouling)).toEqual([0, 0]);
    expect(fanFouling(71)).toBeGreaterThan(0.25);
    expect(fanFouling(400)).toBe(1);
  });

  it('is never ahead of the clock, at any speed, and never goes back', () => {
    for (const speed of [1, 2, 20]) {
      const { startMs, eventMs } = demoTimeline(1_000_000_000, speed);
      let last = startMs;
      for (let elapsed = 0; elapsed < 900_000; elapsed += 7919) {
        const event = eventMs(elapsed);
        expect(event).toBeLessThanOrEqual(1_000_000_000 + elapsed);
        expect(event).toBeGreaterThanOrEqual(last);
        last = event;
      }
    }
  });
});
