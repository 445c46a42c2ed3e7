/**
 * One power cut after another on disks that start from the same content, and what the gateway's own path makes of each
 * disk afterwards: what is missing, and what is wrong.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiskBench, type LoopDisk } from './loop-disk.ts';
import {
  type CutPoint,
  compilePowerCut,
  type PowerCutTools,
  readTrace,
  runScenario,
  type ScenarioOptions,
  type ScenarioRun,
  type TracedCall,
} from './power-cut.ts';
import { CHANNELS, Delivered, driveConfig, driveHere, finishTicks, messagesOf } from './storage-oracle.ts';

/** What a run starts from and how far it goes. */
export interface Phase {
  readonly name: string;
  /** Content of the disk before; `DiskBench.keep`. */
  readonly image: string;
  readonly fromTick: number;
  readonly toTick: number;
  /** What was delivered before. */
  readonly delivered: Delivered;
  /** The file that is there is damaged: it may be moved aside. */
  readonly isDamaged: boolean;
}

export interface Outcome {
  /** Acknowledged samples and dead letters that are nowhere. */
  readonly lost: number;
  /** Whatever else is not as it must be. */
  readonly wrong: readonly string[];
}

export type Synchronous = 'as shipped' | 'as better-sqlite3 comes';

const MAX_OPEN_MS = 5000;

/** Disks, tools and the undisturbed run. */
export class PowerCutTrial {
  readonly bench = new DiskBench(24);
  readonly disks: readonly LoopDisk[];
  /** What an unkilled run delivers. */
  readonly reference: Delivered;
  readonly #tools: PowerCutTools;
  readonly #planPath: string;
  readonly #ticks: number;

  constructor(ticks: number, reference: Delivered) {
    this.#tools = compilePowerCut(this.bench.path);
    // Two at a time: half of a cut's time is a process starting.
    this.disks = [this.bench.disk('one'), this.bench.disk('two')];
    this.#planPath = join(this.bench.path, 'plan.json');
    this.#ticks = ticks;
    this.reference = reference;
    const plan = { channels: CHANNELS, ticks: Array.from({ length: ticks }, (_, tick) => messagesOf(tick)) };
    writeFileSync(this.#planPath, JSON.stringify(plan));
  }

  dataDirOf(disk: LoopDisk): string {
    return join(disk.path, 'data');
  }

  /** Runs ticks [0, toTick) on the mounted disk and kills the process. */
  async runAndKill(disk: LoopDisk, toTick: number): Promise<Delivered> {
    const options = { ...this.#options(disk, 0, toTick, 'as shipped'), end: 'kill' as const };
    const run = await runScenario(this.#tools.shim, disk.path, options, {});
    if (run.acknowledged.length !== toTick) throw new Error(`the scenario ended early: ${run.errors}`);
    return deliveredIn(run, new Delivered());
  }

  /** The calls of a whole run of the phase, close included. */
  async callsOf(phase: Phase, synchronous: Synchronous): Promise<TracedCall[]> {
    const disk = this.disks[0]!;
    disk.restore(phase.image);
    await disk.mount();
    const trace = join(this.bench.path, 'trace');
    const options = this.#options(disk, phase.fromTick, phase.toTick, synchronous);
    const run = await runScenario(this.#tools.shim, disk.path, options, { tracePath: trace });
    await disk.unmount();
    if (!run.isClosed) throw new Error(`the scenario ended early: ${run.errors}`);
    return readTrace(trace);
  }

  /** Cuts at all the points, each in a run of its own. */
  async cutAll(phase: Phase, cuts: readonly CutPoint[], synchronous: Synchronous): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    let next = 0;
    const lane = async (disk: LoopDisk) => {
      for (let n = next++; n < cuts.length; n = next++)
        outcomes[n] = await this.#cutOnce(disk, phase, cuts[n]!, synchronous);
    };
    const ended = await Promise.allSettled(this.disks.map(lane));
    for (const end of ended) if (end.status === 'rejected') throw end.reason;
    return outcomes;
  }

  /**
   * The same for many points at the price of one run: at each of them the process waits while what the device below its
   * file system has received is copied. That is all a power cut at that moment would leave.
   */
  async copyAll(phase: Phase, cuts: readonly CutPoint[], synchronous: Synchronous): Promise<Outcome[]> {
    const outcomes = new Map<CutPoint, Outcome>();
    for (const torn of [false, true]) {
      const pending = cuts.filter((cut) => cut.torn === torn).sort((a, b) => a.at - b.at);
      if (pending.length > 0) await this.#copyRun(phase, pending, synchronous, outcomes);
    }
    const never: Outcome = { lost: 0, wrong: ['the call was never made, the process ended early'] };
    return cuts.map((cut) => outcomes.get(cut) ?? never);
  }

  async #copyRun(
    phase: Phase,
    cuts: readonly CutPoint[],
    synchronous: Synchronous,
    outcomes: Map<CutPoint, Outcome>,
  ): Promise<void> {
    const [running, copy] = this.disks as [LoopDisk, LoopDisk];
    running.restore(phase.image);
    await running.mount();
    let n = 0;
    let examined: Promise<void> = Promise.resolve();
    const pauses = {
      calls: cuts.map(({ at }) => at),
      torn: cuts[0]!.torn,
      listPath: join(this.bench.path, 'pauses'),
    };
    const examineCopy = async (cut: CutPoint, soFar: ScenarioRun) => {
      outcomes.set(cut, await this.#examineMounted(copy, phase, soFar));
    };
    const options = this.#options(running, phase.fromTick, phase.toTick, synchronous);
    try {
      await runScenario(this.#tools.shim, running.path, options, {
        pauses,
        onPause: async (_call, soFar) => {
          await examined;
          copy.restore(running.image);
          const said = {
            ...soFar,
            acknowledged: [...soFar.acknowledged],
            deliveries: [...soFar.deliveries],
          };
          examined = examineCopy(cuts[n++]!, said);
        },
      });
      await examined;
    } finally {
      await running.unmount();
    }
  }

  async #examineMounted(disk: LoopDisk, phase: Phase, run: ScenarioRun): Promise<Outcome> {
    await disk.mount();
    try {
      return this.#examine(disk, phase, run);
    } catch (error) {
      return { lost: 0, wrong: [String(error instanceof Error ? error.stack : error)] };
    } finally {
      await disk.unmount();
    }
  }

  remove(): void {
    this.bench.remove();
  }

  #options(disk: LoopDisk, fromTick: number, toTick: number, synchronous: Synchronous): ScenarioOptions {
    return {
      planPath: this.#planPath,
      config: driveConfig(this.dataDirOf(disk)),
      fromTick,
      toTick,
      end: 'close',
      defaultSynchronous: synchronous !== 'as shipped',
    };
  }

