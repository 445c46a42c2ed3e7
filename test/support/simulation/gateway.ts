/** One life of a gateway: the real path from the front door's lanes to the forwarders, on simulated time, disk and network. */

import type { Config } from '../../../src/config/schema.ts';
import type { ChannelRef } from '../../../src/domain/machine.ts';
import { CLOCK_BYTES } from '../../../src/domain/record.ts';
import { IngestCore } from '../../../src/ingest/ingest-core.ts';
import { TopicRouter } from '../../../src/ingest/topic-router.ts';
import { ClockKeeper } from '../../../src/runtime/clock/clock-keeper.ts';
import { createSharedClock, SharedClock } from '../../../src/runtime/clock/shared-clock.ts';
import { buildPipeline, type PipelineAssembly } from '../../../src/runtime/pipeline-assembly.ts';
import { PipelineLoop } from '../../../src/runtime/pipeline-loop.ts';
import type { FromPipeline } from '../../../src/runtime/pipeline-messages.ts';
import { createRing, RingWriter } from '../../../src/runtime/record-ring.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';
import type { SimulatedDatabase } from './database.ts';
import { FrontDoorLane } from './front-door-lane.ts';
import { JournalWitness } from './journal-witness.ts';
import type { Medium } from './medium.ts';
import type { Mutant } from './mutants.ts';
import type { Plan } from './plan.ts';
import type { Random } from './random.ts';
import type { Referee } from './referee.ts';
import type { Connection, Sensor } from './sensor.ts';
import { Thread, type World } from './world.ts';

export interface Site {
  readonly world: World;
  readonly plan: Plan;
  readonly random: Random;
  readonly referee: Referee;
  readonly databases: readonly SimulatedDatabase[];
  readonly mutant: Mutant | null;
}

/** Longest way of a message between the two threads, ms. */
const MAX_POST_MS = 2;
/** Every so many ticks the accounts are compared with what is there. */
const CHECK_EVERY_TICKS = 50;
/** Index of the reader's position in the ring's control words. */
const READ_POSITION = 1;

export class Gateway {
  /** Of the path. */
  readonly thread = new Thread();
  /** Of everything else. */
  readonly #main = new Thread();
  readonly medium: Medium;
  assembly: PipelineAssembly | null = null;
  readonly #site: Site;
  readonly #config: Config;
  readonly #ring: SharedArrayBuffer;
  readonly #writer: RingWriter;
  readonly #journal: JournalWitness;
  readonly #shared: SharedArrayBuffer;
  readonly #keeper: ClockKeeper;
  #held = { samples: 0, bytes: 0 };
  #loop: PipelineLoop | null = null;
  #core: IngestCore | null = null;
  #router: TopicRouter | null = null;
  #lanes: FrontDoorLane[] = [];
  #postedMs = 0;
  #ticks = 0;
  #flushedPosition = 0;
  #isBroken = false;

  constructor(site: Site, medium: Medium) {
    this.#site = site;
    this.medium = medium;
    this.#config = { ...site.plan.config, dataDir: medium.dir };
    this.#ring = createRing(this.#config.ingest.ringBytes);
    this.#writer = new RingWriter(this.#ring);
    this.#journal = new JournalWitness(site.referee);
    this.#shared = createSharedClock(site.world.wallMs - site.world.nowMs);
    this.#keeper = this.#newKeeper();
    medium.onEnd = () => {
      this.thread.dead = true;
      this.#main.dead = true;
    };
    medium.onSlow = (ms) => {
      this.thread.busyUntilMs = Math.max(this.thread.busyUntilMs, site.world.nowMs) + ms;
    };
  }

