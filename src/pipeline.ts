/**
 * The whole path on one screen. Records from the ring enter, durable points leave.
 *
 *   records ─▶ window ─▶ features ─▶ inference ─▶ health ─▶ points ─▶ store ─▶ (forward reads the outbox)
 *
 * One `tick` is one group commit: what arrived since the last one goes into the journal together with the results
 * of the windows that closed meanwhile, in one transaction with one fsync; only then are the messages acknowledged.
 * Invariants: a record is in the journal before it is acknowledged; a window's points, its machine's state and the
 * mark that it is closed become durable together; so a crash at any moment yields the same windows as no crash.
 */

import type { MachineClassConfig } from './config/schema.ts';
import type { Assessment } from './domain/assessment.ts';
import type { DeadLetter } from './domain/dead-letter.ts';
import type { FeatureVector } from './domain/feature-vector.ts';
import { MACHINE_STATES } from './domain/health.ts';
import type { ChannelRef } from './domain/machine.ts';
import type { Point } from './domain/point.ts';
import { alarmPoint, assessmentPoint, featurePoints, healthPoint } from './domain/points-of.ts';
import type { RecordSpan } from './domain/record-span.ts';
import type { StateWrite } from './domain/state-write.ts';
import { windowLetter } from './domain/window-letter.ts';
import type { WindowResult } from './domain/window-result.ts';
import { describeError } from './errors.ts';
import type { FeatureExtractor } from './features/extractor.ts';
import {
  decodeFeatureState,
  emptyFeatureState,
  encodeFeatureState,
  type FeatureState,
} from './features/feature-state.ts';
import type { HistorySampler } from './features/history-samples.ts';
import type { HealthMonitor } from './health/health-monitor.ts';
import type { Assessor } from './inference/assessor.ts';
import { MachineBoard } from './runtime/machine-board.ts';
import { RecordFeed } from './runtime/record-feed.ts';
import { showRestored } from './runtime/restored-machines.ts';
import { NOTHING_SETTLED, WindowAccount } from './runtime/window-account.ts';
import type { CommitUnit, Store } from './store/store.ts';
import type { Logger } from './telemetry/logger.ts';
import type { MetricSample, MetricSource } from './telemetry/metrics.ts';
import type { ClosedWindow, Windower } from './window/windower.ts';

export interface PipelineParts {
  readonly classes: Readonly<Record<string, MachineClassConfig>>;
  readonly windower: Windower;
  readonly extractors: ReadonlyMap<string, FeatureExtractor>;
  readonly assessor: Assessor;
  readonly health: HealthMonitor;
  readonly store: Store;
  /** Null: no history is kept on the device. */
  readonly history: HistorySampler | null;
  readonly logger: Logger;
  /** Wall clock, ms. */
  now(): number;
  /** Arrival clock in ms; never steps. */
  monotonicMs(): number;
}

/** Windows whose results may wait for the disk before computing pauses. */
const MAX_WAITING_RESULTS = 20_000;

/** Closed windows that wait to be computed, beyond which nothing more is taken; 64 MiB. */
const MAX_WAITING_WINDOW_BYTES = 67_108_864;

/** Beyond, windows do not wait for models that are slower than the plant: those may cost scores, never samples. */
const MAX_BYTES_WAITING_FOR_MODELS = MAX_WAITING_WINDOW_BYTES / 2;

/** Letters about windows that could not be computed, which wait for a commit; beyond, such windows are only counted. */
const MAX_WAITING_LETTERS = 100;

const NO_RECORDS = { journal: null, acceptedSamples: 0, channels: [], deadLetters: [] } as const;