  async #cutOnce(disk: LoopDisk, phase: Phase, cut: CutPoint, synchronous: Synchronous): Promise<Outcome> {
    disk.restore(phase.image);
    await disk.mount();
    const options = this.#options(disk, phase.fromTick, phase.toTick, synchronous);
    const run = await runScenario(this.#tools.shim, disk.path, options, { cut });
    await disk.unmount();
    if (run.signal !== 'SIGKILL') return { lost: 0, wrong: [`the call was never made: ${run.errors}`] };
    return this.#examineMounted(disk, phase, run);
  }

  /** Opens what is there, goes on from the first message that was not acknowledged, and compares the end. */
  #examine(disk: LoopDisk, phase: Phase, run: ScenarioRun): Outcome {
    const acknowledged = run.acknowledged.at(-1) ?? phase.fromTick - 1;
    const delivered = deliveredIn(run, phase.delivered);
    const startedMs = performance.now();
    const drive = driveHere(this.dataDirOf(disk));
    const openMs = performance.now() - startedMs;
    const { store } = drive.assembly;
    try {
      const wrong: string[] = [];
      const must = (holds: boolean, what: string, found: unknown) => {
        if (!holds) wrong.push(`${what}: ${JSON.stringify(found)}`);
      };
      const { quarantined, lostRows, lostBatches, pendingDifference } = store.recovery;
      must(openMs < MAX_OPEN_MS, 'slow to open, ms', openMs);
      must(phase.isDamaged || quarantined === null, 'moved aside', quarantined);
      must(phase.isDamaged || Object.keys(pendingDifference).length === 0, 'points', pendingDifference);
      must(lostRows + lostBatches === 0, 'lost rows and batches', [lostRows, lostBatches]);
      finishTicks(drive, acknowledged + 1, this.#ticks, delivered);
      const { samples } = store.ledger();
      must(delivered.conflicts.length === 0, 'another value than before', delivered.conflicts[0]);
      must(store.checkLedger(0).balanced, 'accounts', store.checkLedger(0).difference);
      must(samples.open + samples.evicted + samples.quarantined === 0, 'samples', samples);
      const strange = [...delivered.points.keys()].filter((key) => !this.reference.points.has(key));
      must(strange.length === 0, 'points nobody sent', strange);
      const letters = store
        .deadLetters({ limit: 1000 })
        .map(({ payload }) => Buffer.from(payload).toString());
      return { lost: this.#lostSamples(delivered) + lostLetters(new Set(letters), acknowledged), wrong };
    } finally {
      store.close();
    }
  }

  #lostSamples(delivered: Delivered): number {
    const countIn = (text: string | undefined) => (text === undefined ? 0 : (JSON.parse(text).count ?? 0));
    let lost = 0;
    for (const [key, text] of this.reference.points) {
      const got = delivered.points.get(key);
      // A window of waveforms tells no count: a sample at least.
      if (got !== text) lost += Math.max(1, countIn(text) - countIn(got));
    }
    return lost;
  }
}

function deliveredIn(run: ScenarioRun, before: Delivered): Delivered {
  const delivered = before.copy();
  for (const text of run.deliveries) delivered.add(JSON.parse(text));
  return delivered;
}

function lostLetters(found: ReadonlySet<string>, acknowledged: number): number {
  const wanted = Array.from({ length: acknowledged + 1 }, (_, tick) => messagesOf(tick)).flat();
  return wanted.filter((message) => message.kind === 'letter' && !found.has(message.text)).length;
}
