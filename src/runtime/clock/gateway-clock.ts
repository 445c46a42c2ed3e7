/**
 * Looks at the system clock enter, the gateway's own time of day leaves: monotonic time plus an offset that never makes
 * it go back, and follows the system clock only where that can be right.
 *
 * A step of the system clock does not move the gateway's time. It is followed once it has lasted `confirmStepMs` and
 * lies within what is plausible: forwards at once, backwards by running slower (10 %), so that no stamp is ever
 * behind one before it. While the time of day is not known at all, samples are stamped with the time since boot.
 *
 * Pure: both clocks and what is known of synchronisation come in as arguments.
 */

import type { ClockState, StampClock } from '../../domain/gateway-clock.ts';

/** What the system says about its clock. */
export interface ClockEvidence {
  /** The system's time service has set the clock since boot. */
  readonly synchronized: boolean;
  /** A time service is at work and not done, and no battery clock agrees with the time shown. */
  readonly awaitsSync: boolean;
}

/** One look at both clocks. */
export interface ClockLook extends ClockEvidence {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export interface ClockRules {
  /** No clock that was ever set is earlier: when this version was made, ms. */
  readonly releasedMs: number;
  /** Newest time of day this gateway believed in an earlier run, ms; 0 if there was none. */
  readonly lastKnownMs: number;
  /** `system`: whatever the system clock says after `releasedMs` is believed. */
  readonly trust: 'auto' | 'system';
  readonly maxHoldMs: number;
  readonly stepMs: number;
  readonly confirmStepMs: number;
}

/** What a look brought to light; times are times of day, ms. */
export interface ClockEvent {
  readonly kind:
    | 'step'
    /** The system clock came back to where it was. */
    | 'step_undone'
    /** The step lasted and is followed from now on. */
    | 'step_followed'
    /** The step lasted and is not believed. */
    | 'step_refused'
    /** The time of day is known now. */
    | 'set'
    /** Nobody set the clock in time: what was held goes on with the best guess. */
    | 'hold_ended';
  readonly fromMs: number;
  readonly toMs: number;
}

const DAY_MS = 86_400_000;
/** A forward step beyond this needs a restart to be believed: clocks jump by decades, gateways live through them. */
const LARGEST_STEP_MS = 366 * DAY_MS;
/** A clock behind the last known time by up to this was corrected; by more it is not set. */
const LARGEST_CORRECTION_MS = DAY_MS;
/** How much slower than real time the gateway's clock runs while it is ahead. */
const SLEW = 0.1;

interface Pending {
  offsetMs: number;
  readonly sinceMs: number;
  refused: boolean;
}

export class GatewayClock implements StampClock {
  readonly #rules: ClockRules;
  #offsetMs = 0;
  /** Offset of the system clock as it was last believed. */
  #targetMs = 0;
  #pending: Pending | null = null;
  #mode: 'holding' | 'guessing' | 'set' = 'set';
  #synchronized = false;
  #startedMs = 0;
  #startOffsetMs = 0;
  #lookedMs = 0;
  #why = '';

  constructor(rules: ClockRules) {
    this.#rules = rules;
  }

  get isSet(): boolean {
    return this.#mode === 'set';
  }

  get holding(): boolean {
    return this.#mode === 'holding';
  }

  get offsetMs(): number {
    return this.#offsetMs;
  }

