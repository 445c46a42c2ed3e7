// Waveform blocks: 100 channels at 102.4 kHz, 4096 samples a block, 1 s windows with vib.basic. The figure is samples
// per second of CPU, i.e. what one core carries.

const SAMPLE_RATE_HZ = 102_400;
const BLOCK_SAMPLES = 4096;
const CONNECTIONS = 100;

function blockHeader() {
  const header = Buffer.alloc(32);
  header.write('MWB1', 0, 'latin1');
  header.writeUInt8(1, 4);
  header.writeFloatLE(SAMPLE_RATE_HZ, 16);
  header.writeFloatLE(1, 20);
  header.writeUInt32LE(BLOCK_SAMPLES, 28);
  return header.toString('base64');
}

export async function run({ wanted, record, withTarget, startGateway, load }) {
  const machineClasses = (durability) => ({
    rig: {
      topics: ['factory/{machine}/{channel}'],
      payload: { format: 'block' },
      channels: {
        '*': {
          kind: 'waveform',
          unit: 'g',
          sampleRateHz: SAMPLE_RATE_HZ,
          features: ['vib.basic'],
          durability,
        },
      },
      window: { sizeMs: 1000, outOfOrderMs: 200 },
    },
  });
  for (const durability of ['memory', 'disk']) {
    const name = `waveform blocks, durability ${durability}`;
    if (!wanted(name)) continue;
    const outcome = await withTarget(
      () => startGateway({ machineClasses: machineClasses(durability) }),
      (target) =>
        load(target, {
          qos: 1,
          kind: 'block',
          connections: CONNECTIONS,
          ratePerS: (SAMPLE_RATE_HZ / BLOCK_SAMPLES) * CONNECTIONS,
          blockSamples: BLOCK_SAMPLES,
          blockTemplate: blockHeader(),
          blockTimeAt: 8,
          blockMs: (BLOCK_SAMPLES / SAMPLE_RATE_HZ) * 1000,
        }),
    );
    const samplesPerS = outcome.sentPerS * BLOCK_SAMPLES;
    record(`${name}: samples per core`, samplesPerS / outcome.cores / 1e6, 'M samples/s', 10);
    record(`${name}: samples taken`, samplesPerS / 1e6, 'M samples/s', 10.24);
    record(`${name}: RSS`, outcome.rssMb, 'MB', 150);
  }
}
