/** A machine's baseline state enters, bytes for the store leave, and back: every float exactly. */

import type { FittedBaseline } from './baseline-fit.ts';

/** A watched or collected feature: its full id and what makes it the quantity it is (unit, version, parameters). */
export interface NamedQuantity {
  readonly id: string;
  readonly signature: string;
}

/** Everything a restart needs to go on scoring a machine. */
export interface StoredBaseline {
  /** Window the features were computed on; another one makes the baseline meaningless. */
  readonly sizeMs: number;
  readonly hopMs: number;
  /** In the order of the fit's arrays. */
  readonly features: readonly NamedQuantity[];
  readonly fit: FittedBaseline;
}

const VERSION = 1;

/** Little-endian float64, as every platform the gateway runs on stores them. */
export function encodeRow(row: Float64Array): Uint8Array {
  return new Uint8Array(row.buffer.slice(row.byteOffset, row.byteOffset + row.byteLength));
}

/** Null if the length is not that of a row. */
export function decodeRow(bytes: Uint8Array): Float64Array | null {
  if (bytes.length % 8 !== 0) return null;
  // Copied, since the bytes of a row need not start at a multiple of eight.
  return new Float64Array(new Uint8Array(bytes).buffer);
}

/** JSON bytes, for the small lists. */
export function encodeJson(value: unknown): Uint8Array {
  return new Uint8Array(Buffer.from(JSON.stringify(value), 'utf8'));
}

/** Null if the bytes are not JSON. */
export function decodeJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return null;
  }
}

/** u32 length of the JSON head, the head padded to 8 bytes, then center, scale, lower triangle, scores as float64. */
export function encodeBaseline({ sizeMs, hopMs, features, fit }: StoredBaseline): Uint8Array {
  const { calibration, windows, fromMs, toMs } = fit;
  const { effectiveCount, tailStart, meanExcess, tailCount, scores } = calibration;
  const count = scores.length;
  const head = JSON.stringify({
    version: VERSION,
    ...{
      sizeMs,
      hopMs,
      features,
      windows,
      fromMs,
      toMs,
      effectiveCount,
      tailStart,
      meanExcess,
      tailCount,
      count,
    },
  });
  const headLength = Buffer.byteLength(head);
  const w = features.length;
  const arraysAt = Math.ceil((4 + headLength) / 8) * 8;
  const numbers = new Float64Array(2 * w + (w * (w + 1)) / 2 + count);
  numbers.set(fit.center, 0);
  numbers.set(fit.scale, w);
  let at = 2 * w;
  for (let i = 0; i < w; i++) for (let j = 0; j <= i; j++) numbers[at++] = fit.precision[i * w + j]!;
  numbers.set(scores, at);
  const bytes = Buffer.alloc(arraysAt + numbers.byteLength, 0x20);
  bytes.writeUInt32LE(headLength, 0);
  bytes.write(head, 4, 'utf8');
  bytes.set(new Uint8Array(numbers.buffer), arraysAt);
  return new Uint8Array(bytes);
}

/** Null if the bytes were not written by `encodeBaseline` of this version. */
export function decodeBaseline(bytes: Uint8Array): StoredBaseline | null {
  if (bytes.length < 8) return null;
  const buffer = Buffer.from(bytes);
  const headLength = buffer.readUInt32LE(0);
  if (4 + headLength > bytes.length) return null;
  const head = decodeJson(buffer.subarray(4, 4 + headLength)) as Head | null;
  if (head === null || head.version !== VERSION) return null;
  const w = head.features.length;
  const numbers = decodeRow(buffer.subarray(Math.ceil((4 + headLength) / 8) * 8));
  const triangle = (w * (w + 1)) / 2;
  if (numbers === null || numbers.length !== 2 * w + triangle + head.count) return null;
  const precision = new Float64Array(w * w);
  let at = 2 * w;
  for (let i = 0; i < w; i++) {
    for (let j = 0; j <= i; j++) {
      precision[i * w + j] = numbers[at]!;
      precision[j * w + i] = numbers[at++]!;
    }
  }
  const { effectiveCount, tailStart, meanExcess, tailCount } = head;
  const calibration = { scores: numbers.slice(at), effectiveCount, tailStart, meanExcess, tailCount };
  return {
    sizeMs: head.sizeMs,
    hopMs: head.hopMs,
    features: head.features,
    fit: {
      watched: head.features.map((_, i) => i),
      center: numbers.slice(0, w),
      scale: numbers.slice(w, 2 * w),
      precision,
      calibration,
      windows: head.windows,
      fromMs: head.fromMs,
      toMs: head.toMs,
    },
  };
}

interface Head {
  readonly version: number;
  readonly sizeMs: number;
  readonly hopMs: number;
  readonly features: readonly NamedQuantity[];
  readonly windows: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly effectiveCount: number;
  readonly tailStart: number;
  readonly meanExcess: number;
  readonly tailCount: number;
  readonly count: number;
}