  /** Everything a process does until sensors can connect. */
  start(): void {
    const { world, random, databases, mutant } = this.#site;
    const ticking = world.clockOf(this.thread, this.#site.plan.lookCostMs);
    const clock = new SharedClock(this.#shared, () => world.nowMs).over(ticking);
    try {
      const assembly = buildPipeline(this.#config, {
        logger: SILENT,
        clock,
        random: random.unit,
        writerOf: (sink, { requestTimeoutMs }) => {
          const writer = databases[Number(sink.slice(2))]!.writerFor(this.thread, requestTimeoutMs);
          return mutant?.writer?.(writer) ?? writer;
        },
      });
      mutant?.assembly?.(assembly);
      if (mutant?.pragma !== undefined) this.medium.pragma(mutant.pragma);
      this.assembly = assembly;
      this.#watch(assembly);
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#loop = new PipelineLoop(
      { config: this.#config, ring: this.#ring, clock: this.#shared, logLevel: 'error' },
      this.assembly,
      clock,
      {
        send: (message) => this.#post(message),
        failed: (error) => this.#failed(error),
        close: () => undefined,
      },
    );
    const tick = this.#loop.tick.bind(this.#loop);
    this.#loop.tick = () => {
      tick();
      this.#afterTick();
    };
    void this.#loop.start().catch((error) => this.#failed(error));
    world.unsettled = true;
  }

  /** SIGTERM: ends in order, if it is let. */
  stop(): void {
    for (const lane of this.#lanes) lane.holdBack();
    const finish = () => {
      if (this.thread.dead || this.#loop === null) return;
      this.#site.world.unsettled = true;
      void this.#loop.stop().then(() => {
        if (this.thread.dead) return;
        this.medium.kill();
      });
    };
    // What was read has time to be committed and acknowledged.
    this.#site.world.after(500, finish);
  }

  connect(sensor: Sensor): Connection | null {
    const core = this.#core;
    if (core === null || this.thread.dead) return null;
    const lane = new FrontDoorLane({
      ...this.#site,
      core,
      router: this.#router!,
      sensor,
      limits: this.#config.ingest.limits,
      thread: this.thread,
      wallMs: this.#keeper.now,
      accepted: (topic, n) => this.#journal.accepted(topic, n),
      flushedPosition: () => this.#flushedPosition,
    });
    this.#lanes.push(lane);
    if (this.#site.mutant?.acknowledgesEarly === true)
      lane.onReceived = () => core.acknowledger.onCommitted(this.#writer.position, this.#site.world.nowMs);
    return lane;
  }

  /** The accounts, and that all which is open is in some window. */
  checkAccounts(isAtRest: boolean): void {
    const { store, windower, pipeline } = this.assembly!;
    const { referee } = this.#site;
    const { difference } = store.checkLedger(windower.openSamples());
    for (const [sink, points] of Object.entries(difference.points))
      if (points !== 0) referee.object('I4', `${points} points of ${sink} are in no account`);
    if (pipeline.waitingResults > 0 || windower.waitingBytes() > 0 || !pipeline.hasRoom) return;
    // With allowed lateness a sample may be settled some time before the result that says so.
    const isExact = isAtRest || this.#config.machineClasses['hasty']!.window.allowedLatenessMs === 0;
    if (isExact ? difference.samples !== 0 : difference.samples < 0)
      referee.object('I4', `${difference.samples} samples are in no account`);
  }

  #watch(assembly: PipelineAssembly): void {
    const { store } = assembly;
    const { referee } = this.#site;
    const commit = store.commit.bind(store);
    let areRecordsRefused = false;
    store.commit = (unit) => {
      const hasRecords = unit.acceptedSamples > 0 || unit.deadLetters.length > 0 || unit.channels.length > 0;
      const areHeld = areRecordsRefused && !hasRecords;
      areRecordsRefused ||= hasRecords;
      commit(unit);
      this.#site.world.unsettled = true;
      this.#journal.committed(unit);
      // While records are refused, results may go ahead of them.
      if (areHeld) return;
      areRecordsRefused = false;
      this.#flushedPosition = new Int32Array(this.#ring, 0, 16)[READ_POSITION]!;
    };
    const book = store.bookRecovered.bind(store);
    store.bookRecovered = (openSamples) => {
      const before = store.ledger().samples;
      const unexplained = book(openSamples);
      const after = store.ledger().samples;
      if (unexplained !== 0) referee.object('I4', `${unexplained} samples are unexplained after a restart`);
      const given = after.evicted - before.evicted + after.quarantined - before.quarantined;
      if (given !== 0) referee.object('I4', `${given} samples were given up at a restart`);
      return unexplained;
    };
    const { quarantined, lostRows, pendingDifference } = store.recovery;
    if (quarantined !== null) referee.object('I1', `the database was moved aside: ${quarantined.reason}`);
    if (lostRows > 0) referee.object('I1', `${lostRows} rows could not be believed`);
    for (const [sink, points] of Object.entries(pendingDifference))
      referee.object('I4', `after a restart ${points} points of ${sink} are in no account`);
    this.#journal.knows(store.channels());
  }

  #afterTick(): void {
    if (this.thread.dead || this.#isBroken) return;
    this.#ticks += 1;
    if (this.#ticks % CHECK_EVERY_TICKS === 0) this.checkAccounts(false);
  }

  #post(message: FromPipeline): void {
    this.#toMain(() => {
      if (message.type === 'ready') this.#open(message.channels, message.lastKnownMs);
      else if (message.type === 'committed') this.#committed(message.position);
      else if (message.type === 'status') this.#held = message.status.held;
    });
  }

