/** The gateway's status -> JSON bodies with an entity tag, rendered at most a few times a second for all readers. */

import { createHash } from 'node:crypto';
import type { FeatureRow, GatewayStatus, MachineStatus } from './status.ts';

/** The pipeline posts a snapshot every second; rendering one more often than this tells nobody anything new. */
const FRESH_MS = 250;

/** Different bodies kept at a time: a few pages and scripts; beyond, the oldest is rendered again. */
const MAX_BODIES = 16;

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
    if (this.#bodies.size > MAX_BODIES) this.#bodies.delete(this.#bodies.keys().next().value!);
    return rendered;
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

/** The machine with at most `limit` feature rows: those that explain its score first, then in their own order. */
export function withFeatureLimit(machine: MachineStatus, limit: number): MachineStatus {
  if (machine.features.length <= limit) return machine;
  const explaining = new Set(machine.anomaly?.contributions.map((contribution) => contribution.featureId));
  const first: FeatureRow[] = [];
  const rest: FeatureRow[] = [];
  for (const row of machine.features) (explaining.has(row.id) ? first : rest).push(row);
  return { ...machine, features: [...first, ...rest].slice(0, limit) };
}