/** The path of a record, run by the pipeline thread. */
export class Pipeline implements MetricSource {
  /** Last vector, assessment and health of each machine, for the status page; what is restored of it before that. */
  readonly board = new MachineBoard();
  readonly #parts: PipelineParts;
  readonly #feed: RecordFeed;
  readonly #featureStates = new Map<string, FeatureState>();
  readonly #account = new WindowAccount();
  #results: WindowResult[] = [];
  #letters: DeadLetter[] = [];
  #windowsFailed = 0;
  #unit: CommitUnit | null = null;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#feed = new RecordFeed(parts.windower);
  }

  /** Rebuilds the open windows after a start, from what the store kept. */
  recover(): void {
    const { store, windower, assessor, health } = this.#parts;
    for (const ref of store.channels()) this.#feed.register(ref);
    const windowStates = new Map<string, Uint8Array>();
    for (const { machine, key, value } of store.machineStates()) {
      if (key === 'window') windowStates.set(machine, value);
      else if (key === 'features') this.#featureStates.set(machine, decodeFeatureState(value));
      else if (key === 'health') health.restore(machine, value);
      else assessor.restore(machine, key, value);
    }
    for (const [machine, endMs] of store.closedUntil()) {
      windower.restore(machine, windowStates.get(machine) ?? new Uint8Array(0), endMs);
    }
    showRestored(this.board, { health, assessor, windows: windower.restoredWindows() });
    const now = this.#parts.monotonicMs();
    windower.beginReplay();
    for (const batch of store.journalBatches()) this.#feed.replay(batch.records, batch.id, now);
    store.bookRecovered(windower.openSamples() + this.#feed.held.samples);
    windower.endReplay(now);
  }

  /**
   * False while the store refuses what was taken before, or computing has fallen behind: the ring fills up and the
   * senders wait.
   */
  get hasRoom(): boolean {
    return this.#unit === null && this.#parts.windower.waitingBytes() < MAX_WAITING_WINDOW_BYTES;
  }

  /** Smallest journal batch that is still needed; Infinity if none is. */
  oldestBatchNeeded(): number {
    return Math.min(this.#parts.windower.oldestBatchNeeded(), this.#feed.held.oldestBatch);
  }

  /** Records that wait for the gateway's clock to be set. */
  get held(): { readonly samples: number; readonly bytes: number } {
    const { samples, bytes } = this.#feed.held;
    return { samples, bytes };
  }

  /** 1. ingest → window: takes the records of one commit. Call only while `hasRoom`. */
  take(spans: readonly RecordSpan[]): void {
    const now = this.#parts.monotonicMs();
    this.#feed.take(spans, this.#parts.store.nextBatchId(), now);
    this.#parts.windower.advance(now);
  }

  /** In place of `take` while there is no room: windows that fill the journal close, or they would hold it for good. */
  wait(): void {
    const { store, windower, monotonicMs } = this.#parts;
    if (this.#unit !== null && store.isJournalFull) windower.advance(monotonicMs());
  }

  /**
   * 2. store: makes everything taken, and every result that is ready, durable. True if anything was written.
   * @throws GatewayError MW_STORE_WRITE: nothing changed, call again; MW_STORE_FSYNC: the store can't be trusted
   */
  commit(trimBelowBatch: number): boolean {
    // What the refused unit may trim has changed since: without it, a full journal would stay full.
    if (this.#unit !== null) this.#commitResultsFirst({ ...this.#unit, trimBelowBatch });
    const unit = this.#unit ?? this.#nextUnit(trimBelowBatch);
    if (unit === null) return false;
    this.#unit = unit;
    this.#commitUnit(unit);
    this.#unit = null;
    return true;
  }

  /** Results make room, records take it: a refused unit must not keep back the results that came since. */
  #commitResultsFirst(refused: CommitUnit): void {
    const results = [...refused.results, ...this.#results];
    this.#unit = refused;
    if (results.length === 0) return;
    this.#results = [];
    const { windowed, duplicate, volatile, quarantined } = this.#account.take();
    const settled = {
      windowed: refused.settled.windowed + windowed,
      duplicate: refused.settled.duplicate + duplicate,
      volatile: (refused.settled.volatile ?? 0) + volatile,
      quarantined: (refused.settled.quarantined ?? 0) + quarantined,
      late: 0,
    };
    const records = {
      ...refused,
      channels: [],
      settled: { ...refused.settled, ...NOTHING_SETTLED },
      results: [],
    };
    this.#unit = {
      ...refused,
      settled: { ...refused.settled, ...settled, late: refused.settled.late },
      results,
    };
    // A machine that is not known after a restart has no closed windows: its channels go with its first result.
    const { channels, trimBelowBatch, acceptedSamples: aheadSamples } = refused;
    this.#commitUnit({ ...NO_RECORDS, channels, settled, results, trimBelowBatch, aheadSamples });
    this.#unit = records;
  }

  #commitUnit(unit: CommitUnit): void {
    this.#parts.store.commit(unit);
    // In a backlog one unit may hold thousands of windows of a machine; the newest speaks for all.
    const ends = new Map<string, number>();
    for (const { machine, closedUntilMs } of unit.results) ends.set(machine, closedUntilMs);
    for (const [machine, endMs] of ends) this.#parts.windower.committed(machine, endMs);
  }

  /**
   * 3. window → features → inference → health → points, for windows that closed, until `deadlineMs` (monotonic).
   * @returns when more may be computed: at once, as soon as the models have answered, or not before the next tick
   */
  compute(deadlineMs: number): 'now' | 'answered' | 'tick' {
    while (this.#results.length < MAX_WAITING_RESULTS) {
      if (!this.#mayAssess) return this.#parts.windower.waitingBytes() > 0 ? 'answered' : 'tick';
      const closed = this.#parts.windower.takeClosed();
      if (closed === null) return 'tick';
      this.#computeOne(closed);
      if (this.#parts.monotonicMs() >= deadlineMs) return 'now';
    }
    return 'tick';
  }

  /** In a backlog windows come faster than the models answer: they wait here, where they keep their scores. */
  get #mayAssess(): boolean {
    const { assessor, windower } = this.#parts;
    if (assessor.hasRoom) return true;
    if (windower.waitingBytes() <= MAX_BYTES_WAITING_FOR_MODELS) return false;
    return assessor.vectorsPerSecond < windower.windowsPerSecond;
  }

  /** Points that belong to no window, such as the gateway's own status; left out while the store takes nothing. */
  emit(points: readonly Point[]): void {
    if (this.waitingResults >= MAX_WAITING_RESULTS) return;
    this.#results.push({ machine: '', closedUntilMs: 0, points, stateWrites: [] });
  }

  /**
   * Samples accepted whose end in the account is not in the store yet, counted here and not from the account; null
   * while records wait for the store, so that the two can't be compared.
   */
  get unsettledSamples(): number | null {
    if (this.#unit !== null || this.#feed.isPending) return null;
    return this.#parts.windower.unsettledSamples() + this.#feed.held.samples + this.#account.samples;
  }

  /** Results not yet in the store. */
  get waitingResults(): number {
    return this.#results.length + (this.#unit?.results.length ?? 0);
  }

  metrics(): MetricSample[] {
    const { windower } = this.#parts;
    return [
      { name: 'millwright_windows_open_bytes', value: windower.openBytes() },
      { name: 'millwright_windows_waiting_bytes', value: windower.waitingBytes() },
      { name: 'millwright_results_waiting', value: this.waitingResults },
      { name: 'millwright_windows_failed_total', value: this.#windowsFailed },
    ];
  }

  /** A window that can't be computed is given up with its evidence: else every restart would meet it again. */
  #computeOne(closed: ClosedWindow): void {
    this.#account.begin(closed);
    try {
      this.#assess(closed, this.#extract(closed));
    } catch (error) {
      this.#failed(closed, error);
      if (this.#account.isComputing(closed)) this.#giveUp(closed);
    }
  }

  #giveUp(closed: ClosedWindow): void {
    const { window, closedUntilMs, state } = closed;
    const { machine } = window;
    this.#account.end(closed, 'quarantined');
    // Half a step further than the last window: what the features remember can't be trusted.
    this.#featureStates.set(machine, emptyFeatureState());
    const stateWrites = [{ machine, key: 'window', value: state }];
    this.#results.push({ machine, closedUntilMs, points: [], stateWrites });
  }

  #failed({ window }: ClosedWindow, error: unknown): void {
    const letter = windowLetter(window, describeError(error), this.#parts.now());
    this.#windowsFailed += 1;
    if (this.#letters.length >= MAX_WAITING_LETTERS) return;
    this.#letters.push(letter);
    const { source, detail } = letter;
    this.#parts.logger.error({ source, startMs: window.startMs, detail }, 'a window could not be computed');
  }

  #extract({ window }: ClosedWindow): FeatureVector {
    const extractor = this.#parts.extractors.get(window.machineClass)!;
    let state = this.#featureStates.get(window.machine);
    if (state === undefined) {
      state = emptyFeatureState();
      this.#featureStates.set(window.machine, state);
    }
    return extractor.extract(window, state);
  }

  #assess(closed: ClosedWindow, vector: FeatureVector): void {
    const { assessor } = this.#parts;
    const points = featurePoints(vector);
    const writes = this.#stateAfter(closed);
    if (!assessor.needsInference(vector.machineClass)) {
      this.board.vector(vector);
      this.#finish(closed, vector, points, writes);
      return;
    }
    assessor.submit(vector, (outcome) => {
      writes.push(...outcome.stateWrites);
      try {
        this.#judge(outcome.assessment, points, writes);
      } catch (error) {
        // Its features are good; nobody is called because of it.
        this.#failed(closed, error);
      }
      this.board.vector(vector);
      this.#finish(closed, vector, points, writes);
    });
  }

  #judge(assessment: Assessment, points: Point[], writes: StateWrite[]): void {
    const judged = this.#parts.health.assess(assessment);
    points.push(assessmentPoint(assessment));
    points.push(healthPoint(judged.health, MACHINE_STATES.indexOf(judged.health.state)));
    for (const event of judged.alarms) points.push(alarmPoint(event));
    if (judged.state) writes.push(judged.state);
    this.board.judged(assessment, judged.health, judged.alarms);
  }

  #stateAfter({ window, state }: ClosedWindow): StateWrite[] {
    const { machine } = window;
    const writes: StateWrite[] = [{ machine, key: 'window', value: state }];
    if (this.#parts.extractors.get(window.machineClass)!.stateful) {
      writes.push({ machine, key: 'features', value: encodeFeatureState(this.#featureStates.get(machine)!) });
    }
    return writes;
  }

  #finish(closed: ClosedWindow, vector: FeatureVector, points: Point[], stateWrites: StateWrite[]): void {
    const { window, closedUntilMs } = closed;
    this.#account.end(closed, 'windowed');
    const result = { machine: window.machine, closedUntilMs, points, stateWrites };
    const history = this.#parts.history?.sample(window, vector);
    this.#results.push(history === undefined ? result : { ...result, history });
  }

  #nextUnit(trimBelowBatch: number): CommitUnit | null {
    const taken = this.#feed.drain();
    const results = this.#results;
    if (taken === null && results.length === 0) return null;
    const settled = this.#account.take();
    const refused = this.#parts.windower.takeRefused();
    const letters = this.#letters;
    this.#letters = [];
    this.#results = [];
    return {
      journal: taken?.journal ?? null,
      acceptedSamples: taken?.acceptedSamples ?? 0,
      channels: taken?.channels ?? ([] as ChannelRef[]),
      deadLetters: [...(taken?.deadLetters ?? []), ...letters],
      settled: { ...settled, late: refused.late, evicted: refused.overLimit },
      results,
      trimBelowBatch,
    };
  }
}