  get floorMs(): number {
    return Math.max(this.#rules.releasedMs, this.#rules.lastKnownMs);
  }

  get state(): ClockState {
    if (this.#mode === 'holding') return 'unsynced';
    return this.#mode === 'set' && this.#synchronized && this.#pending === null ? 'synced' : 'provisional';
  }

  /** Why the state is not `synced`; empty where it is. */
  get reason(): string {
    if (this.state === 'synced') return '';
    if (this.#mode !== 'set') return this.#why;
    if (this.#pending !== null) return 'the system clock was stepped; the gateway goes on with its own time';
    return 'no time service has confirmed the system clock';
  }

  /** True where only a person can help: nobody sets the clock, or what it says cannot be right. */
  get needsAttention(): boolean {
    return this.#mode === 'guessing' || this.#pending?.refused === true;
  }

  /** Time of day, whole ms. */
  nowMs(monotonicMs: number): number {
    return Math.round(monotonicMs + this.#offsetMs);
  }

  /** The first look. */
  start(look: ClockLook): void {
    this.#startedMs = look.monotonicMs;
    this.#lookedMs = look.monotonicMs;
    this.#startOffsetMs = look.wallMs - look.monotonicMs;
    this.#why = this.#whyNotSet(look);
    if (this.#why === '') {
      this.#believe(look, this.floorMs - look.monotonicMs);
      return;
    }
    this.#mode = 'holding';
    this.#offsetMs = Math.round(Math.max(look.wallMs, this.floorMs) - look.monotonicMs);
  }

  /** Every further look, a few a second. */
  observe(look: ClockLook): ClockEvent[] {
    const elapsedMs = Math.max(0, look.monotonicMs - this.#lookedMs);
    this.#lookedMs = look.monotonicMs;
    if (this.#mode !== 'set') return this.#await(look);
    this.#synchronized = look.synchronized || this.#rules.trust === 'system';
    const events = this.#compare(look);
    // Forwards at once, backwards slowly: a stamp must not be behind one before it.
    this.#offsetMs = Math.max(this.#targetMs, this.#offsetMs - SLEW * elapsedMs);
    return events;
  }

  /** Nothing more is held back: the bound of what may be is reached. */
  endHold(): ClockEvent[] {
    if (this.#mode !== 'holding') return [];
    this.#mode = 'guessing';
    this.#why = `nobody set the system clock: ${this.#why}`;
    const atMs = this.nowMs(this.#lookedMs);
    return [{ kind: 'hold_ended', fromMs: atMs, toMs: atMs }];
  }

  #await(look: ClockLook): ClockEvent[] {
    const wasGuessing = this.#mode === 'guessing';
    const why = this.#whyNotSet(look);
    const stepped = Math.abs(look.wallMs - look.monotonicMs - this.#startOffsetMs) >= this.#rules.stepMs;
    // Where a time service is only awaited, somebody who sets the clock by hand is believed as well.
    if (why === '' || (stepped && this.#isPlausible(look) && look.awaitsSync)) {
      const fromMs = this.nowMs(look.monotonicMs);
      this.#believe(look, wasGuessing ? this.#offsetMs : Number.NEGATIVE_INFINITY);
      return [{ kind: 'set', fromMs, toMs: this.nowMs(look.monotonicMs) }];
    }
    if (wasGuessing || look.monotonicMs - this.#startedMs < this.#rules.maxHoldMs) return [];
    return this.endHold();
  }

  /** @param notBelowMs offset that was stamped with before: going back to a nearby one is done slowly */
  #believe(look: ClockLook, notBelowMs: number): void {
    this.#mode = 'set';
    this.#why = '';
    this.#synchronized = look.synchronized || this.#rules.trust === 'system';
    this.#targetMs = Math.round(look.wallMs - look.monotonicMs);
    const ahead = notBelowMs - this.#targetMs;
    this.#offsetMs = ahead > 0 && ahead <= LARGEST_CORRECTION_MS ? notBelowMs : this.#targetMs;
    this.#pending = null;
  }

  #whyNotSet(look: ClockLook): string {
    if (look.wallMs < this.#rules.releasedMs)
      return 'the system clock is earlier than this version of the gateway';
    if (look.synchronized || this.#rules.trust === 'system') return '';
    if (!this.#isPlausible(look)) return 'the system clock is earlier than what was stored before';
    return look.awaitsSync ? 'the time service has not set the system clock yet' : '';
  }

  #isPlausible({ wallMs }: ClockLook): boolean {
    const { releasedMs, lastKnownMs } = this.#rules;
    return wallMs >= releasedMs && wallMs >= lastKnownMs - LARGEST_CORRECTION_MS;
  }

  /** Follows small differences, keeps an eye on large ones. */
  #compare(look: ClockLook): ClockEvent[] {
    const offsetMs = look.wallMs - look.monotonicMs;
    const { stepMs, confirmStepMs } = this.#rules;
    const at = { fromMs: Math.round(look.monotonicMs + this.#targetMs), toMs: look.wallMs };
    if (Math.abs(offsetMs - this.#targetMs) < stepMs) {
      const undone = this.#pending !== null;
      this.#targetMs = offsetMs;
      this.#pending = null;
      return undone ? [{ kind: 'step_undone', ...at }] : [];
    }
    if (this.#pending === null || Math.abs(offsetMs - this.#pending.offsetMs) >= stepMs) {
      this.#pending = { offsetMs, sinceMs: look.monotonicMs, refused: false };
      return [{ kind: 'step', ...at }];
    }
    this.#pending.offsetMs = offsetMs;
    if (this.#pending.refused || look.monotonicMs - this.#pending.sinceMs < confirmStepMs) return [];
    return [{ kind: this.#settle(look, offsetMs) ? 'step_followed' : 'step_refused', ...at }];
  }

  /** A step has lasted. True if it is followed. */
  #settle(look: ClockLook, offsetMs: number): boolean {
    const believable = this.#isPlausible(look) && Math.abs(offsetMs - this.#targetMs) <= LARGEST_STEP_MS;
    if (believable) {
      this.#targetMs = offsetMs;
      this.#pending = null;
    } else this.#pending!.refused = true;
    return believable;
  }
}
