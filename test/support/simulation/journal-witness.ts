/** Reads what each commit writes to the journal, and compares the order of every topic with the order of arrival. */

import type { ChannelRef } from '../../../src/domain/machine.ts';
import { RecordKind, SCALAR_BYTES } from '../../../src/domain/record.ts';
import type { CommitUnit } from '../../../src/store/commit-unit.ts';
import type { Referee } from './referee.ts';

export class JournalWitness {
  readonly #referee: Referee;
  readonly #topics = new Map<number, string>();
  /** Sequence numbers by topic, as they went into the ring, those before the newest in the journal left out. */
  readonly #arrived = new Map<string, number[]>();

  constructor(referee: Referee) {
    this.#referee = referee;
  }

  knows(channels: readonly ChannelRef[]): void {
    for (const { index, machine, channel } of channels)
      this.#topics.set(index, `plant/${machine}/${channel}`);
  }

  accepted(topic: string, n: number): void {
    const arrived = this.#arrived.get(topic);
    if (arrived === undefined) this.#arrived.set(topic, [n]);
    else arrived.push(n);
  }

  committed({ channels, journal }: CommitUnit): void {
    this.knows(channels);
    if (journal === null) return;
    const view = new DataView(journal.buffer, journal.byteOffset, journal.length);
    for (let at = 0; at < journal.length; at += view.getUint32(at, true)) {
      if (view.getUint8(at + 4) !== RecordKind.SCALAR || view.getUint32(at, true) !== SCALAR_BYTES) continue;
      this.#follows(this.#topics.get(view.getUint32(at + 8, true)) ?? '', view.getUint32(at + 12, true));
    }
  }

  #follows(topic: string, n: number): void {
    const arrived = this.#arrived.get(topic) ?? [];
    // Late ones are passed over: they are not journaled.
    const at = arrived.indexOf(n);
    if (at < 0) this.#referee.object('I3', `${topic}: sample ${n} stands in the journal out of order`);
    else arrived.splice(0, at + 1);
  }
}
