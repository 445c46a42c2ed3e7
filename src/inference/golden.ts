/** What a model answers on this device and what it answered at export enter, the first difference leaves. */

import type { WireTensors } from './tensor.ts';

/**
 * Compares every expected output element by element; NaN equals NaN.
 *
 * @returns empty if all lie within `atol`; otherwise one sentence naming output, position and both numbers
 */
export function goldenDifference(expected: WireTensors, actual: WireTensors, atol: number): string {
  for (const [name, want] of Object.entries(expected)) {
    const got = actual[name];
    if (got === undefined) return `output ${name} is missing or not a float tensor`;
    if (got.data.length !== want.data.length) {
      return `output ${name} has shape [${got.dims.join(', ')}], expected [${want.dims.join(', ')}]`;
    }
    for (let i = 0; i < want.data.length; i++) {
      const [a, b] = [got.data[i]!, want.data[i]!];
      const equal = Math.abs(a - b) <= atol || (Number.isNaN(a) && Number.isNaN(b)) || a === b;
      if (!equal) return `output ${name}[${i}] is ${a}, expected ${b} within ${atol}`;
    }
  }
  return '';
}
