/** A point prediction enters, the interval around it that was calibrated on other machines leaves. */

import type { Calibration } from './model-manifest.ts';

export interface CalibratedInterval {
  readonly low: number;
  readonly high: number;
}

/**
 * Mondrian split conformal interval: the residual quantiles of the bin the prediction falls into, clipped to the
 * range of the output. Covers the truth with probability >= `calibration.coverage` for a machine exchangeable with
 * those it was calibrated on (Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005).
 *
 * @param prediction finite, unit of the output
 * @param clip lowest and highest value the output can mean; low <= prediction <= high holds after clipping it too
 */
export function conformalInterval(
  prediction: number,
  calibration: Calibration,
  clip: readonly [number, number],
): CalibratedInterval {
  const bin = calibration.bins.find(({ upTo }) => prediction <= upTo)!;
  const [lowest, highest] = clip;
  return {
    low: Math.max(lowest, Math.min(prediction - bin.below, highest)),
    high: Math.min(highest, Math.max(prediction + bin.above, lowest)),
  };
}
