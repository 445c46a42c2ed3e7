/** The carried state of a machine's windows as bytes: the newest sample that left each channel, and what was emitted. */

import type { HeldSample } from './scalar-buffer.ts';

/** Channel name -> newest settled sample. */
export type HeldByChannel = Map<string, HeldSample>;

/** Windows that were emitted, final or not. */
export interface Emitted {
  /** End of the newest; -Infinity for none. */
  readonly untilMs: number;
  /** Samples before that end which final windows had not settled; -1 while some of them waited for a revision. */
  readonly samples: number;
  /** Highest revision of those that were not final: a restart goes on counting from there. */
  readonly revision: number;
}

const NOTHING_EMITTED: Emitted = { untilMs: Number.NEGATIVE_INFINITY, samples: -1, revision: 0 };

/**
 * Exact: floats keep every bit. Little-endian: u32 count, per channel f64 time, f64 value, u16 length, name; then f64
 * `untilMs`, f64 `samples` and f64 `revision` of what was emitted.
 */
export function encodeHeld(held: HeldByChannel, emitted: Emitted): Uint8Array {
  const names = [...held.keys()].map((name) => new TextEncoder().encode(name));
  const out = new Uint8Array(names.reduce((sum, name) => sum + 18 + name.length, 28));
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
  view.setFloat64(at, emitted.untilMs, true);
  view.setFloat64(at + 8, emitted.samples, true);
  view.setFloat64(at + 16, emitted.revision, true);
  return out;
}

/** What `encodeHeld` was given. */
export interface CarriedState {
  readonly held: HeldByChannel;
  readonly emitted: Emitted;
}

/** Inverse of `encodeHeld`. The store checks integrity; bytes of an older form give what they hold. */
export function decodeHeld(bytes: Uint8Array): CarriedState {
  const held: HeldByChannel = new Map();
  if (bytes.length < 4) return { held, emitted: NOTHING_EMITTED };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 4;
  for (let left = view.getUint32(0, true); left > 0 && at + 18 <= bytes.length; left -= 1) {
    const length = view.getUint16(at + 16, true);
    const name = new TextDecoder().decode(bytes.slice(at + 18, at + 18 + length));
    held.set(name, { timeMs: view.getFloat64(at, true), value: view.getFloat64(at + 8, true) });
    at += 18 + length;
  }
  if (at + 16 > bytes.length) return { held, emitted: NOTHING_EMITTED };
  const revision = at + 24 > bytes.length ? 0 : view.getFloat64(at + 16, true);
  const emitted = { untilMs: view.getFloat64(at, true), samples: view.getFloat64(at + 8, true), revision };
  return { held, emitted };
}
