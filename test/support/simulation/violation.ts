/** A promise that was broken, by its number in the list of invariants. */

export type Invariant =
  /** What was acknowledged is in the database, or counted as what became of it. */
  | 'I1'
  /** One value per identity; what is sent again is the same bytes. */
  | 'I2'
  /** Acknowledgements and journal keep the order of each sender. */
  | 'I3'
  /** Both accounts balance. */
  | 'I4'
  /** No acknowledgement before the flush. */
  | 'I5'
  /** Bounds hold. */
  | 'I6'
  /** Once the faults are over, everything comes to rest. */
  | 'I8';

export class Broken extends Error {
  readonly invariant: Invariant;

  constructor(invariant: Invariant, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}
