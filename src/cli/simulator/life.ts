/** Time since a machine's overhaul enters, how worn it is leaves. */

/** The story of the demonstration; it repeats, as if the part had been replaced. */
export const LIFE_S = 420;
/** Long enough for a baseline of 25 windows of 2 s. */
const PUMP_ONSET_S = 60;
const PUMP_GROWTH_S = 180;
/** ln of last to first: damage grows a hundredfold from its onset to failure. */
const PUMP_GROWTH = Math.log(100);
const FAN_ONSET_S = 70;
const FAN_STEP = 0.25;
const FAN_DRIFT_S = 200;

/**
 * Outer-race damage of the pump: 0 when sound, 1 at failure, and failed until the bearing is replaced. Grows
 * exponentially, as bearing vibration does late in life (Gebraeel et al., IIE Transactions 37 (2005) 543-557).
 */
export function pumpDamage(lifeS: number): number {
  const since = Math.min(lifeS - PUMP_ONSET_S, PUMP_GROWTH_S);
  return since <= 0 ? 0 : Math.expm1((PUMP_GROWTH * since) / PUMP_GROWTH_S) / Math.expm1(PUMP_GROWTH);
}

/** Fouling of the fan's blades: 0 clean, 1 worst; a lump at once, then a slow layer. */
export function fanFouling(lifeS: number): number {
  const since = lifeS - FAN_ONSET_S;
  return since <= 0 ? 0 : Math.min(1, FAN_STEP + ((1 - FAN_STEP) * since) / FAN_DRIFT_S);
}
