/**
 * The lines of one shipment and the answers to its requests -> what to send next, and which lines are at fault. Pure.
 *
 * A line counts as delivered only when a request that held it was accepted as a whole. So it does not matter whether
 * a refusing server keeps the good lines (422) or nothing (400): they are sent again, which overwrites.
 *
 * The search for bad lines is group testing by halves. Of a group known to hold a bad line the first half is sent:
 * accepted, the bad one is in the rest; refused, it is here, and the rest joins the lines nothing is known about.
 * Those are sent as one group after each find.
 *
 * Bound: the i-th find (from 0) costs at most one request of the joined lines, of which at most n - i are left, and
 * ⌈log2(n - i)⌉ of halves; one more request takes the good lines that remain. So k bad among n lines take at most
 * Σ(i < k) (⌈log2(n - i)⌉ + 1) + [k < n] requests, which is no more than k · (⌈log2 n⌉ + 1) + 1. For one bad line no
 * strategy does better against a server that takes all or nothing: of two lines, after both were refused together and
 * then one alone, the other still has to be sent: three requests, where k · ⌈log2 n⌉ + 1 would allow two. The number of
 * dropped lines that InfluxDB 2 tells (422) could save that request, but is not to be trusted: with one line of a
 * conflicting type and one outside the retention it says `dropped=1` and drops both.
 */

import { suspectLines } from './rejection-hints.ts';
import type { Rejection } from './write-outcome.ts';

/** More than this many single lines refused by an answer that may not be about lines at all, and none accepted. */
const MAX_DOUBTFUL = 2;
/** Hints of the server followed per shipment; each costs a request where it misleads. */
const MAX_HINTS = 8;

interface Group {
  readonly indices: readonly number[];
  /** Set apart by a hint; other lines do not join it. */
  readonly apart: boolean;
}

export class Delivery {
  readonly #lines: readonly string[];
  #groups: Group[];
  /** Holds at least one bad line; `why` is the last refusal of a set that holds them all. */
  #failing: { readonly indices: readonly number[]; readonly why: Rejection } | null = null;
  readonly #dead = new Map<number, string>();
  /** Refused alone by an answer that may not be about lines, since a line was last accepted. */
  readonly #doubtful = new Map<number, string>();
  /** Doubtful once, and lines were accepted since: refused again, such a line is at fault. */
  readonly #triedBefore = new Set<number>();
  /** A line that was accepted; sent again it shows whether the server takes lines at all. */
  #canary: number | null = null;
  #canaryRefused: string | null = null;
  readonly #hints = new Set<string>();
  #delivered = 0;

  /**
   * @param lines '' for a point that has no line: it is dead from the start
   * @param superseded indices that need not be sent
   */
  constructor(lines: readonly string[], superseded: ReadonlySet<number> = NOTHING) {
    this.#lines = lines;
    const indices: number[] = [];
    for (let i = 0; i < lines.length; i++) {
      if (lines[i] === '') this.#dead.set(i, NO_LINE);
      else if (!superseded.has(i)) indices.push(i);
    }
    this.#groups = indices.length > 0 ? [{ indices, apart: false }] : [];
  }

  /** Index of each line given up -> the server's words about it. */
  get dead(): ReadonlyMap<number, string> {
    return this.#dead;
  }

  get delivered(): number {
    return this.#delivered;
  }

  /** Some answer changed what is known: worth keeping over a broken connection. */
  get begun(): boolean {
    return this.#delivered > 0 || this.#failing !== null || this.#doubtful.size > 0;
  }

