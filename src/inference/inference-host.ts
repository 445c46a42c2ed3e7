/** Requests of the pipeline thread enter, tensors or a reason leave; keeps the inference process alive between. */

import { type ChildProcess, fork } from 'node:child_process';
import { tmpdir } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Logger } from '../telemetry/logger.ts';
import type { FromInference, ToInference } from './inference-messages.ts';
import { type ParameterSet, parameterBytes, type WireTensors } from './tensor.ts';

export interface RunRequest {
  readonly model: string;
  readonly inputs: WireTensors;
  /** One a row, or empty for a model without parameters. */
  readonly parameters: readonly ParameterSet[];
}

export type RunReply =
  | { readonly ok: true; readonly outputs: WireTensors; readonly runMs: number }
  /** `down`: no process answered. `failed`: the model itself refused the input. */
  | { readonly ok: false; readonly kind: 'down' | 'failed'; readonly message: string };

export interface LoadReply {
  /** Empty if the session exists now. */
  readonly error: string;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
}

export type HostState = 'starting' | 'up' | 'restarting' | 'disabled' | 'stopped';

export interface InferenceHostOptions {
  readonly isolation: 'process' | 'thread';
  /** A request that takes longer is taken for a hang; the process is killed, a thread is given up. */
  readonly hangMs: number;
  readonly logger: Logger;
  monotonicMs(): number;
  /** A new process is there: whatever was loaded before must be loaded again. */
  onUp(): void;
  /** The process ended, and every session with it; `model` is what it worked on, empty if nothing. */
  onCrash(model: string): void;
  /** Entry file of the process; only tests give another than the one beside this file. */
  readonly workerUrl?: URL;
}

/** The few things a child process and a worker thread have in common. */
interface Transport {
  readonly pid: number | null;
  post(message: ToInference): void;
  /** At once, whatever it does; a thread cannot be killed without taking the gateway with it. */
  kill(): void;
}

interface Request {
  readonly message: Exclude<ToInference, { type: 'stop' }>;
  settle(message: FromInference | null): void;
}

const RESTART_MIN_MS = 200;
const RESTART_MAX_MS = 10_000;
/** This many crashes within the window, and the process stays down: something is wrong that restarting won't cure. */
const MAX_CRASHES = 5;
const CRASH_WINDOW_MS = 600_000;
const STOP_DEADLINE_MS = 3_000;
/** Parameter sets the process may hold before they are all dropped and sent anew as needed. */
const MAX_PARAMETER_BYTES = 64 * 1024 * 1024;

/** One request in flight at a time: a crash then names the model that caused it. */
export class InferenceHost {
  readonly #options: InferenceHostOptions;
  #transport: Transport | null = null;
  #state: HostState = 'starting';
  #current: Request | null = null;
  #waiting: Request[] = [];
  #nextId = 1;
  #hangTimer: NodeJS.Timeout | null = null;
  #restartTimer: NodeJS.Timeout | null = null;
  #crashTimesMs: number[] = [];
  #onStopped: (() => void) | null = null;
  #sentParameters = new Set<string>();
  #sentParameterBytes = 0;
  restarts = 0;

  constructor(options: InferenceHostOptions) {
    this.#options = options;
  }

  get state(): HostState {
    return this.#state;
  }

  /** Process id of the running inference process; null in thread mode or while there is none. */
  get pid(): number | null {
    return this.#transport?.pid ?? null;
  }

  start(): void {
    this.#spawn();
  }

  /** Creates a session; the bytes were verified by the caller. */
  async load(model: string, bytes: Uint8Array): Promise<LoadReply> {
    const reply = await this.#request({ type: 'load', id: this.#nextId++, model, bytes });
    if (reply?.type === 'loaded') return reply;
    return {
      error: 'the inference process ended while it loaded the model',
      inputNames: [],
      outputNames: [],
    };
  }

