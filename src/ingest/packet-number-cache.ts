/** mqtt-packet, under aedes and mqtt.js alike, without its table of all packet numbers. */

/**
 * With its first packet mqtt-packet makes one Buffer for each of the 65,536 packet identifiers: 6 MB and, on a Pi,
 * tenths of a second, to save two bytes of writing. What is acknowledged in great number here does not pass through it.
 */
export async function forgoPacketNumberCache(): Promise<void> {
  const { default: mqttPacket } = await import('mqtt-packet');
  mqttPacket.writeToStream.cacheNumbers = false;
}
