import { describe, expect, it } from 'vitest';
import type { Logger } from '../../src/telemetry/logger.ts';
import { client, json, pause, start } from '../support/embedded-source.ts';
import { metric } from '../support/ingest-harness.ts';
import { encode, publishPacket, type RawClient } from '../support/raw-mqtt.ts';

const SMALL = { limits: { maxPacketBytes: 1024, maxTopicLevels: 4 } };
const BIG = 'x'.repeat(200_000);
const DEEP_TOPIC = 'a/b/c/d/e';
const LONG_TOPIC = `plant/m1/${'x'.repeat(600)}`;

function publishQos2(topic: string, payload: string, messageId: number): Buffer {
  return encode({ cmd: 'publish', topic, payload, qos: 2, retain: false, dup: false, messageId });
}

function ids(raw: RawClient, cmd: string): number[] {
  return raw.packets.filter((packet) => packet.cmd === cmd).map(({ messageId }) => messageId!);
}

describe('a message that cannot be decoded at all', () => {
  it.each([
    [
      'a packet over maxPacketBytes',
      'plant/m1/temp',
      BIG,
      {
        reason: 'oversize',
        source: 'plant/m1/temp',
        detail: expect.stringMatching(/maxPacketBytes is 1024/),
      },
    ],
    [
      'a topic over maxTopicBytes',
      LONG_TOPIC,
      '7',
      {
        reason: 'oversize',
        source: LONG_TOPIC.slice(0, 512),
        detail: expect.stringMatching(/maxTopicBytes/),
      },
    ],
    [
      'a topic over maxTopicLevels',
      DEEP_TOPIC,
      '7',
      { reason: 'unknown_topic', source: DEEP_TOPIC, detail: expect.stringMatching(/maxTopicLevels/) },
    ],
    [
      'a topic of no machine class',
      'plnat/m1/temp',
      '7',
      { reason: 'unknown_topic', source: 'plnat/m1/temp', detail: expect.stringMatching(/no machine class/) },
    ],
  ])(
    '%s is kept, acknowledged in turn after the commit, and blocks nothing',
    async (_what, topic, payload, letter) => {
      const { port, commit, committer, source } = await start({ ingest: SMALL });
      const raw = await client(port);
      raw.send(
        publishPacket('plant/m1/temp', json(1), 1),
        publishPacket(topic, payload, 2),
        publishPacket('plant/m1/temp', json(3), 3),
      );
      await raw.until(() => metric(source.metrics(), 'millwright_ingest_messages_total', 'accepted') === 2);
      await pause(50);
      expect(raw.acked).toEqual([]);
      commit();
      await raw.until(() => raw.acked.length === 3);
      expect(committer.seen.deadLetters).toMatchObject([letter]);
      expect(Buffer.from(committer.seen.deadLetters[0]!.payload).toString()).toBe(payload.slice(0, 131_072));
      expect(committer.seen.deadLetters[0]!.originalBytes).toBe(payload === BIG ? BIG.length : undefined);
      expect(committer.seen.scalars.map(({ value }) => value)).toEqual([1, 3]);
      expect(metric(source.metrics(), 'millwright_ingest_dead_letters_total', letter.reason)).toBe(1);
      expect(raw.closed).toBe(false);
    },
  );

  it.each([
    ['a packet over maxPacketBytes', 'plant/m1/temp', BIG],
    ['a topic over maxTopicBytes', LONG_TOPIC, '7'],
    ['a topic over maxTopicLevels', DEEP_TOPIC, '7'],
  ])('%s of QoS 2 goes through its four packets', async (_what, topic, payload) => {
    const { port, commit, committer, source } = await start({ ingest: SMALL });
    const raw = await client(port);
    const keptSoFar = () => metric(source.metrics(), 'millwright_ingest_messages_total', 'dead_letter');
    raw.send(publishQos2(topic, payload, 5));
    await raw.until(() => keptSoFar() === 1);
    expect(ids(raw, 'pubrec')).toEqual([]);
    commit();
    await raw.until(() => ids(raw, 'pubrec').length === 1);
    // The sender did not get the PUBREC: no second letter.
    raw.send(publishQos2(topic, payload, 5));
    await raw.until(() => ids(raw, 'pubrec').length === 2);
    raw.send(encode({ cmd: 'pubrel', messageId: 5 }));
    await raw.until(() => ids(raw, 'pubcomp').length === 1);
    expect(committer.drain()).toBeGreaterThan(0);
    expect(committer.seen.deadLetters).toHaveLength(1);
    // An ordinary message of QoS 2 still goes through aedes, under the same packet id.
    raw.send(publishQos2('plant/m1/temp', json(1), 5));
    await raw.until(() => metric(source.metrics(), 'millwright_ingest_messages_total', 'accepted') === 1);
    commit();
    await raw.until(() => ids(raw, 'pubrec').length === 3);
    raw.send(encode({ cmd: 'pubrel', messageId: 5 }));
    await raw.until(() => ids(raw, 'pubcomp').length === 2);
  });

  it('is dropped and counted at QoS 0 only while the ring is nearly full', async () => {
    const { port, committer, source } = await start({
      ingest: { ...SMALL, ringBytes: 65_536, deadLetterPayloadBytes: 16_384 },
    });
    const raw = await client(port);
    raw.send(...Array.from({ length: 8 }, () => publishPacket('plant/m1/temp', BIG, 0)));
    await raw.until(() => metric(source.metrics(), 'millwright_ingest_messages_total', 'shed') > 0);
    await raw.until(
      () =>
        metric(source.metrics(), 'millwright_ingest_messages_total', 'shed') +
          metric(source.metrics(), 'millwright_ingest_messages_total', 'dead_letter') ===
        8,
    );
    committer.drain();
    expect(committer.seen.deadLetters.length).toBe(
      metric(source.metrics(), 'millwright_ingest_messages_total', 'dead_letter'),
    );
  });

  it('waits for room in the ring, and is kept once there is some', async () => {
    const { port, committer, source, commit } = await start({
      ingest: { ...SMALL, ringBytes: 65_536, deadLetterPayloadBytes: 16_384 },
    });
    const raw = await client(port);
    const packets = Array.from({ length: 12 }, (_, i) => publishPacket('plant/m1/temp', BIG, i + 1));
    raw.send(...packets, publishPacket('plant/m1/temp', json(1), 13));
    for (let round = 0; raw.acked.length < 13 && round < 200; round++) {
      await pause(10);
      commit();
    }
    expect(raw.acked).toEqual(Array.from({ length: 13 }, (_, i) => i + 1));
    expect(committer.seen.deadLetters).toHaveLength(12);
    expect(metric(source.metrics(), 'millwright_ingest_pauses_total')).toBeGreaterThan(0);
  });

  it('is not taken from a sender that may not publish there', async () => {
    const user = { username: 'm1', password: 'pw', publish: ['plant/m1/#'], subscribe: [] };
    const { port, committer, source } = await start({
      ingest: { ...SMALL, embedded: { allowAnonymous: false, users: [user] } },
    });
    const raw = await client(port, { username: 'm1', password: Buffer.from('pw') });
    raw.send(publishPacket('plant/m2/temp', BIG, 1));
    await raw.until(() => raw.closed);
    committer.drain();
    expect(committer.seen.deadLetters).toEqual([]);
    expect(metric(source.metrics(), 'millwright_ingest_messages_total', 'denied')).toBe(1);
  });

  it('on a topic of no class is only passed on where a subscriber takes it, and only counted where so configured', async () => {
    const { port, committer } = await start({ commitEveryMs: 10 });
    const subscriber = await client(port);
    subscriber.send(
      encode({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'other/#', qos: 0 }] }),
    );
    await subscriber.until(() => ids(subscriber, 'suback').length === 1);
    const raw = await client(port);
    raw.send(publishPacket('other/thing', '1', 1));
    await raw.until(() => raw.acked.length === 1);
    await subscriber.until(() => subscriber.packets.some(({ cmd }) => cmd === 'publish'));
    expect(committer.seen.deadLetters).toEqual([]);

    const quiet = await start({ commitEveryMs: 10, ingest: { embedded: { unknownTopics: 'count' } } });
    const second = await client(quiet.port);
    second.send(publishPacket('other/thing', '1', 1));
    await second.until(() => second.acked.length === 1);
    expect(quiet.committer.seen.deadLetters).toEqual([]);
    expect(metric(quiet.source.metrics(), 'millwright_ingest_messages_total', 'unrouted')).toBe(1);
  });

  it('tells the log what was too large, and the key that allows more', async () => {
    const lines: unknown[] = [];
    const ignore = () => undefined;
    const logger = { info: ignore, error: ignore, debug: ignore, warn: (line: unknown) => lines.push(line) };
    const { port } = await start({ ingest: SMALL, commitEveryMs: 10, logger: logger as unknown as Logger });
    const raw = await client(port);
    raw.send(publishPacket('plant/m1/temp', 'x'.repeat(2000), 1));
    await raw.until(() => raw.acked.length === 1);
    const detail = 'packet of 2020 bytes; ingest.limits.maxPacketBytes is 1024';
    expect(lines).toContainEqual(expect.objectContaining({ detail, topic: 'plant/m1/temp' }));
  });
});
