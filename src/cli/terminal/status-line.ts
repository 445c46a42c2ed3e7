/** A status snapshot enters, one line for a terminal leaves. */

import type { GatewayStatus, MachineStatus } from '../../domain/gateway-status.ts';
import type { MachineState } from '../../domain/health.ts';

const COLOURS: Record<MachineState, string> = {
  unknown: '\x1b[2m',
  commissioning: '\x1b[36m',
  healthy: '\x1b[32m',
  warning: '\x1b[33m',
  alarm: '\x1b[31;1m',
};
const RESET = '\x1b[0m';

/** Remembers the last counts, so that it can say rates. */
export class StatusLine {
  readonly #colour: boolean;
  #lastAcks = 0;
  #lastAtMs = 0;

  constructor(colour: boolean) {
    this.#colour = colour;
  }

  render(status: GatewayStatus, nowMs: number): string {
    const acks = status.ingest.acknowledgedMessages;
    const seconds = (nowMs - this.#lastAtMs) / 1000;
    const perSecond = this.#lastAtMs === 0 ? 0 : Math.max(0, Math.round((acks - this.#lastAcks) / seconds));
    this.#lastAcks = acks;
    this.#lastAtMs = nowMs;
    const backlog = status.sinks.reduce((sum, sink) => sum + sink.backlogPoints, 0);
    const parts = [
      new Date(nowMs).toTimeString().slice(0, 8),
      ...status.machines.map((machine) => this.#machine(machine)),
      `${perSecond} acks/s`,
      ...(status.sinks.length > 0 ? [`backlog ${backlog}`] : []),
    ];
    return parts.join('  ');
  }

  #machine(machine: MachineStatus): string {
    const word = this.#colour ? `${COLOURS[machine.state]}${machine.state}${RESET}` : machine.state;
    return `${machine.machine} ${word}${detail(machine)}`;
  }
}

/** What a person wants beside the state: progress, score against its limit, the feature that stands out. */
function detail(machine: MachineStatus): string {
  if (machine.state === 'commissioning') return ` ${Math.floor(machine.baselineProgress * 100)}%`;
  const { anomaly } = machine;
  if (anomaly === null) return machine.reason === '' ? '' : ` (${machine.reason})`;
  const limit = anomaly.surpriseLimit === null ? '' : `/${anomaly.surpriseLimit.toFixed(1)}`;
  const top = anomaly.contributions[0];
  const why = machine.state === 'healthy' || top === undefined ? '' : ` ${top.featureId}`;
  return ` ${anomaly.surprise.toFixed(1)}${limit}${why}`;
}
