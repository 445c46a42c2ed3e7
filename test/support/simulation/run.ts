/** One seed -> one run of a whole plant through its faults and back to rest; throws where a promise is broken. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { SimulatedDatabase } from './database.ts';
import { Gateway, type Site } from './gateway.ts';
import { Medium, mediumFolder } from './medium.ts';
import type { Mutant } from './mutants.ts';
import { judge, type Verdict } from './oracle.ts';
import { type Fault, type Plan, planOf } from './plan.ts';
import { Random } from './random.ts';
import { Referee } from './referee.ts';
import { Sensor } from './sensor.ts';
import { Broken } from './violation.ts';
import { World } from './world.ts';

export interface RunOptions {
  readonly mutant?: Mutant;
  /** Only the first so many faults happen. */
  readonly faults?: number;
  /** Is told what happens. */
  readonly trace?: (line: string) => void;
}

export interface RunReport extends Verdict {
  readonly simulatedMs: number;
  readonly lives: number;
  readonly commits: number;
  readonly requests: number;
  readonly resends: number;
  readonly happened: number;
}

/** 2026-06-01T00:00:00Z. */
const EPOCH_MS = Date.UTC(2026, 5, 1);
/** Everything has to be at rest so long after the last fault: idle time, retry pause and backlog together. */
const REST_MS = 600_000;
const MAX_STEPS = 2_000_000;

/** @throws Broken */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunReport> {
  const run = new Run(planOf(seed, options.faults), options);
  try {
    return await run.toTheEnd();
  } finally {
    await run.clear();
  }
}

class Run {
  readonly #plan: Plan;
  readonly #options: RunOptions;
  readonly #random: Random;
  readonly #referee = new Referee();
  readonly #world: World;
  readonly #databases: readonly SimulatedDatabase[];
  readonly #sensors: readonly Sensor[];
  readonly #folder = mediumFolder();
  readonly #site: Site;
  #gateway: Gateway;
  #lives = 0;
  #commits = 0;
  #forgottenLate = 0;
  #lateInMemory = 0;
  #killDuringStart: number | null = null;
  #isHealed = false;

