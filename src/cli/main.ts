/** Command-line arguments enter, an exit code leaves. Only the file of the command that was asked for is loaded. */

import { Command, CommanderError } from 'commander';
import { describeError, GatewayError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { addGlobalOptions } from './global-options.ts';

interface CommandModule {
  configure(command: Command): void;
}

interface CommandEntry {
  readonly summary: string;
  load(): Promise<CommandModule>;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  run: { summary: 'run the gateway', load: () => import('./run.ts') },
  check: {
    summary: 'validate the configuration and its models, without side effects',
    load: () => import('./check.ts'),
  },
  demo: {
    summary: 'run a small plant of simulated machines on this computer',
    load: () => import('./demo.ts'),
  },
  replay: {
    summary: 'publish recordings over MQTT as their sensors would',
    load: () => import('./replay.ts'),
  },
  extract: {
    summary: 'recordings to a table of features, exactly as the gateway computes them',
    load: () => import('./extract.ts'),
  },
  evaluate: {
    summary: 'score what the gateway answered against the known truth',
    load: () => import('./evaluate.ts'),
  },
  outbox: { summary: 'look into store-and-forward and its dead letters', load: () => import('./outbox.ts') },
  history: {
    summary: 'size, rows and exports of the on-device history',
    load: () => import('./history.ts'),
  },
  doctor: {
    summary: 'check this device: runtime, disk, ports, broker, sinks, models',
    load: () => import('./doctor.ts'),
  },
};

const EXIT_USAGE = 64;
const EXIT_FAILED = 1;

/** Runs one command and sets `process.exitCode`: 0 done, 1 failed, 64 usage, 78 configuration. Never throws. */
export async function runCli(args: readonly string[]): Promise<void> {
  // `millwright extract ... | head` closes our output early: that is the reader's right, not a failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  let program: Command | undefined;
  try {
    program = await buildProgram(args);
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    process.exitCode = report(error, args.includes('--debug'), usedName(program, args));
  }
}

async function buildProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('millwright');
  program
    .description('Predictive-maintenance edge gateway: MQTT in, condition features and models, InfluxDB out.')
    .version(VERSION, '-V, --version')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', '\nA first look: millwright demo. Help on one command: millwright replay --help')
    .showSuggestionAfterError()
    .exitOverride();
  addGlobalOptions(program);
  program.helpCommand('help [command]', 'help on one command');
  for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
    const command = program.command(name).description(summary);
    if (args.includes(name)) (await load()).configure(command);
  }
  return program;
}

/** `millwright outbox dead-letters export`: as deep as the arguments name commands. */
function usedName(program: Command | undefined, args: readonly string[]): string {
  const names = ['millwright'];
  let command = program;
  for (const arg of args) {
    const inner: Command | undefined = command?.commands.find((candidate) => candidate.name() === arg);
    if (inner === undefined) continue;
    command = inner;
    names.push(arg);
  }
  return names.join(' ');
}

/** Prints what went wrong and what to do about it; returns the exit code. */
function report(error: unknown, debug: boolean, commandName: string): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    // Commander has printed its own `error: ...` line.
    if (error.code !== 'commander.help') {
      process.stderr.write(`Try: ${commandName} --help\n`);
    }
    return EXIT_USAGE;
  }
  const known = error instanceof GatewayError;
  process.stderr.write(`error: ${known ? error.message : `unexpected: ${describeError(error)}`}\n`);
  const hint = known ? error.hint : 'this is a defect: please report it with the output of --debug';
  process.stderr.write(`Try: ${hint}\n`);
  if (debug && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  return known ? error.exitCode : EXIT_FAILED;
}
