/** The carried state of a machine's windows as bytes: the newest sample that left each channel. */

import type { HeldSample } from './scalar-buffer.ts';

/** Channel name -> newest settled sample. */
export type HeldByChannel = Map<string, HeldSample>;

/** Exact: floats keep every bit. Little-endian: u32 count, then per channel f64 time, f64 value, u16 length, name. */
export function encodeHeld(held: HeldByChannel): Uint8Array {
  const names = [...held.keys()].map((name) => new TextEncoder().encode(name));
  const out = new Uint8Array(4 + names.reduce((sum, name) => sum + 18 + name.length, 0));
  const view = new DataView(out.buffer);
  view.setUint32(0, held.size, true);
  let at = 4;
  [...held.values()].forEach((sample, i) => {
    const name = names[i]!;
    view.setFloat64(at, sample.timeMs, true);
    view.setFloat64(at + 8, sample.value, true);
    view.setUint16(at + 16, name.length, true);
    out.set(name, at + 18);
    at += 18 + name.length;
  });
  return out;
}

/** Inverse of `encodeHeld`. The store checks integrity; bytes of an older form give an empty map. */
export function decodeHeld(bytes: Uint8Array): HeldByChannel {
  const held: HeldByChannel = new Map();
  if (bytes.length < 4) return held;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 4;
  for (let left = view.getUint32(0, true); left > 0 && at + 18 <= bytes.length; left -= 1) {
    const length = view.getUint16(at + 16, true);
    const name = new TextDecoder().decode(bytes.slice(at + 18, at + 18 + length));
    held.set(name, { timeMs: view.getFloat64(at, true), value: view.getFloat64(at + 8, true) });
    at += 18 + length;
  }
  return held;
}
