/** Numbers that come again with the same seed, for tests that print theirs. */

/** mulberry32: 0 <= x < 1. Source: https://github.com/bryc/code/blob/master/jshash/PRNGs.md */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A fresh seed, or the one a failing run printed: `MILLWRIGHT_SEED=n npx vitest run ...`. */
export function testSeed(): number {
  return Number(process.env['MILLWRIGHT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
}
