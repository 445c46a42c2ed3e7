/**
 * Bytes in, CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) out: the checksum over every blob the store keeps.
 *
 * SQLite alone notices few flipped bits inside a row, so nothing is read back without this check.
 */

const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;

/** Eight tables of 256 entries, one after the other: table k advances a byte by k further bytes. */
const TABLES = buildTables();

function buildTables(): Int32Array {
  const tables = new Int32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at += 1) {
    const previous = tables[at - 256]!;
    tables[at] = (previous >>> 8) ^ tables[previous & 0xff]!;
  }
  return tables;
}

/**
 * CRC-32C of `bytes`, continuing from `seed`.
 *
 * @param seed result of an earlier call, so that crc32c(b, crc32c(a)) is the checksum of a followed by b
 * @returns unsigned 32 bit; 0 for no bytes
 *
 * Source: RFC 3720 §12.1 and its test vectors; slicing by eight after Kounavis and Berry, 2008.
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  const t = TABLES;
  let crc = ~seed;
  let at = 0;
  const end = bytes.length;
  for (const last = end - 8; at <= last; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      t[1792 + (crc & 0xff)]! ^
      t[1536 + ((crc >>> 8) & 0xff)]! ^
      t[1280 + ((crc >>> 16) & 0xff)]! ^
      t[1024 + (crc >>> 24)]! ^
      t[768 + bytes[at + 4]!]! ^
      t[512 + bytes[at + 5]!]! ^
      t[256 + bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!;
  }
  for (; at < end; at += 1) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}
