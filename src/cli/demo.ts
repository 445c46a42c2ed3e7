/** `millwright demo`: a gateway and a small simulated plant on this computer, one line a second about both. */

import { type ChildProcess, fork } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { createLogger } from '../telemetry/logger.ts';
import { readConfiguration } from './configuration.ts';
import type { GlobalOptions } from './global-options.ts';
import { wholeNumber } from './recording-options.ts';
import type { SimulatorOptions } from './simulator/process.ts';
import { note, printLine } from './terminal/output.ts';
import { StatusLine } from './terminal/status-line.ts';

interface DemoOptions extends GlobalOptions {
  readonly speed: number;
  readonly seed: number;
  readonly for?: number;
}

/** Beside `src` and `dist` alike. */
const DEMO_CONFIG = fileURLToPath(new URL('../../config/demo.yaml', import.meta.url));
const SIMULATOR_STOP_MS = 3000;

export function configure(command: Command): void {
  command
    .option(
      '--speed <factor>',
      'play the first ten simulated minutes this much faster (1 to 20)',
      parseSpeed,
      1,
    )
    .option('--seed <n>', 'of the simulated machines', wholeNumber(0, 0xffffffff), 1)
    .option('--for <seconds>', 'stop after this long', wholeNumber(1))
    .addHelpText(
      'after',
      `
A pump, a fan and a motor publish over MQTT. In the first minute the gateway learns what is normal for each of them.
Then the fan's blades foul, which shows at once, and the pump's bearing begins to wear on its outer race, which shows
a little later and grows until it fails; the motor stays sound.
After seven minutes the parts are replaced and the story begins again.

Example:
  millwright demo --data-dir /tmp/millwright-demo`,
    )
    .action(async (_local: unknown, self: Command) => {
      await demo(self.optsWithGlobals<DemoOptions>());
    });
}

function parseSpeed(text: string): number {
  const speed = Number(text);
  if (!(speed >= 1 && speed <= 20)) throw new InvalidArgumentError('a number from 1 to 20');
  return speed;
}

async function demo(options: DemoOptions): Promise<void> {
  const config = await onFreePorts(readConfiguration({ ...options, config: options.config ?? DEMO_CONFIG }));
  const { startGateway } = await import('../gateway.ts');
  const gateway = await startGateway(config, {
    logger: createLogger(config.log.level === 'info' ? 'warn' : config.log.level),
  });
  printLine(`Page:  ${gateway.httpUrl ?? '(off in the configuration)'}`);
  printLine(`MQTT:  ${gateway.mqttAddress}`);
  printLine('Stop with Ctrl-C.');
  const simulator = startSimulator({
    url: gateway.mqttAddress,
    seed: options.seed,
    speed: options.speed,
    topics: topicsOf(config),
  });
  const line = new StatusLine(process.stdout.isTTY === true);
  const ticker = setInterval(() => printLine(line.render(gateway.status(), Date.now())), 1000);
  const ended = await whatEndsIt(simulator, gateway.done, options.for);
  clearInterval(ticker);
  await stopSimulator(simulator);
  await gateway.stop();
  note('stopped');
  if (ended !== null) throw ended;
}

/** Resolves with null for an ordered stop (a signal, the time is up), with an error for anything else. */
function whatEndsIt(
  simulator: ChildProcess,
  gatewayDone: Promise<void>,
  seconds?: number,
): Promise<Error | null> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve(null));
    process.once('SIGTERM', () => resolve(null));
    if (seconds !== undefined) setTimeout(() => resolve(null), seconds * 1000).unref();
    // Ctrl-C reaches the simulator as well, and it may be the quicker one to end: code 0.
    simulator.once('exit', (code) =>
      resolve(
        code === 0
          ? null
          : new GatewayError(
              'MW_INTERNAL',
              `the simulated machines stopped on their own (exit code ${code})`,
            ),
      ),
    );
    gatewayDone.then(
      () => resolve(new GatewayError('MW_INTERNAL', 'the gateway stopped on its own')),
      (error: unknown) => resolve(error instanceof Error ? error : new Error(String(error))),
    );
  });
}

function startSimulator(options: SimulatorOptions): ChildProcess {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const script = fileURLToPath(new URL(`./simulator/process${extension}`, import.meta.url));
  // The channel tells it when we are gone, however we went.
  return fork(script, [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
}

async function stopSimulator(simulator: ChildProcess): Promise<void> {
  if (simulator.exitCode !== null || simulator.signalCode !== null) return;
  const exited = new Promise<void>((resolve) => simulator.once('exit', () => resolve()));
  simulator.kill('SIGTERM');
  const patience = setTimeout(() => simulator.kill('SIGKILL'), SIMULATOR_STOP_MS);
  await exited;
  clearTimeout(patience);
}

/** @throws GatewayError MW_CONFIG_INVALID for a configuration without the three classes of the demonstration */
function topicsOf(config: Config): Record<string, string> {
  const topics: Record<string, string> = {};
  for (const name of ['pump', 'fan', 'motor']) {
    const template = config.machineClasses[name]?.topics.find((topic) => topic.includes('{channel}'));
    if (template === undefined) {
      throw new GatewayError(
        'MW_CONFIG_INVALID',
        `the demonstration needs a class ${name} with {channel} in a topic`,
        {
          hint: 'leave out --config, or start from config/demo.yaml',
        },
      );
    }
    topics[name] = template;
  }
  return topics;
}

/** Both sides of the demonstration are ours, so a taken port is no reason to fail: a free one does as well. */
async function onFreePorts(config: Config): Promise<Config> {
  const { embedded } = config.ingest;
  const mqttPort = await portOrFree(embedded.host, embedded.port, 'MQTT');
  const httpPort = await portOrFree(config.http.host, config.http.port, 'HTTP');
  if (mqttPort === embedded.port && httpPort === config.http.port) return config;
  return {
    ...config,
    ingest: { ...config.ingest, embedded: { ...embedded, port: mqttPort } },
    http: { ...config.http, port: httpPort },
  };
}

function portOrFree(host: string, port: number, what: string): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => {
      note(`${what} port ${port} is taken, using a free one`);
      resolve(0);
    });
    probe.listen(port, host, () => probe.close(() => resolve(port)));
  });
}
