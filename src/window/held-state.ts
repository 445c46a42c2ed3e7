/** The carried state of a machine's windows as bytes: the newest sample that left each channel, and what was emitted. */

import type { HeldSample } from './scalar-buffer.ts';

/** Channel name -> newest settled sample. */
export type HeldByChannel = Map<string, HeldSample>;

/**
 * Exact: floats keep every bit. Little-endian: u32 count, per channel f64 time, f64 value, u16 length, name; then f64
 * `emittedUntilMs`, the end of the newest window that was emitted.
 */
export function encodeHeld(held: HeldByChannel, emittedUntilMs: number): Uint8Array {
  const names = [...held.keys()].map((name) => new TextEncoder().encode(name));
  const out = new Uint8Array(names.reduce((sum, name) => sum + 18 + name.length, 12));
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
  view.setFloat64(at, emittedUntilMs, true);
  return out;
}

/** What `encodeHeld` was given. */
export interface CarriedState {
  readonly held: HeldByChannel;
  /** -Infinity where the bytes do not say. */
  readonly emittedUntilMs: number;
}

/** Inverse of `encodeHeld`. The store checks integrity; bytes of an older form give what they hold. */
export function decodeHeld(bytes: Uint8Array): CarriedState {
  const held: HeldByChannel = new Map();
  if (bytes.length < 4) return { held, emittedUntilMs: Number.NEGATIVE_INFINITY };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 4;
  for (let left = view.getUint32(0, true); left > 0 && at + 18 <= bytes.length; left -= 1) {
    const length = view.getUint16(at + 16, true);
    const name = new TextDecoder().decode(bytes.slice(at + 18, at + 18 + length));
    held.set(name, { timeMs: view.getFloat64(at, true), value: view.getFloat64(at + 8, true) });
    at += 18 + length;
  }
  const emittedUntilMs = at + 8 <= bytes.length ? view.getFloat64(at, true) : Number.NEGATIVE_INFINITY;
  return { held, emittedUntilMs };
}
