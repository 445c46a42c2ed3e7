/**
 * The system clock enters, the gateway's time of day leaves: for the MQTT thread as an object, for the pipeline thread
 * through shared memory, and for the journal as marks among the records. Every step leaves a line in the log.
 */

import type { ClockConfig } from '../../config/schema.ts';
import type { CancelTimer } from '../../domain/clock.ts';
import type { ClockMark } from '../../domain/gateway-clock.ts';
import type { ClockStatus } from '../../domain/gateway-status.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { MetricSample } from '../../telemetry/metrics.ts';
import type { SystemTime } from './clock-evidence.ts';
import { type ClockEvent, type ClockLook, GatewayClock } from './gateway-clock.ts';
import { SharedClock } from './shared-clock.ts';

export interface ClockKeeperOptions {
  readonly config: ClockConfig;
  readonly system: SystemTime;
  readonly shared: SharedArrayBuffer;
  readonly logger: Logger;
  /** False where there is no room for the mark now. */
  writeMark(mark: ClockMark): boolean;
  /** What waits in the pipeline for the clock to be set, at most about a second old. */
  held(): HeldSummary;
  /** The time of day moved by this much more than time passed, ms. */
  onMoved(byMs: number): void;
}

/** Records that wait for the clock to be set. */
export interface HeldSummary {
  readonly samples: number;
  readonly bytes: number;
}

/** No clock that was ever set is earlier (2025-01-01). */
const RELEASED_MS = 1_735_689_600_000;
const LOOK_EVERY_MS = 250;
/** Records that may wait; about two million samples. */
const MAX_HELD_BYTES = 67_108_864;

export class ClockKeeper {
  readonly #options: ClockKeeperOptions;
  readonly #shared: SharedClock;
  readonly #startedMs: number;
  readonly #steps = { seen: 0, followed: 0, undone: 0, refused: 0 };
  #clock: GatewayClock;
  #owedMark: ClockMark | null = null;
  #end: CancelTimer = () => undefined;

  constructor(options: ClockKeeperOptions) {
    this.#options = options;
    this.#startedMs = options.system.monotonicMs();
    this.#shared = new SharedClock(options.shared, options.system.monotonicMs);
    this.#clock = this.#newClock(0);
  }

  /** What ingest stamps and judges by. */
  get clock(): GatewayClock {
    return this.#clock;
  }

  readonly now = (): number => this.#clock.nowMs(this.#options.system.monotonicMs());

  get uptimeMs(): number {
    return this.#options.system.monotonicMs() - this.#startedMs;
  }

  /** Why a person is needed; empty otherwise. */
  get trouble(): string {
    return this.#clock.needsAttention ? `clock: ${this.#clock.reason} (${this.#hint()})` : '';
  }

