/** Rolling bearing geometry -> how often per shaft turn each defect is struck. */

/** As in the configuration; diameters in any one unit. */
export interface BearingGeometry {
  readonly rollingElements: number;
  readonly ballDiameter: number;
  readonly pitchDiameter: number;
  readonly contactAngleDeg: number;
}

/** Defect frequencies as multiples of shaft speed, outer race fixed, no slip. */
export interface BearingOrders {
  /** Ball passes of a point on the outer race. */
  readonly bpfo: number;
  /** Ball passes of a point on the inner race. */
  readonly bpfi: number;
  /** Turns of a rolling element. A defect on it strikes both races, so its line is at twice this. */
  readonly bsf: number;
  /** Turns of the cage. */
  readonly ftf: number;
}

/**
 * Kinematics of rolling without slip; real bearings slip 1 to 2 %. For any geometry bpfo + bpfi = n and
 * bpfo = n ftf, which a catalogue entry should be checked against. A 6205 (9 balls, d/D = 0.3126/1.537) has
 * 3.5848, 5.4152, 2.3567 and 0.3983.
 *
 * @param geometry ballDiameter < pitchDiameter
 * Source: Randall and Antoni (2011), Mech. Syst. Signal Process. 25: 485-520, eq. 1-4.
 */
export function bearingOrders(geometry: BearingGeometry): BearingOrders {
  const { rollingElements, ballDiameter, pitchDiameter, contactAngleDeg } = geometry;
  const c = (ballDiameter / pitchDiameter) * Math.cos((contactAngleDeg * Math.PI) / 180);
  return {
    bpfo: (rollingElements / 2) * (1 - c),
    bpfi: (rollingElements / 2) * (1 + c),
    bsf: (pitchDiameter / (2 * ballDiameter)) * (1 - c * c),
    ftf: (1 - c) / 2,
  };
}
