/** The pipeline thread: builds the path from what the MQTT thread hands over, and joins the two by messages. */

import { parentPort, workerData } from 'node:worker_threads';
import { describeError, GatewayError } from '../errors.ts';
import { pointWriterOf } from '../forward/point-writer.ts';
import { createLogger } from '../telemetry/logger.ts';
import { bootMonotonicMs } from './clock/monotonic.ts';
import { SharedClock } from './clock/shared-clock.ts';
import { buildPipeline } from './pipeline-assembly.ts';
import { PipelineLoop } from './pipeline-loop.ts';
import type { FromPipeline, PipelineInput, ToPipeline } from './pipeline-messages.ts';
import { SYSTEM_CLOCK } from './system-clock.ts';
import { keepYoungGenerationSmall } from './young-generation.ts';

function send(message: FromPipeline): void {
  parentPort!.postMessage(message);
}

function sendFailure(error: unknown): void {
  const known = error instanceof GatewayError ? error : null;
  send({
    type: 'failed',
    code: known?.code ?? 'MW_INTERNAL',
    message: describeError(error),
    hint: known?.hint ?? '',
  });
  if (!known) process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
}

async function main(): Promise<void> {
  keepYoungGenerationSmall();
  const input = workerData as PipelineInput;
  const logger = createLogger(input.logLevel);
  const clock = new SharedClock(input.clock, bootMonotonicMs).over(SYSTEM_CLOCK);
  const assembly = buildPipeline(input.config, {
    logger,
    clock,
    random: Math.random,
    writerOf: (sink, config) => pointWriterOf(sink, config, logger, clock.now),
  });
  const loop = new PipelineLoop(input, assembly, clock, {
    send,
    failed: sendFailure,
    close: () => parentPort!.close(),
  });
  await loop.start().catch((error) => loop.fail(error));
  parentPort!.on('message', (message: ToPipeline) => {
    if (message.type === 'commit') loop.tick();
    else if (message.type === 'ingest') loop.ingestReported(message.summary);
    else if (message.type === 'clock') loop.clockMoved(message.movedByMs);
    else
      void loop
        .stop()
        .then(() => send({ type: 'stopped' }), sendFailure)
        .finally(() => parentPort!.close());
  });
}

main().catch(sendFailure);