  /** Runs one batch. Never rejects. */
  async run(request: RunRequest): Promise<RunReply> {
    if (this.#state !== 'up') return { ok: false, kind: 'down', message: `inference is ${this.#state}` };
    const reply = await this.#request(this.#runMessage(request));
    if (reply?.type !== 'ran') return { ok: false, kind: 'down', message: 'the inference process ended' };
    if (reply.error !== '') return { ok: false, kind: 'failed', message: reply.error };
    return { ok: true, outputs: reply.outputs, runMs: reply.runMs };
  }

  /** Lets a run in flight finish, then ends the process. Resolves within about three seconds in any case. */
  async stop(): Promise<void> {
    const transport = this.#transport;
    this.#state = 'stopped';
    if (this.#restartTimer) clearTimeout(this.#restartTimer);
    this.#abandonWaiting();
    if (transport === null) return;
    const stopped = new Promise<void>((resolve) => {
      this.#onStopped = resolve;
    });
    transport.post({ type: 'stop' });
    const timer = setTimeout(() => {
      transport.kill();
      this.#onStopped?.();
    }, STOP_DEADLINE_MS);
    await stopped;
    clearTimeout(timer);
  }

  #runMessage({ model, inputs, parameters }: RunRequest): Extract<ToInference, { type: 'run' }> {
    let added = parameters.filter(({ key }) => !this.#sentParameters.has(key));
    const bytes = added.reduce((sum, set) => sum + parameterBytes(set), 0);
    const clearParameters = this.#sentParameterBytes + bytes > MAX_PARAMETER_BYTES;
    if (clearParameters) {
      this.#sentParameters.clear();
      this.#sentParameterBytes = 0;
      added = [...parameters];
    }
    const newParameters = [...new Map(added.map((set) => [set.key, set])).values()];
    for (const set of newParameters) {
      this.#sentParameters.add(set.key);
      this.#sentParameterBytes += parameterBytes(set);
    }
    const parameterKeys = parameters.map(({ key }) => key);
    return { type: 'run', id: this.#nextId++, model, inputs, parameterKeys, newParameters, clearParameters };
  }

  #request(message: Request['message']): Promise<FromInference | null> {
    return new Promise((settle) => {
      if (this.#state === 'stopped' || this.#state === 'disabled') {
        settle(null);
        return;
      }
      this.#waiting.push({ message, settle });
      this.#next();
    });
  }

  #next(): void {
    if (this.#current !== null || this.#state !== 'up') return;
    const request = this.#waiting.shift();
    if (request === undefined) return;
    this.#current = request;
    this.#hangTimer = setTimeout(() => this.#hung(), this.#options.hangMs);
    this.#hangTimer.unref();
    this.#transport?.post(request.message);
  }

  #receive(message: FromInference): void {
    if (message.type === 'ready') {
      this.#state = 'up';
      this.#options.onUp();
      this.#next();
      return;
    }
    const request = this.#current;
    if (request === null || request.message.id !== message.id) return;
    this.#endCurrent();
    request.settle(message);
    this.#next();
  }

  #endCurrent(): void {
    this.#current = null;
    if (this.#hangTimer) clearTimeout(this.#hangTimer);
    this.#hangTimer = null;
  }

  #hung(): void {
    const model = this.#current?.message.model ?? '';
    const { logger, isolation, hangMs } = this.#options;
    logger.error({ model, hangMs }, 'a model does not answer');
    if (isolation === 'process') this.#transport?.kill();
    else this.#ended('the inference thread does not answer');
  }

  #ended(how: string): void {
    this.#transport = null;
    this.#onStopped?.();
    const request = this.#current;
    this.#endCurrent();
    if (this.#state === 'stopped') {
      request?.settle(null);
      return;
    }
    this.#state = this.#crashedTooOften() || this.#options.isolation === 'thread' ? 'disabled' : 'restarting';
    const model = request?.message.model ?? '';
    this.#options.logger.error({ model, how, state: this.#state }, 'the inference process ended');
    this.#options.onCrash(model);
    request?.settle(null);
    this.#abandonWaiting();
    if (this.#state === 'restarting') this.#scheduleRestart();
  }

  #crashedTooOften(): boolean {
    const now = this.#options.monotonicMs();
    this.#crashTimesMs = this.#crashTimesMs.filter((timeMs) => now - timeMs < CRASH_WINDOW_MS);
    this.#crashTimesMs.push(now);
    return this.#crashTimesMs.length >= MAX_CRASHES;
  }

  #scheduleRestart(): void {
    const delayMs = Math.min(RESTART_MAX_MS, RESTART_MIN_MS * 2 ** (this.#crashTimesMs.length - 1));
    this.#restartTimer = setTimeout(() => {
      this.restarts += 1;
      this.#spawn();
    }, delayMs);
    this.#restartTimer.unref();
  }

  #abandonWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const request of waiting) request.settle(null);
  }

  #spawn(): void {
    this.#sentParameters.clear();
    this.#sentParameterBytes = 0;
    const { isolation, workerUrl } = this.#options;
    const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
    const url = workerUrl ?? new URL(`./inference-worker${extension}`, import.meta.url);
    const connect = isolation === 'process' ? forkProcess : startThread;
    const transport = connect(
      url,
      (message) => this.#receive(message),
      (how) => {
        if (this.#transport === transport) this.#ended(how);
      },
    );
    this.#transport = transport;
  }
}

/** Working directory and environment hold nothing a model file could reach by a relative path or a variable. */
function forkProcess(
  url: URL,
  onMessage: (message: FromInference) => void,
  onEnd: (how: string) => void,
): Transport {
  const child: ChildProcess = fork(url, {
    serialization: 'advanced',
    cwd: tmpdir(),
    env: minimalEnvironment(),
  });
  child.on('message', onMessage);
  child.on('error', (error) => onEnd(error.message));
  child.on('exit', (code, signal) => onEnd(signal ?? `exit code ${code}`));
  return {
    pid: child.pid ?? null,
    post: (message) => {
      if (child.connected) child.send(message, () => {});
    },
    kill: () => {
      child.kill('SIGKILL');
    },
  };
}

function startThread(
  url: URL,
  onMessage: (message: FromInference) => void,
  onEnd: (how: string) => void,
): Transport {
  const worker = new Worker(url);
  worker.on('message', onMessage);
  worker.on('error', (error) => onEnd(String(error)));
  worker.on('exit', (code) => onEnd(`exit code ${code}`));
  return {
    pid: null,
    post: (message) => worker.postMessage(message),
    kill: () => worker.unref(),
  };
}

function minimalEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {};
  for (const name of ['PATH', 'LANG', 'LD_LIBRARY_PATH', 'NODE_OPTIONS', 'TMPDIR']) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}
