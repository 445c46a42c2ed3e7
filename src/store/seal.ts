/**
 * A small value in, a blob out that tells whether it is still itself.
 *
 * | offset | type | field                                       |
 * |--------|------|---------------------------------------------|
 * | 0      | u32  | CRC-32C over the tag's text and the content |
 * | 4      | ...  | content, UTF-8 JSON                         |
 *
 * The tag names table and key, so that a blob that ended up in another row does not pass either.
 */

import { crc32c } from './crc32c.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function checksum(tag: string, content: Uint8Array): number {
  return crc32c(content, crc32c(encoder.encode(tag)));
}

/** Wraps raw bytes; the content starts at offset 4 of the result. */
export function sealBytes(tag: string, content: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(4 + content.length);
  out.writeUInt32LE(checksum(tag, content), 0);
  out.set(content, 4);
  return out;
}

/** Content of a sealed blob (a view), or null where the checksum does not match. */
export function unsealBytes(tag: string, blob: unknown): Uint8Array | null {
  if (!(blob instanceof Uint8Array) || blob.length < 4) return null;
  const content = blob.subarray(4);
  const stored = (blob[0]! | (blob[1]! << 8) | (blob[2]! << 16) | (blob[3]! << 24)) >>> 0;
  return stored === checksum(tag, content) ? content : null;
}

/** JSON of a value, sealed. The value survives JSON: finite numbers, strings, booleans, arrays, plain objects. */
export function sealJson(tag: string, value: unknown): Buffer {
  return sealBytes(tag, encoder.encode(JSON.stringify(value)));
}

/** What `sealJson` wrapped, or null where the checksum does not match. */
export function unsealJson(tag: string, blob: unknown): unknown {
  const content = unsealBytes(tag, blob);
  return content === null ? null : JSON.parse(decoder.decode(content));
}
