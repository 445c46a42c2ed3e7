/**
 * What the database must hold, from what the sensors know alone: which samples each window has, decoded from its sum,
 * against those that were acknowledged. Shares no code with the gateway.
 */

import type { Ledger } from '../../../src/domain/ledger.ts';
import type { StoredPoint } from './database.ts';
import type { Plan } from './plan.ts';
import type { Referee } from './referee.ts';
import type { Sample, Sensor } from './sensor.ts';
import { VALUES } from './sensor.ts';

export interface Evidence {
  readonly plan: Plan;
  readonly sensors: readonly Sensor[];
  readonly points: ReadonlyMap<string, StoredPoint>;
  /** Identities the database refuses. */
  readonly refused: ReadonlySet<string>;
  /** Texts of the dead letters, by topic. */
  readonly letters: ReadonlyMap<string, ReadonlySet<string>>;
  readonly ledger: Ledger;
  /** Late samples whose count was in memory at a crash. */
  readonly forgottenLate: number;
}

export interface Verdict {
  readonly windows: number;
  readonly samples: number;
  readonly acknowledged: number;
  readonly late: number;
}

interface ChannelWindow {
  /** Numbers of the samples in it. */
  readonly members: Set<number>;
}

/** Compares. Objections go to the referee. */
export function judge(evidence: Evidence, referee: Referee): Verdict {
  const { plan, sensors } = evidence;
  const windows = decodedWindows(evidence, referee);
  let acknowledged = 0;
  const missingHasty = new Set<string>();
  const acknowledgedSamples = new Set<string>();
  const seen = new Map<string, Set<number>>();
  for (const sensor of sensors) {
    for (const { topic, sample, acknowledged: isAcknowledged, payload } of sensor.messages) {
      if (!isAcknowledged) continue;
      acknowledged += 1;
      const text = payload.toString();
      const isLetter = evidence.letters.get(topic)?.has(text) === true;
      if (sample === null) {
        if (!isLetter) referee.object('I1', `${topic}: acknowledged, malformed and not kept: ${text}`);
        continue;
      }
      if (isLetter) continue;
      acknowledgedSamples.add(`${topic} ${sample.n}`);
      const starts = windowsOf(plan, sample);
      const missing = starts.filter((startMs) => !isThere(evidence, windows, sample, startMs));
      if (sample.channel.machineClass === 'steady') {
        if (missing.length === 0) continue;
        const at = missing.map((startMs) => new Date(startMs).toISOString()).join();
        referee.object(
          'I1',
          `${topic}: sample ${sample.n} was acknowledged and is not in the windows of ${at}`,
        );
      } else if (missing.length === starts.length) missingHasty.add(`${topic} ${sample.n}`);
    }
  }
  const { samples } = evidence.ledger;
  if (missingHasty.size > samples.late + evidence.forgottenLate)
    referee.object(
      'I1',
      `${missingHasty.size} acknowledged samples are missing, ${samples.late} were counted as late`,
    );
  for (const [key, { members }] of windows) {
    const topic = key.slice(0, key.lastIndexOf(' '));
    const known = seen.get(topic);
    if (known === undefined) seen.set(topic, new Set(members));
    else for (const n of members) known.add(n);
  }
  let distinct = 0;
  let unacknowledged = 0;
  for (const [topic, numbers] of seen) {
    distinct += numbers.size;
    for (const n of numbers) if (!acknowledgedSamples.has(`${topic} ${n}`)) unacknowledged += 1;
  }
  // While a disk refuses records, windows go ahead of them: after a crash the database may hold samples of QoS 0 that
  // no journal and so no account has.
  const ahead = distinct - samples.windowed;
  const allowed = plan.faults.some(({ fault }) => fault.kind === 'refusal') ? unacknowledged : 0;
  if (evidence.refused.size === 0 && (ahead < 0 || ahead > allowed))
    referee.object(
      'I4',
      `${samples.windowed} samples were booked as windowed, the database holds ${distinct}, ${unacknowledged} of them unacknowledged`,
    );
  return { windows: windows.size, samples: distinct, acknowledged, late: samples.late };
}

/** Starts of the windows that hold the time of a sample. */
function windowsOf(plan: Plan, { channel, timeMs }: Sample): number[] {
  const { sizeMs, hopMs = sizeMs } = plan.config.machineClasses[channel.machineClass]!.window;
  const starts: number[] = [];
  for (let startMs = Math.floor(timeMs / hopMs) * hopMs; startMs + sizeMs > timeMs; startMs -= hopMs)
    starts.push(startMs);
  return starts;
}

function isThere(
  { refused }: Evidence,
  windows: ReadonlyMap<string, ChannelWindow>,
  { channel, n }: Sample,
  startMs: number,
): boolean {
  if (refused.has(`${seriesOf(channel)} ${startMs}`)) return true;
  return windows.get(`${channel.topic} ${startMs}`)?.members.has(n) === true;
}

function seriesOf({ machineClass, machine, channel }: Sample['channel']): string {
  return `machine_features,channel=${channel},machine=${machine},machine_class=${machineClass}`;
}

/** Every feature point as the set of samples it was made of. */
function decodedWindows({ plan, sensors, points }: Evidence, referee: Referee): Map<string, ChannelWindow> {
  const sent = new Map<string, Sample[]>();
  for (const sensor of sensors) {
    for (const sample of sensor.samples) {
      for (const startMs of windowsOf(plan, sample)) {
        const identity = `${seriesOf(sample.channel)} ${startMs}`;
        const known = sent.get(identity);
        if (known === undefined) sent.set(identity, [sample]);
        else known.push(sample);
      }
    }
  }
  const windows = new Map<string, ChannelWindow>();
  for (const [identity, { fields }] of points) {
    if (!identity.startsWith('machine_features')) continue;
    const candidates = sent.get(identity);
    if (candidates === undefined) {
      referee.object('I2', `nobody measured ${identity}`);
      continue;
    }
    const { topic } = candidates[0]!.channel;
    const startMs = identity.slice(identity.lastIndexOf(' ') + 1);
    windows.set(`${topic} ${startMs}`, { members: membersOf(identity, fields, candidates, referee) });
  }
  return windows;
}

function membersOf(
  identity: string,
  fields: string,
  candidates: readonly Sample[],
  referee: Referee,
): Set<number> {
  const of = (name: string) => Number(new RegExp(`(?:^|,)${name}=([^,]+)`).exec(fields)?.[1] ?? Number.NaN);
  const count = of('count');
  const sum = Math.round(of('mean') * count);
  const members = candidates.filter(({ n }) => Math.floor(sum / 2 ** (n % VALUES)) % 2 === 1);
  const values = members.map(({ value }) => value);
  const newest = members.reduce((a, b) => (b.timeMs > a.timeMs ? b : a), members[0]!);
  const isSound =
    members.length === count &&
    values.reduce((a, b) => a + b, 0) === sum &&
    of('min') === Math.min(...values) &&
    of('max') === Math.max(...values) &&
    of('last') === newest.value;
  if (!isSound) referee.object('I2', `${identity}: no set of samples gives ${fields}`);
  return new Set(members.map(({ n }) => n));
}
