/**
 * The binary record: what one accepted MQTT message becomes. One layout serves the ring between the threads and
 * the journal on disk, so what was acknowledged is byte for byte what is replayed after a crash.
 *
 * All records are little-endian, 8-byte aligned and a multiple of 8 bytes long.
 *
 * | offset | type | field                                                   |
 * |--------|------|---------------------------------------------------------|
 * | 0      | u32  | byteLength of the whole record                          |
 * | 4      | u8   | kind (RecordKind)                                       |
 * | 5      | u8   | quality (0 good, 1 uncertain, 2 bad)                    |
 * | 6      | u16  | flags (RecordFlag)                                      |
 *
 * SCALAR (32 bytes): 8 u32 channelIndex, 12 u32 sequence, 16 f64 eventTimeMs, 24 f64 value.
 * WAVEFORM: 8 u32 channelIndex, 12 u32 sequence, 16 f64 t0Ms (event time of the first sample),
 *   24 f64 sampleRateHz, 32 u32 n, 36 u32 reserved, 40 f32[n].
 * CHANNEL: 8 u32 channelIndex, 12 u16 class length, 14 u16 machine length, 16 u16 channel length, 18 u16 reserved,
 *   20 the three strings in UTF-8, one after the other.
 * DEAD_LETTER: 8 u16 reason length, 10 u16 detail length, 12 u16 topic length, 14 u16 1 = payload is cut, 16 f64
 *   receivedMs, 24 u32 payload length, 28 the three strings in UTF-8, then the payload, then of a cut one u32 its length
 *   before the cut.
 * CLOCK (64 bytes): 8 u32 1 = holds, 12 u32 1 = is set, 16 f64 offsetMs, 24 boot id in ASCII, filled up with NUL.
 */

export const RecordKind = { PAD: 0, SCALAR: 1, WAVEFORM: 2, CHANNEL: 3, DEAD_LETTER: 4, CLOCK: 5 } as const;

export const RecordFlag = {
  /** The publisher gave a sequence number. */
  HAS_SEQUENCE: 1,
  /** `durability: memory`: the record goes through the pipeline but not to the journal. */
  VOLATILE: 2,
  /** The event time is the gateway's receive time, not the sensor's. */
  GATEWAY_TIME: 4,
  /** That time counts from the boot of the device, because the time of day was not known. Only with GATEWAY_TIME. */
  BOOT_TIME: 8,
} as const;

export const SCALAR_BYTES = 32;
export const WAVEFORM_HEADER_BYTES = 40;
export const CLOCK_BYTES = 64;

/** Sample quality in the words of OPC UA; the index is what stands in a record. */
export const QUALITIES = ['good', 'uncertain', 'bad'] as const;
/** Index in QUALITIES. */
export const UNCERTAIN = 1;
export type Quality = (typeof QUALITIES)[number];

/** Rounds a byte count up to the record alignment of 8. */
export function alignRecord(bytes: number): number {
  return (bytes + 7) & ~7;
}