  /** Call before the first sample can come. @param lastKnownMs newest time an earlier run believed in, 0 for none */
  start(lastKnownMs: number): void {
    this.#clock = this.#newClock(lastKnownMs);
    this.#clock.start(this.#look());
    this.#mark(this.#clock.holding);
    this.#publish();
    const { state, reason } = this.#clock;
    if (this.#clock.holding) {
      this.#options.logger.warn(
        { state, reason, system: timeText(this.#options.system.wallMs()), hint: this.#hint() },
        'the time of day is not known: samples without time stamps are kept and held until it is',
      );
    } else this.#options.logger.info({ state, reason, gatewayTime: timeText(this.now()) }, 'clock');
    this.#end = this.#options.system.every(LOOK_EVERY_MS, () => this.#observe());
  }

  stop(): void {
    this.#end();
  }

  status(devices: ClockStatus['devices']): ClockStatus {
    const { state, reason } = this.#clock;
    return {
      state,
      reason,
      hint: state === 'synced' ? '' : this.#hint(),
      systemOffsetMs: Math.round(this.#options.system.wallMs() - this.now()),
      steps: this.#steps.seen,
      heldSamples: this.#options.held().samples,
      devices,
    };
  }

  metrics(): MetricSample[] {
    const steps = Object.entries(this.#steps).map(
      ([result, value]): MetricSample => ({
        name: 'millwright_clock_steps_total',
        labels: { result },
        value,
      }),
    );
    return [
      { name: 'millwright_clock_state', labels: { state: this.#clock.state }, value: 1 },
      { name: 'millwright_clock_offset_seconds', value: (this.#options.system.wallMs() - this.now()) / 1000 },
      { name: 'millwright_clock_held_samples', value: this.#options.held().samples },
      { name: 'millwright_clock_held_bytes', value: this.#options.held().bytes },
      ...steps,
    ];
  }

  #newClock(lastKnownMs: number): GatewayClock {
    const { trust, maxHoldMs, stepMs, confirmStepMs } = this.#options.config;
    return new GatewayClock({
      releasedMs: RELEASED_MS,
      lastKnownMs,
      trust,
      maxHoldMs,
      stepMs,
      confirmStepMs,
    });
  }

  #look(): ClockLook {
    const { system } = this.#options;
    const wallMs = system.wallMs();
    return { ...system.evidence(wallMs), wallMs, monotonicMs: system.monotonicMs() };
  }

  #observe(): void {
    this.#handle(this.#clock.observe(this.#look()));
    if (this.#options.held().bytes > MAX_HELD_BYTES) this.#handle(this.#clock.endHold());
    if (this.#owedMark !== null && this.#options.writeMark(this.#owedMark)) this.#owedMark = null;
  }

  #handle(events: readonly ClockEvent[]): void {
    for (const event of events) this.#report(event);
    this.#publish();
  }

  #publish(): void {
    this.#shared.publish(this.#clock.offsetMs, this.#clock.isSet);
  }

  /** Records before and after it are told apart by the mark, so it must not be lost: if the ring is full it is owed. */
  #mark(holds: boolean): void {
    const { isSet, offsetMs } = this.#clock;
    const mark = { holds, isSet, offsetMs, bootId: this.#options.system.bootId };
    this.#owedMark = this.#options.writeMark(mark) ? null : mark;
  }

  #report({ kind, fromMs, toMs }: ClockEvent): void {
    const { logger, onMoved } = this.#options;
    const facts = { from: timeText(fromMs), to: timeText(toMs), offsetMs: Math.round(toMs - fromMs) };
    switch (kind) {
      case 'step':
        this.#steps.seen += 1;
        logger.warn(facts, 'the system clock was stepped; the gateway goes on with its own time');
        return;
      case 'step_undone':
        this.#steps.undone += 1;
        logger.warn(facts, 'the system clock came back; nothing was stamped with the other time');
        return;
      case 'step_followed':
        this.#steps.followed += 1;
        onMoved(toMs - fromMs);
        logger.warn(facts, 'the step of the system clock lasted; it is followed from now on');
        return;
      case 'step_refused':
        this.#steps.refused += 1;
        logger.error(
          { ...facts, hint: this.#hint() },
          'the system clock was stepped to a time that cannot be right; the gateway goes on with its own',
        );
        return;
      case 'set':
        this.#mark(false);
        onMoved(toMs - fromMs);
        logger.warn(
          { ...facts, state: this.#clock.state, heldSamples: this.#options.held().samples },
          'the time of day is known; samples stamped since boot are corrected by it',
        );
        return;
      case 'hold_ended':
        this.#mark(false);
        logger.error(
          { ...facts, heldSamples: this.#options.held().samples, hint: this.#hint() },
          'nobody set the clock: samples without time stamps go on with the best guess, marked uncertain',
        );
    }
  }

  #hint(): string {
    if (this.#clock.needsAttention)
      return 'set the system clock (timedatectl set-time) and restart the gateway';
    return 'set up time synchronisation (systemd-timesyncd, or another service and clock.syncedFile)';
  }
}

function timeText(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms);
}
