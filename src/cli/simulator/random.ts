/** A seed enters, reproducible uniform and normal numbers leave. */

/** 32-bit generator with 2^32 states (mulberry32): plenty for a simulation, no use for secrets. */
export class RandomSource {
  #state: number;
  #spareNormal: number | null = null;

  /** @param seed any integer; the name keeps machines of one seed apart */
  constructor(seed: number, name: string) {
    // FNV-1a over the name, started from the seed.
    let hash = (0x811c9dc5 ^ seed) >>> 0;
    for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
    this.#state = hash;
  }

  /** In [0, 1). */
  uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  }

  /** Mean 0, standard deviation 1 (Marsaglia's polar method). */
  normal(): number {
    if (this.#spareNormal !== null) {
      const spare = this.#spareNormal;
      this.#spareNormal = null;
      return spare;
    }
    for (;;) {
      const u = 2 * this.uniform() - 1;
      const v = 2 * this.uniform() - 1;
      const s = u * u + v * v;
      if (s >= 1 || s === 0) continue;
      const scale = Math.sqrt((-2 * Math.log(s)) / s);
      this.#spareNormal = v * scale;
      return u * scale;
    }
  }
}
