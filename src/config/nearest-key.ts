/** A mistyped key and the known keys -> the one that was probably meant. */

/**
 * The known key nearest to `key`, or null when none is near enough to be worth suggesting (more than a third of the
 * letters differ). Letter case and separators do not count, so `sample_rate_hz` finds `sampleRateHz`. Ties go to the
 * first in `known`.
 */
export function nearestKey(key: string, known: readonly string[]): string | null {
  const wanted = fold(key);
  let best: string | null = null;
  let bestDistance = Infinity;
  for (const candidate of known) {
    const distance = editDistance(wanted, fold(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (best === null) return null;
  return bestDistance <= Math.max(1, Math.floor(Math.max(wanted.length, best.length) / 3)) ? best : null;
}

function fold(key: string): string {
  return key.toLowerCase().replaceAll(/[-_. ]/g, '');
}

/**
 * Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, each costing 1.
 * `editDistance('hopsM', 'hopMs')` is 1.
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, substitution);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, beforeLast[j - 2]! + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