  /** Messages between threads keep their order. */
  #toMain(run: () => void): void {
    const { world, random } = this.#site;
    this.#postedMs = Math.max(this.#postedMs, world.nowMs + random.int(0, MAX_POST_MS));
    world.after(this.#postedMs - world.nowMs, () => {
      if (!this.thread.dead) run();
    });
  }

  #open(channels: readonly ChannelRef[], lastKnownMs: number): void {
    this.#keeper.start(lastKnownMs);
    const { ingest, machineClasses } = this.#config;
    const { world } = this.#site;
    this.#router = new TopicRouter(machineClasses, channels, { maxChannels: ingest.limits.maxChannels });
    this.#core = new IngestCore(ingest, {
      sink: this.#writer,
      router: this.#router,
      now: this.#keeper.now,
      clock: this.#keeper.clock,
      monotonicMs: () => world.nowMs,
      logger: SILENT,
      requestCommit: () =>
        world.after(this.#site.random.int(0, MAX_POST_MS), () => this.#loop!.tick(), this.thread),
    });
  }

  #newKeeper(): ClockKeeper {
    const { world, plan } = this.#site;
    const { every } = world.clockOf(this.#main, 0);
    const isRight = () => Math.abs(world.wallErrorMs) < 1_000;
    return new ClockKeeper({
      config: this.#config.clock,
      system: {
        wallMs: () => world.wallMs,
        monotonicMs: () => world.nowMs,
        evidence: () => ({ synchronized: isRight(), awaitsSync: !isRight() && plan.awaitsSync }),
        bootId: 'the one boot',
        every,
      },
      shared: this.#shared,
      logger: SILENT,
      writeMark: (mark) => {
        if (!this.#writer.hasRoom(CLOCK_BYTES)) return false;
        this.#writer.clock(mark);
        return true;
      },
      held: () => this.#held,
      onMoved: (byMs) =>
        world.after(this.#site.random.int(0, MAX_POST_MS), () => this.#loop!.clockMoved(byMs), this.thread),
    });
  }

  #committed(position: number): void {
    this.#core!.acknowledger.onCommitted(position, this.#site.world.nowMs);
    for (const lane of this.#lanes) lane.committed();
  }

  /** The gateway ends with code 1 when its path can't go on. */
  #failed(error: unknown): void {
    if (this.thread.dead) return;
    if (this.medium.expectsFailure(error)) {
      this.#isBroken = true;
      this.medium.kill();
      return;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#site.referee.object('I8', `the gateway ended by itself: ${text}`);
  }
}
