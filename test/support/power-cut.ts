/**
 * Power cuts on command: a file system of one's own is shut down at the n-th call that would change it, without a
 * flush, and the process that made the call is killed. See power-cut/power-cut.c.
 */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './gateway-process.ts';
import { noLoopDisks } from './loop-disk.ts';

const SOURCE = join(import.meta.dirname, 'power-cut/power-cut.c');
const SCENARIO = join(import.meta.dirname, 'storage-scenario.mjs');

/** Why power can't be cut here, or null. */
export function noPowerCuts(): string | null {
  if (spawnSync('cc', ['--version'], { stdio: 'ignore' }).status !== 0) return 'no C compiler';
  return noLoopDisks();
}

/** Compiled into `folder`: `shim` to preload, `tool` to cut at once. */
export interface PowerCutTools {
  readonly shim: string;
  readonly tool: string;
}

export function compilePowerCut(folder: string): PowerCutTools {
  const tools = { shim: join(folder, 'power-cut.so'), tool: join(folder, 'power-cut') };
  execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', tools.shim, SOURCE, '-ldl']);
  execFileSync('cc', ['-O2', '-o', tools.tool, SOURCE, '-ldl']);
  return tools;
}

/** Where the power goes: call number `at` (0: nowhere), with half of it on the disk if it is a write and `torn`. */
export interface CutPoint {
  readonly at: number;
  readonly torn: boolean;
}

export interface ScenarioOptions {
  readonly planPath: string;
  readonly config: object;
  readonly fromTick: number;
  readonly toTick: number;
  /** What happens after the last tick: an orderly close, or SIGKILL. */
  readonly end: 'close' | 'kill';
  /** The control: `synchronous` stays as better-sqlite3 has it. */
  readonly defaultSynchronous: boolean;
}

export interface ScenarioRun {
  /** Ticks acknowledged. */
  readonly acknowledged: readonly number[];
  /** Deliveries as JSON. */
  readonly deliveries: readonly string[];
  readonly isClosed: boolean;
  readonly signal: NodeJS.Signals | null;
  readonly errors: string;
}

/** What happens at the calls of a run beside being counted. */
export interface CallPlan {
  /** The power goes here. */
  readonly cut?: CutPoint;
  /** The process waits at each of these while `onPause` looks at the device. */
  readonly pauses?: { readonly calls: readonly number[]; readonly torn: boolean; readonly listPath: string };
  /** All calls are listed here; see `readTrace`. */
  readonly tracePath?: string;
  onPause?(call: number, soFar: ScenarioRun): Promise<void>;
}

/** Runs the scenario on the disk mounted at `mountPoint`. */
export async function runScenario(
  shim: string,
  mountPoint: string,
  options: ScenarioOptions,
  plan: CallPlan,
): Promise<ScenarioRun> {
  const argument = JSON.stringify({ ...options, dist: join(REPOSITORY, 'dist') });
  const env = { ...process.env, LD_PRELOAD: shim, POWER_CUT_MOUNT: mountPoint, ...environmentOf(plan) };
  const child = spawn(process.execPath, [SCENARIO, argument], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const run = { acknowledged: [] as number[], deliveries: [] as string[], isClosed: false };
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  child.stdin.on('error', () => undefined);
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  try {
    // A line that the end came in the middle of was never said; readline would say it.
    for await (const line of wholeLines(child.stdout)) {
      const [word, rest] = [line.slice(0, 2), line.slice(2)];
      if (word === 'a ') run.acknowledged.push(Number(rest));
      else if (word === 'd ') run.deliveries.push(rest);
      else if (line === 'closed') run.isClosed = true;
      else if (word === 'p ') {
        await plan.onPause?.(Number(rest), { ...run, signal: null, errors });
        child.stdin.write('g');
      }
    }
  } finally {
    child.kill('SIGKILL');
  }
  const [, signal] = await ended;
  return { ...run, signal, errors };
}

function environmentOf({ cut, pauses, tracePath }: CallPlan): NodeJS.ProcessEnv {
  if (pauses !== undefined) writeFileSync(pauses.listPath, pauses.calls.join('\n'));
  return {
    POWER_CUT_AT: String(cut?.at ?? 0),
    POWER_CUT_TORN: cut?.torn || pauses?.torn ? '1' : '0',
    ...(pauses === undefined ? {} : { POWER_CUT_PAUSES: pauses.listPath }),
    ...(tracePath === undefined ? {} : { POWER_CUT_TRACE: tracePath }),
  };
}

async function* wholeLines(stream: NodeJS.ReadableStream): AsyncGenerator<string> {
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    const lines = text.split('\n');
    text = lines.pop()!;
    yield* lines;
  }
}

export interface TracedCall {
  readonly at: number;
  readonly name: string;
  readonly file: string;
}

/** The calls a traced run made, in order; the trace is removed. */
export function readTrace(path: string): TracedCall[] {
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  rmSync(path);
  return lines.map((line) => {
    const [at, name, file] = line.split(' ') as [string, string, string];
    return { at: Number(at), name, file };
  });
}
