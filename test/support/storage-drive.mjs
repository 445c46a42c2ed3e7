/**
 * The gateway's path from ring to outbox and on to a sink, driven step by step instead of by clocks: what a process
 * that is about to lose its power runs on the compiled modules, and what checks the disk afterwards on the sources.
 */

/** Points of one delivery; small, so that a scenario settles often. */
const POINTS_PER_DELIVERY = 40;

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Opens the store of `config.dataDir` and rebuilds the open windows.
 *
 * @param modules { buildPipeline, createRing, RingWriter, RingReader, SYSTEM_CLOCK }
 */
export function startDrive(modules, config) {
  const assembly = modules.buildPipeline(config, {
    logger: silent,
    clock: modules.SYSTEM_CLOCK,
    random: Math.random,
    // The forwarders are never started: the batches are taken by hand.
    writerOf: () => null,
  });
  assembly.pipeline.recover();
  const shared = modules.createRing(1 << 20);
  return {
    assembly,
    writer: new modules.RingWriter(shared),
    reader: new modules.RingReader(shared),
    known: new Set(assembly.store.channels().map(({ index }) => index)),
  };
}

/** One commit with the messages; acknowledged once it has returned. */
export function commitMessages({ assembly, writer, reader, known }, channels, messages) {
  for (const message of messages) {
    if (message.kind === 'letter') {
      const payload = Buffer.from(message.text);
      writer.deadLetter({
        reason: 'malformed_json',
        detail: '',
        source: 'x/y',
        payload,
        receivedMs: message.timeMs,
      });
      continue;
    }
    if (!known.has(message.channel)) {
      known.add(message.channel);
      writer.channel(channels[message.channel]);
    }
    if (message.kind === 'scalar') writer.scalar(message.channel, 0, 0, 0, message.timeMs, message.value);
    else {
      const values = Float32Array.from({ length: message.length }, (_, i) => Math.sin(message.value + i));
      writer.waveform(message.channel, 0, 0, 0, message.timeMs, message.sampleRateHz, values);
    }
  }
  const { pipeline, windower, store } = assembly;
  const spans = reader.peek(Infinity);
  pipeline.take(spans);
  reader.release(spans.reduce((sum, { from, to }) => sum + to - from, 0));
  pipeline.commit(Math.min(windower.oldestBatchNeeded(), store.nextBatchId()));
}

/** Windows that closed become results, which travel with the next commit. */
export function computeClosed({ assembly }) {
  while (assembly.pipeline.compute(Infinity) === 'now');
}

/** Hands batches to `send` (points as JSON) and settles them. Returns how many points went. */
export function deliver({ assembly: { store } }, lane, send) {
  let sent = 0;
  for (const { id, points } of store.readOutbox('influx', POINTS_PER_DELIVERY, lane)) {
    send(points);
    store.settleOutbox('influx', id, { delivered: points.length, deadLettered: [] });
    sent += points.length;
  }
  return sent;
}

/** Closes every window, stores the results and delivers everything. */
export function finishDrive(drive, send) {
  const { pipeline, windower, store } = drive.assembly;
  windower.flush();
  do computeClosed(drive);
  while (pipeline.commit(store.nextBatchId()));
  while (store.salvageStep());
  while (deliver(drive, 'backlog', send) > 0);
}
