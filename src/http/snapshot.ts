/** The gateway's status -> JSON bodies with an entity tag, rendered at most a few times a second for all readers. */

import { createHash } from 'node:crypto';
import type { FeatureRow, GatewayStatus, MachineStatus } from '../domain/gateway-status.ts';

/** The pipeline posts a snapshot every second; rendering one more often than this tells nobody anything new. */
const FRESH_MS = 250;

/** Different bodies kept at a time: a few pages and scripts; beyond, the oldest is rendered again. */
const MAX_BODIES = 16;
/** Characters of all bodies kept; 10,000 machines with every feature are larger, and are rendered for each reader. */
const MAX_KEPT_LENGTH = 16_777_216;

export interface JsonBody {
  readonly body: string;
  /** Strong while the content is the same; the time of the snapshot itself does not count as content. */
  readonly etag: string;
  /** Time of the snapshot, ms since the epoch. */
  readonly atMs: number;
}

/** Renders views of the latest snapshot and remembers them for a moment. */
export class SnapshotBodies {
  readonly #status: () => GatewayStatus;
  readonly #monotonicMs: () => number;
  readonly #bodies = new Map<string, { readonly rendered: JsonBody; readonly untilMs: number }>();

  constructor(status: () => GatewayStatus, monotonicMs: () => number) {
    this.#status = status;
    this.#monotonicMs = monotonicMs;
  }

  /**
   * @param key names the view; equal keys must mean equal views
   * @param view what of the status to show; `atMs` and `uptimeS` are added and kept out of the tag
   */
  body(key: string, view: (status: GatewayStatus) => object): JsonBody {
    const now = this.#monotonicMs();
    const known = this.#bodies.get(key);
    if (known !== undefined && now < known.untilMs) return known.rendered;
    const status = this.#status();
    const rendered = renderBody(status, view(status));
    this.#bodies.delete(key);
    this.#bodies.set(key, { rendered, untilMs: now + FRESH_MS });
    while (this.#bodies.size > MAX_BODIES || this.#keptLength() > MAX_KEPT_LENGTH)
      this.#bodies.delete(this.#bodies.keys().next().value!);
    return rendered;
  }

  #keptLength(): number {
    let length = 0;
    for (const { rendered } of this.#bodies.values()) length += rendered.body.length;
    return length;
  }

  /** The snapshot itself, for questions whose answer is not worth keeping. */
  get status(): GatewayStatus {
    return this.#status();
  }
}

/** One body from one snapshot. */
export function renderBody(status: GatewayStatus, view: object): JsonBody {
  const { atMs: _atMs, uptimeS: _uptimeS, ...content } = view as Partial<GatewayStatus>;
  const text = JSON.stringify(content);
  const clock = `{"atMs":${status.atMs},"uptimeS":${status.uptimeS}`;
  return {
    body: text === '{}' ? `${clock}}` : `${clock},${text.slice(1)}`,
    etag: `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`,
    atMs: status.atMs,
  };
}

/** What a person asks of a channel first, best first; the rest of the id may follow (`velocity_rms.10_1000`). */
const HEADLINES = ['velocity_rms', 'rms', 'mean', 'last'];

/**
 * The machine with at most `limit` feature rows: those that explain a warning or an alarm, then one headline per
 * channel, then the others in their own order. While the machine is healthy its contributions mean nothing and
 * would only make the rows jump.
 */
export function withFeatureLimit(machine: MachineStatus, limit: number): MachineStatus {
  if (machine.features.length <= limit) return machine;
  const isTroubled = machine.state === 'alarm' || machine.state === 'warning';
  const explaining = new Set(isTroubled ? machine.anomaly?.contributions.map((c) => c.featureId) : []);
  const headlines = headlineIds(machine.features);
  const rank = ({ id }: FeatureRow): number => (explaining.has(id) ? 0 : headlines.has(id) ? 1 : 2);
  // The sort is stable: within a rank the rows keep their order.
  const rows = [...machine.features].sort((a, b) => rank(a) - rank(b)).slice(0, limit);
  return { ...machine, features: rows };
}

/** The first id of each channel in the order of HEADLINES. */
function headlineIds(rows: readonly FeatureRow[]): Set<string> {
  const best = new Map<string, { readonly id: string; readonly rank: number }>();
  for (const { id } of rows) {
    const rank = HEADLINES.findIndex((name) => id.endsWith(`.${name}`) || id.includes(`.${name}.`));
    if (rank === -1) continue;
    const channel = id.slice(0, id.lastIndexOf(`.${HEADLINES[rank]}`));
    const known = best.get(channel);
    if (known === undefined || rank < known.rank) best.set(channel, { id, rank });
  }
  return new Set([...best.values()].map(({ id }) => id));
}
