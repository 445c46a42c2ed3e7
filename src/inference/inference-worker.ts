/**
 * The process (or thread) in which models run: requests enter, tensors leave. The only file that knows onnxruntime.
 *
 * `session.run` blocks this event loop inside native code, and ending the process or thread during a run aborts
 * it; so requests are handled strictly one after the other and `stop` is one of them.
 */

import { writeFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { FromInference, ToInference } from './inference-messages.ts';
import type { ParameterSet, WireTensor, WireTensors } from './tensor.ts';

/** One thread and no arena: models here take microseconds, and spinning threads or a grown arena cost a Pi more. */
const SESSION_OPTIONS: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  executionMode: 'sequential',
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
  enableCpuMemArena: false,
  logSeverityLevel: 3,
};

const sessions = new Map<string, InferenceSession>();
const parameters = new Map<string, ParameterSet>();
let chain: Promise<void> = Promise.resolve();

function send(message: FromInference): void {
  if (parentPort) parentPort.postMessage(message);
  else if (process.connected) process.send?.(message);
}

function receive(message: ToInference): void {
  chain = chain.then(() => handle(message));
}

async function handle(message: ToInference): Promise<void> {
  if (message.type === 'load') await load(message.id, message.model, message.bytes);
  else if (message.type === 'run') await run(message);
  else await stop();
}

async function load(id: number, model: string, bytes: Uint8Array): Promise<void> {
  try {
    const session = await InferenceSession.create(bytes, SESSION_OPTIONS);
    sessions.set(model, session);
    send({ type: 'loaded', id, error: '', inputNames: session.inputNames, outputNames: session.outputNames });
  } catch (error) {
    send({ type: 'loaded', id, error: textOf(error), inputNames: [], outputNames: [] });
  }
}

async function run(message: Extract<ToInference, { type: 'run' }>): Promise<void> {
  try {
    if (message.clearParameters) parameters.clear();
    for (const set of message.newParameters) parameters.set(set.key, set);
    const session = sessions.get(message.model);
    if (session === undefined) throw new Error(`model ${message.model} is not loaded`);
    const feeds = { ...toTensors(message.inputs), ...toTensors(stackParameters(message.parameterKeys)) };
    const startedMs = performance.now();
    const results = await session.run(feeds);
    const runMs = performance.now() - startedMs;
    send({ type: 'ran', id: message.id, error: '', outputs: fromTensors(results), runMs });
  } catch (error) {
    send({ type: 'ran', id: message.id, error: textOf(error), outputs: {}, runMs: 0 });
  }
}

/** Row i of every stacked tensor holds the parameters named by keys[i]. */
function stackParameters(keys: readonly string[]): WireTensors {
  const stacked: Record<string, WireTensor> = {};
  const sets = keys.map((key) => {
    const set = parameters.get(key);
    if (set === undefined) throw new Error(`parameters ${key} were not sent`);
    return set;
  });
  const [first] = sets;
  if (first === undefined) return stacked;
  for (const [name, { dims, data }] of Object.entries(first.tensors)) {
    const all =
      data instanceof Float64Array
        ? new Float64Array(data.length * sets.length)
        : new Float32Array(data.length * sets.length);
    sets.forEach((set, row) => {
      all.set(set.tensors[name]!.data, row * data.length);
    });
    stacked[name] = { dims: [sets.length, ...dims], data: all };
  }
  return stacked;
}

function toTensors(wire: WireTensors): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const [name, { dims, data }] of Object.entries(wire)) {
    tensors[name] =
      data instanceof Float64Array ? new Tensor('float64', data, dims) : new Tensor('float32', data, dims);
  }
  return tensors;
}

function fromTensors(results: InferenceSession.OnnxValueMapType): WireTensors {
  const wire: Record<string, WireTensor> = {};
  for (const [name, value] of Object.entries(results)) {
    const { data, dims } = value as Tensor;
    if (data instanceof Float32Array || data instanceof Float64Array) wire[name] = { dims, data };
  }
  return wire;
}

async function stop(): Promise<void> {
  for (const session of sessions.values()) await session.release();
  sessions.clear();
  if (parentPort) parentPort.close();
  else process.disconnect?.();
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** If memory runs out, the kernel should take this process and not the one that acknowledges messages. */
function volunteerForOomKiller(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '800');
  } catch {
    // Not Linux, or a container that forbids it: the process is then as likely a victim as any other.
  }
}

if (parentPort) {
  parentPort.on('message', receive);
} else {
  volunteerForOomKiller();
  process.on('message', receive);
  // The gateway stops its children itself; a Ctrl-C in the terminal reaches the whole group and must not race it.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
}
send({ type: 'ready' });