  constructor(plan: Plan, options: RunOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#random = new Random(plan.seed, 2);
    this.#world = new World(this.#random, EPOCH_MS);
    this.#databases = Object.keys(plan.config.sinks).map(() => {
      const database = new SimulatedDatabase(this.#world, this.#random, this.#referee);
      database.refusesEvery = plan.refusesEvery;
      return database;
    });
    this.#sensors = plan.clients.map(
      (client) => new Sensor(this.#world, this.#random, client, (sensor) => this.#gateway.connect(sensor)),
    );
    this.#site = {
      world: this.#world,
      plan,
      random: this.#random,
      referee: this.#referee,
      databases: this.#databases,
      mutant: options.mutant ?? null,
    };
    this.#gateway = this.#born(join(this.#folder, '0'));
  }

  async toTheEnd(): Promise<RunReport> {
    const { durationMs, faults } = this.#plan;
    this.#gateway.start();
    for (const sensor of this.#sensors) sensor.start();
    for (const { atMs, fault } of faults) this.#world.after(atMs, () => this.#happen(fault));
    this.#world.after(durationMs, () => this.#heal());
    // Faults that were armed and met no commit until now are over as well.
    let steps = 0;
    let nextLookMs = durationMs + 2_000;
    while (!this.#isAtRest(nextLookMs)) {
      if (this.#world.nowMs >= nextLookMs) nextLookMs += 1_000;
      if (this.#world.nowMs > durationMs + REST_MS || steps > MAX_STEPS)
        throw new Broken('I8', `not at rest ${REST_MS / 1000} s after the last fault: ${this.#unrest()}`);
      steps += 1;
      this.#world.step();
      if (this.#world.unsettled) await this.#settle();
      this.#referee.check();
    }
    return this.#judged();
  }

  async clear(): Promise<void> {
    this.#gateway.thread.dead = true;
    await this.#settle();
    this.#gateway.medium.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Promises that were resolved have their turn. */
  async #settle(): Promise<void> {
    this.#world.unsettled = false;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  #born(dir: string): Gateway {
    this.#lives += 1;
    const gateway = new Gateway(this.#site, new Medium(dir, this.#random));
    gateway.medium.killDuringStart = this.#killDuringStart;
    this.#killDuringStart = null;
    const end = gateway.medium.onEnd;
    gateway.medium.onEnd = () => {
      end();
      this.#ended(gateway);
    };
    return gateway;
  }

  /** The process is gone, its files remain. A new one comes after a while. */
  #ended(gateway: Gateway): void {
    this.#trace(`life ${this.#lives} ended`);
    this.#commits += gateway.medium.commits;
    for (const sensor of this.#sensors) sensor.disconnected();
    this.#lateInMemory = gateway.assembly?.store.ledger().samples.late ?? this.#lateInMemory;
    this.#world.after(this.#random.int(200, 5_000), () => this.#restart(gateway));
  }

  #restart(before: Gateway): void {
    const { remains } = before.medium;
    before.medium.close();
    this.#gateway = this.#born(remains!);
    this.#gateway.start();
    const late = this.#gateway.assembly?.store.ledger().samples.late;
    if (late === undefined) return;
    this.#forgottenLate += Math.max(0, this.#lateInMemory - late);
    this.#lateInMemory = late;
  }

  #happen(fault: Fault): void {
    this.#trace(JSON.stringify(fault));
    const { medium } = this.#gateway;
    const later = (forMs: number, run: () => void) => this.#world.after(forMs, run);
    switch (fault.kind) {
      case 'kill':
        medium.kill();
        break;
      case 'stop':
        if (!this.#gateway.thread.dead) this.#gateway.stop();
        break;
      case 'ending':
        medium.ending = fault.ending;
        this.#killDuringStart = fault.thenDuringStart;
        break;
      case 'refusal':
        medium.refusal = fault.refusal;
        later(fault.forMs, () => {
          medium.refusal = null;
        });
        break;
      case 'slow':
        medium.slowMs = fault.commitMs;
        later(fault.forMs, () => {
          medium.slowMs = 0;
        });
        break;
      case 'storm': {
        const database = this.#databases[fault.sink]!;
        database.weather = fault.weather;
        later(fault.forMs, () => {
          if (database.weather === fault.weather) database.weather = 'fair';
        });
        break;
      }
      case 'wall':
        this.#world.wallErrorMs = fault.errorMs;
        break;
      case 'drop':
        this.#sensors[fault.client]!.disconnected(fault.forMs);
        break;
      case 'silence':
        this.#sensors[fault.client]!.silentUntilMs = this.#world.nowMs + fault.forMs;
        break;
      case 'checkpoint':
        if (!this.#gateway.thread.dead) medium.checkpoint();
    }
  }

  #heal(): void {
    this.#trace('healed');
    this.#isHealed = true;
    this.#world.wallErrorMs = 0;
    for (const database of this.#databases) database.weather = 'fair';
    const { medium } = this.#gateway;
    medium.refusal = null;
    medium.slowMs = 0;
    medium.ending = null;
    medium.killDuringStart = null;
    this.#killDuringStart = null;
    for (const sensor of this.#sensors) sensor.stop();
  }

  #isAtRest(lookMs: number): boolean {
    const { assembly, thread } = this.#gateway;
    if (!this.#isHealed || this.#world.nowMs < lookMs || assembly === null || thread.dead) return false;
    if (!this.#sensors.every((sensor) => sensor.isDone)) return false;
    const { store, pipeline, windower } = assembly;
    if (windower.openSamples() > 0 || windower.waitingBytes() > 0 || pipeline.waitingResults > 0)
      return false;
    return store.ledger().points.every(({ pending }) => pending === 0);
  }

  #unrest(): string {
    const { assembly } = this.#gateway;
    const waiting = this.#sensors.map(({ plan, waiting: n }) => `${plan.name} ${n}`).join(', ');
    const { samples, points } = assembly?.store.ledger() ?? { samples: null, points: [] };
    return `${JSON.stringify({ samples, points })}; unacknowledged: ${waiting}`;
  }

  #judged(): RunReport {
    const { store } = this.#gateway.assembly!;
    this.#gateway.checkAccounts(true);
    const letters = new Map<string, Set<string>>();
    for (const { source, payload } of store.deadLetters({ limit: 100_000 })) {
      const texts = letters.get(source) ?? new Set();
      letters.set(source, texts.add(Buffer.from(payload).toString()));
    }
    const ledger = store.ledger();
    const { open, evicted, quarantined } = ledger.samples;
    if (open + evicted + quarantined > 0)
      this.#referee.object('I4', `at rest, yet ${JSON.stringify(ledger.samples)}`);
    for (const account of ledger.points)
      if (
        account.evicted + account.quarantined > 0 ||
        (account.deadLettered > 0 && this.#plan.refusesEvery === 0)
      )
        this.#referee.object('I1', `points were given up: ${JSON.stringify(account)}`);
    for (const database of this.#databases) database.checkNewest();
    const verdicts = this.#databases.map(({ points, refused }) =>
      judge(
        {
          plan: this.#plan,
          sensors: this.#sensors,
          points,
          refused,
          letters,
          ledger,
          forgottenLate: this.#forgottenLate,
        },
        this.#referee,
      ),
    );
    this.#referee.check();
    return {
      ...verdicts[0]!,
      simulatedMs: this.#world.nowMs,
      lives: this.#lives,
      commits: this.#commits + this.#gateway.medium.commits,
      requests: this.#databases.reduce((sum, { requests }) => sum + requests, 0),
      resends: this.#databases.reduce((sum, { resends }) => sum + resends, 0),
      happened: this.#world.happened,
    };
  }

  #trace(line: string): void {
    this.#options.trace?.(`${(this.#world.nowMs / 1000).toFixed(3)} s: ${line}`);
  }
}
