/**
 * A database with the semantics of InfluxDB, and the network to it: lines enter, what a server and a network can make
 * of them leaves. What it stored is the truth the oracle looks at.
 */

import { classifyAnswer, type SinkAnswer } from '../../../src/forward/classify-answer.ts';
import type { PointWriter, WriteOutcome } from '../../../src/forward/write-outcome.ts';
import type { Random } from './random.ts';
import type { Referee } from './referee.ts';
import type { Thread, World } from './world.ts';

/** What the way to the server, or the server, does at present. */
export type Weather =
  | 'fair'
  /** Connections are refused at once. */
  | 'down'
  /** Nothing ever answers; what was sent may have been stored. */
  | 'frozen'
  /** The connection breaks, before or after the write was stored. */
  | 'resetting'
  | 'error-500'
  | 'busy-429'
  | 'unauthorized-401'
  /** A portal answers with a page of its own. */
  | 'portal-200'
  /** Not more lines than a few in a request. */
  | 'small-413'
  /** Answers and stores, late. */
  | 'slow';

export const STORMS: readonly Exclude<Weather, 'fair'>[] = [
  'down',
  'frozen',
  'resetting',
  'error-500',
  'busy-429',
  'unauthorized-401',
  'portal-200',
  'small-413',
  'slow',
];

export interface StoredPoint {
  readonly fields: string;
  readonly revision: number;
}

const SMALL_LINES = 4;
const NO_HEADERS = { contentType: 'application/json', retryAfter: '', location: '', errorHeader: '' };
const HINTS = { credentials: 'token', permission: 'permission', missing: 'bucket' };

export class SimulatedDatabase {
  readonly points = new Map<string, StoredPoint>();
  weather: Weather = 'fair';
  /** Series of which every n-th point is refused for good; 0: none. */
  refusesEvery = 0;
  readonly refused = new Set<string>();
  /** By identity and revision. */
  readonly #values = new Map<string, Map<number, string>>();
  requests = 0;
  resends = 0;
  readonly #world: World;
  readonly #random: Random;
  readonly #referee: Referee;

  constructor(world: World, random: Random, referee: Referee) {
    this.#world = world;
    this.#random = random;
    this.#referee = referee;
  }

  /** The gateway's end of the connection; answers die with the process that asked. */
  writerFor(thread: Thread, timeoutMs: number): PointWriter {
    return {
      write: (lines, signal) => this.#request(lines, signal, thread, timeoutMs),
      ping: (signal) => this.#ping(signal, thread),
      close: () => undefined,
    };
  }

  #request(
    lines: readonly string[],
    signal: AbortSignal,
    thread: Thread,
    timeoutMs: number,
  ): Promise<WriteOutcome> {
    this.requests += 1;
    return new Promise((resolve) => {
      let open = true;
      const answer = (outcome: WriteOutcome) => {
        if (!open) return;
        open = false;
        this.#world.unsettled = true;
        resolve(outcome);
      };
      const failure = (cause: 'network' | 'timeout' | 'stopped'): WriteOutcome => ({
        kind: 'retryLater',
        message: cause,
        afterMs: null,
        cause,
      });
      signal.onabort = () => answer(failure('stopped'));
      this.#world.after(timeoutMs, () => answer(failure('timeout')), thread);
      const { weather } = this;
      const oneWayMs = weather === 'slow' ? this.#random.int(500, 4_000) : this.#random.int(1, 40);
      const backMs = this.#random.int(1, 40);
      const reset = () => this.#world.after(backMs, () => answer(failure('network')), thread);
      if (weather === 'down') {
        reset();
        return;
      }
      const isLost = weather === 'frozen' || weather === 'resetting' ? this.#random.chance(0.5) : false;
      // Given up is closed: what comes later is not stored.
      this.#world.after(oneWayMs, () => {
        if (!open) return;
        const result = isLost ? null : this.#serve(lines, weather);
        if (weather === 'frozen') return;
        if (result === null || weather === 'resetting') reset();
        else
          this.#world.after(backMs, () => answer(classifyAnswer(result, HINTS, this.#world.wallMs)), thread);
      });
    });
  }

  #ping(signal: AbortSignal, thread: Thread): Promise<boolean> {
    const { weather } = this;
    return new Promise((resolve) => {
      const answer = (answers: boolean) => {
        this.#world.unsettled = true;
        resolve(answers);
      };
      signal.onabort = () => answer(false);
      const answers = weather !== 'down' && weather !== 'frozen' && weather !== 'resetting';
      this.#world.after(weather === 'frozen' ? 2_000 : 20, () => answer(answers), thread);
    });
  }

  #serve(lines: readonly string[], weather: Weather): SinkAnswer {
    const say = (status: number, body: string, more: Partial<SinkAnswer> = {}): SinkAnswer => ({
      ...NO_HEADERS,
      status,
      body,
      ...more,
    });
    switch (weather) {
      case 'error-500':
        return say(500, '{"code":"internal error","message":"shard is being compacted"}');
      case 'busy-429':
        return say(429, '{"code":"too many requests"}', { retryAfter: String(this.#random.int(0, 5)) });
      case 'unauthorized-401':
        return say(401, '{"code":"unauthorized","message":"unauthorized access"}');
      case 'portal-200':
        return say(200, '<html><title>Log in</title></html>', { contentType: 'text/html' });
      case 'small-413':
        if (lines.length > SMALL_LINES) return say(413, '{"code":"request too large"}');
        break;
      default:
    }
    return this.#store(lines, say);
  }

  #store(lines: readonly string[], say: (status: number, body: string) => SinkAnswer): SinkAnswer {
    let dropped = 0;
    for (const line of lines) if (!this.#storeLine(line)) dropped += 1;
    if (dropped === 0) return say(204, '');
    const message = `failure writing points to database: partial write: field type conflict dropped=${dropped}`;
    return say(422, JSON.stringify({ code: 'unprocessable entity', message }));
  }

  #storeLine(line: string): boolean {
    const firstSpace = line.indexOf(' ');
    const lastSpace = line.lastIndexOf(' ');
    const identity = `${line.slice(0, firstSpace)} ${line.slice(lastSpace + 1)}`;
    if (this.refusesEvery > 0 && hashOf(identity) % this.refusesEvery === 0) {
      this.refused.add(identity);
      return false;
    }
    const fields = line.slice(firstSpace + 1, lastSpace);
    const revision = Number(/(?:^|,)revision=(\d+)/.exec(fields)?.[1] ?? 0);
    if (identity.startsWith('gateway_status')) return true;
    const values = this.#values.get(identity) ?? new Map<number, string>();
    const before = values.get(revision);
    if (before !== undefined) this.resends += 1;
    if (before !== undefined && before !== fields)
      this.#referee.object('I2', `${identity}: two values\n  before: ${before}\n  now:    ${fields}`);
    this.#values.set(identity, values.set(revision, fields));
    // A crash may forget that both were delivered: then they come again, in order.
    this.points.set(identity, { fields, revision });
    return true;
  }

  /** At rest the newest value of every point has to be the one that stayed. */
  checkNewest(): void {
    for (const [identity, { revision }] of this.points) {
      const newest = Math.max(...this.#values.get(identity)!.keys());
      if (revision !== newest)
        this.#referee.object('I2', `${identity}: revision ${revision} overwrote revision ${newest}`);
    }
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