  /**
   * Every line is refused, by answers that do not speak of lines: more likely the address or a proxy is wrong than
   * all of the data. The answer, or null. Call `trust` where the same server took other lines meanwhile.
   */
  get blocked(): string | null {
    if (this.#canaryRefused !== null) return this.#canaryRefused;
    if (this.#doubtful.size === 0 || this.#canary !== null) return null;
    const exhausted = this.#failing === null && this.#groups.length === 0;
    return exhausted || this.#doubtful.size > MAX_DOUBTFUL ? [...this.#doubtful.values()][0]! : null;
  }

  /** The server takes lines now: what it refused alone before is tried once more, and then given up. */
  trust(): void {
    if (this.#doubtful.size === 0) return;
    const indices = [...this.#doubtful.keys()];
    for (const index of indices) this.#triedBefore.add(index);
    this.#groups.push({ indices, apart: true });
    this.#doubtful.clear();
  }

  /** Indices to send as one request, at most `maxLines`; the same until something is reported. Empty when done. */
  next(maxLines: number): readonly number[] {
    if (this.#failing) {
      const half = Math.ceil(this.#failing.indices.length / 2);
      return this.#failing.indices.slice(0, Math.min(half, maxLines));
    }
    if (this.#groups.length > 0) return this.#groups[0]!.indices.slice(0, maxLines);
    return this.#doubtful.size > 0 && this.#canary !== null ? [this.#canary] : [];
  }

  /** The request of the first `count` lines of `next` was accepted. */
  accepted(count: number): void {
    if (this.#failing) {
      const { indices, why } = this.#failing;
      this.#taken(indices[0]!, count);
      this.#keepFailing(indices.slice(count), why);
    } else if (this.#groups.length > 0) {
      this.#taken(this.#groups[0]!.indices[0]!, count);
      this.#cutFirstGroup(count);
    } else this.trust();
  }

  /** The request of the first `count` lines of `next` was refused. */
  rejected(count: number, why: Rejection): void {
    if (!this.#failing && this.#groups.length === 0) {
      this.#canaryRefused = why.message;
      return;
    }
    const source = this.#failing?.indices ?? this.#groups[0]!.indices;
    const sent = source.slice(0, count);
    if (this.#failing) this.#joinFirstGroup(source.slice(count));
    else this.#cutFirstGroup(count);
    this.#failing = null;
    if (why.droppedLines === count) for (const index of sent) this.#dead.set(index, why.message);
    else if (!this.#followHint(sent, why)) this.#keepFailing(sent, why);
  }

  /** A request of one line was too large. */
  tooLarge(message: string): void {
    this.rejected(1, { kind: 'rejected', message, droppedLines: 1, aboutLines: true });
  }

  #taken(first: number, count: number): void {
    this.#delivered += count;
    this.#canary = first;
    this.trust();
  }

  #keepFailing(indices: readonly number[], why: Rejection): void {
    this.#failing = indices.length > 1 ? { indices, why } : null;
    if (indices.length !== 1) return;
    const [index] = indices as [number];
    const sure = why.aboutLines || this.#triedBefore.has(index);
    (sure ? this.#dead : this.#doubtful).set(index, why.message);
  }

  #followHint(sent: readonly number[], why: Rejection): boolean {
    if (this.#hints.has(why.message) || this.#hints.size >= MAX_HINTS) return false;
    const found = new Set(
      suspectLines(
        why.message,
        sent.map((index) => this.#lines[index]!),
      ),
    );
    if (found.size === 0 || found.size === sent.length) return false;
    this.#hints.add(why.message);
    this.#groups.unshift(
      { indices: sent.filter((_, i) => !found.has(i)), apart: true },
      { indices: sent.filter((_, i) => found.has(i)), apart: true },
    );
    return true;
  }

  #cutFirstGroup(count: number): void {
    const { indices, apart } = this.#groups.shift()!;
    if (indices.length > count) this.#groups.unshift({ indices: indices.slice(count), apart });
  }

  #joinFirstGroup(indices: readonly number[]): void {
    if (indices.length === 0) return;
    const first = this.#groups[0];
    if (first === undefined || first.apart) this.#groups.unshift({ indices, apart: false });
    else this.#groups[0] = { indices: [...indices, ...first.indices], apart: false };
  }
}

const NOTHING: ReadonlySet<number> = new Set();
const NO_LINE = 'the point has no measurement, no time or no field with a finite value';
