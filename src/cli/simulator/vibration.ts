/**
 * A shaft, a bearing and how worn it is enter; what an accelerometer on the housing would sample leaves.
 *
 * Each roller that passes a spall on the outer race strikes the housing, which rings at its own frequency and fades:
 * the impulse-response model of McFadden and Smith, "Model for the vibration produced by a single point defect in a
 * rolling element bearing", Journal of Sound and Vibration 96 (1984). Rollers slip, so that the blows come 1 to 2 %
 * later than the geometry says and never quite evenly (Randall and Antoni, MSSP 25 (2011) 485-520, §2).
 */

import type { RandomSource } from './random.ts';

export interface ShaftAndBearing {
  readonly shaftSpeedRpm: number;
  readonly rollingElements: number;
  /** Same unit as pitchDiameter; contact angle 0. */
  readonly ballDiameter: number;
  readonly pitchDiameter: number;
  /** Amplitudes in g of 1x, 2x, 3x ... shaft speed. */
  readonly harmonicsG: readonly number[];
  /** Standard deviation of the broad-band noise, g. */
  readonly noiseG: number;
}

/** Where the housing rings, and how fast it fades: damping ratio 5 %. */
const RESONANCE_HZ = 3000;
const DAMPING_PER_S = 0.05 * 2 * Math.PI * RESONANCE_HZ;
/** After this many seconds a blow has faded to e^-9. */
const RING_DOWN_S = 9 / DAMPING_PER_S;
const MEAN_SLIP = 0.012;
const SLIP_JITTER = 0.005;
/** Blows are not equally hard. */
const IMPACT_JITTER = 0.15;
/** Relative speed wander of a loaded induction motor from block to block. */
const SPEED_WANDER = 0.001;

/** Ball-pass frequency of the outer race, outer race fixed: n/2 * fr * (1 - d/D). */
export function outerRaceHz(bearing: ShaftAndBearing): number {
  const shaftHz = bearing.shaftSpeedRpm / 60;
  return (bearing.rollingElements / 2) * shaftHz * (1 - bearing.ballDiameter / bearing.pitchDiameter);
}

/**
 * One block of acceleration.
 * @param impactG peak of a blow on the outer race, g; 0 for a sound bearing
 * @returns shape [samples], g
 */
export function vibrationBlock(
  bearing: ShaftAndBearing,
  impactG: number,
  sampleRateHz: number,
  samples: number,
  random: RandomSource,
): Float32Array {
  const speed = 1 + SPEED_WANDER * random.normal();
  const shaft = (2 * Math.PI * bearing.shaftSpeedRpm * speed) / 60 / sampleRateHz;
  const phases = bearing.harmonicsG.map(() => 2 * Math.PI * random.uniform());
  const sum = new Float64Array(samples);
  for (let i = 0; i < samples; i += 1) {
    let value = bearing.noiseG * random.normal();
    for (let h = 0; h < phases.length; h += 1) {
      value += bearing.harmonicsG[h]! * Math.sin((h + 1) * shaft * i + phases[h]!);
    }
    sum[i] = value;
  }
  if (impactG > 0) addImpacts(sum, outerRaceHz(bearing) * speed, impactG, sampleRateHz, random);
  return Float32Array.from(sum);
}

function addImpacts(
  sum: Float64Array,
  outerRaceHz: number,
  impactG: number,
  sampleRateHz: number,
  random: RandomSource,
): void {
  const periodS = 1 / (outerRaceHz * (1 - MEAN_SLIP));
  const durationS = sum.length / sampleRateHz;
  // The first blow may have fallen before the block and still ring inside it.
  let atS = -RING_DOWN_S - periodS * random.uniform();
  while (atS < durationS) {
    const peak = impactG * (1 + IMPACT_JITTER * random.normal());
    const from = Math.max(0, Math.ceil(atS * sampleRateHz));
    const to = Math.min(sum.length, Math.ceil((atS + RING_DOWN_S) * sampleRateHz));
    for (let i = from; i < to; i += 1) {
      const tau = i / sampleRateHz - atS;
      sum[i]! += peak * Math.exp(-DAMPING_PER_S * tau) * Math.sin(2 * Math.PI * RESONANCE_HZ * tau);
    }
    atS += periodS * (1 + SLIP_JITTER * random.normal());
  }
}
