/** Every limit of the front door, tripped over a real socket, and the counter that shows it. */

import { afterEach, describe, expect, it } from 'vitest';
import type { ConfigInput } from '../../src/config/schema.ts';
import { createEmbeddedSource, type IngestSource } from '../../src/ingest/source.ts';
import { harness, metric, testConfig } from '../support/ingest-harness.ts';
import { connectPacket, encode, publishPacket, RawClient } from '../support/raw-mqtt.ts';

type Limits = NonNullable<ConfigInput['ingest']>['limits'];

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(limits: Limits): Promise<{ source: IngestSource; port: number }> {
  const { context, committer, ingest } = harness(testConfig(undefined, { limits }), { keep: false });
  const source = createEmbeddedSource(ingest, context);
  await source.start();
  cleanups.push(() => source.stop());
  const timer = setInterval(() => source.onCommitted(committer.drain()), 10);
  cleanups.push(() => clearInterval(timer));
  return { source, port: Number(new URL(source.address).port) };
}

async function client(port: number, options: Parameters<typeof connectPacket>[0] = {}): Promise<RawClient> {
  const raw = await RawClient.connected(port, options);
  cleanups.push(() => raw.close());
  return raw;
}

const refused = (source: IngestSource, limit: string) =>
  metric(source.metrics(), 'millwright_ingest_refused_total', limit);
const json = (v: number) => JSON.stringify({ t: 1_764_000_000_000 + v, v });
const qos2 = (messageId: number, payload = json(messageId)) =>
  encode({ cmd: 'publish', topic: 'plant/m1/temp', payload, qos: 2, dup: false, retain: false, messageId });
const subscribe = (topics: string[], messageId = 1) =>
  encode({ cmd: 'subscribe', messageId, subscriptions: topics.map((topic) => ({ topic, qos: 1 as const })) });

describe('the front door limits', () => {
  it('connections from one address', async () => {
    const { source, port } = await start({ maxConnectionsPerAddress: 1 });
    await client(port);
    const second = new RawClient(port);
    await second.until(() => second.closed);
    expect(refused(source, 'connections_per_address')).toBe(1);
  });

  it.each([
    ['the length of client ids', { clientId: 'x'.repeat(40) }],
    ['their characters', { clientId: 'bell\u0007' }],
  ])('%s, with the return code for it', async (_what, options) => {
    const { source, port } = await start({ maxClientIdBytes: 32 });
    const raw = new RawClient(port);
    raw.send(connectPacket(options));
    await raw.until(() => raw.closed);
    expect([...raw.bytes]).toEqual([0x20, 2, 0, 2]);
    expect(refused(source, 'client_id')).toBe(1);
  });

  it('wills, by the bytes before CONNACK', async () => {
    const { source, port } = await start({ maxPreAuthBytes: 1024 });
    const raw = new RawClient(port);
    const will = { topic: 'plant/m1/state', payload: Buffer.alloc(2000), qos: 0 as const, retain: false };
    raw.send(connectPacket({ will }));
    await raw.until(() => raw.closed);
    expect(refused(source, 'pre_auth_bytes')).toBe(1);
  });

  it('the silence of clients that ask for no keep alive, or a very long one', async () => {
    const { source, port } = await start({ maxKeepAliveS: 10 });
    const raws = await Promise.all([0, 65_535].map((keepalive) => client(port, { keepalive })));
    await Promise.all(raws.map((raw) => raw.until(() => raw.closed, 20_000)));
    expect(refused(source, 'keep_alive')).toBe(2);
  });

  it('topic filters: per session, however they are spread over packets', async () => {
    const { source, port } = await start({ maxSubscriptionsPerConnection: 3 });
    const raw = await client(port);
    raw.send(subscribe(['a', 'b']), subscribe(['b', 'c', 'd'], 2));
    await raw.until(() => raw.packets.length === 3);
    const granted = raw.packets
      .slice(1)
      .map((packet) => (packet as unknown as { granted: number[] }).granted);
    expect(granted).toEqual([
      [1, 1],
      [1, 1, 128],
    ]);
    expect(metric(source.metrics(), 'millwright_ingest_subscriptions_refused_total')).toBe(1);
    raw.send(subscribe(['e', 'f', 'g', 'h'], 3));
    await raw.until(() => raw.closed);
    expect(refused(source, 'subscriptions')).toBe(1);
  });

  it('QoS 2 messages without PUBREL, over all connections of a session', async () => {
    const { source, port } = await start({ maxInflightQos2: 5 });
    const session = { clientId: 'forgetful', clean: false };
    const first = await client(port, session);
    first.send(...[1, 2, 3].map((id) => qos2(id)));
    await first.until(() => first.packets.filter(({ cmd }) => cmd === 'pubrec').length === 3);
    first.close();
    const second = await client(port, session);
    second.send(...[4, 5, 6].map((id) => qos2(id)));
    await second.until(() => second.closed);
    expect(refused(source, 'qos2_inflight')).toBe(1);
    const third = await client(port, session);
    third.send(...[1, 2, 3, 4, 5].map((messageId) => encode({ cmd: 'pubrel', messageId })));
    await third.until(() => third.packets.filter(({ cmd }) => cmd === 'pubcomp').length === 5);
    third.send(qos2(6));
    await third.until(() => third.packets.some(({ cmd }) => cmd === 'pubrec'));
  });

  it('retained messages, in number and bytes; the message itself is taken', async () => {
    const { source, port } = await start({ maxRetainedMessages: 2, maxRetainedBytes: 200 });
    const raw = await client(port);
    raw.send(
      publishPacket('plant/m1/a', json(1), 1, true),
      publishPacket('plant/m1/b', json(2), 2, true),
      publishPacket('plant/m1/c', json(3), 3, true),
      publishPacket('plant/m1/b', JSON.stringify({ t: 1, v: 4, note: 'x'.repeat(300) }), 4, true),
    );
    await raw.until(() => raw.acked.length === 4);
    expect(metric(source.metrics(), 'millwright_ingest_retained_refused_total')).toBe(2);
    expect(metric(source.metrics(), 'millwright_ingest_retained_messages')).toBe(2);
    raw.send(publishPacket('plant/m1/a', '', 5, true), publishPacket('plant/m1/c', json(6), 6, true));
    await raw.until(() => raw.acked.length === 6);
    expect(metric(source.metrics(), 'millwright_ingest_retained_messages')).toBe(2);
  });

  it('what is kept for subscribers that are away, in bytes', async () => {
    const { source, port } = await start({ maxQueuedBytes: 2000 });
    const away = await client(port, { clientId: 'away', clean: false });
    away.send(subscribe(['plant/#']));
    await away.until(() => away.packets.length === 2);
    away.close();
    const raw = await client(port);
    for (let id = 1; id <= 10; id += 1) raw.send(publishPacket('plant/m1/a', json(id), id));
    await raw.until(() => raw.acked.length === 10);
    expect(metric(source.metrics(), 'millwright_ingest_fan_out_dropped_total')).toBe(7);
    expect(metric(source.metrics(), 'millwright_ingest_queued_bytes')).toBeLessThanOrEqual(2000);
    const again = await client(port, { clientId: 'away', clean: false });
    const got = () =>
      again.packets.filter(({ cmd }) => cmd === 'publish') as unknown as { messageId: number }[];
    await again.until(() => got().length === 3);
    again.send(...got().map(({ messageId }) => encode({ cmd: 'puback', messageId })));
    await again.until(() => metric(source.metrics(), 'millwright_ingest_queued_bytes') === 0);
  });

  it('packets that never become complete, over all connections', async () => {
    const { source, port } = await start({ maxPartialBytes: 1_048_576 });
    const raws = await Promise.all([client(port), client(port)]);
    const most = publishPacket('plant/m1/a', 'x'.repeat(900_000), 1).subarray(0, 800_000);
    for (const raw of raws) raw.send(most);
    await raws[0]!.until(() => raws.some(({ closed }) => closed));
    expect(refused(source, 'partial_bytes')).toBe(1);
    expect(metric(source.metrics(), 'millwright_ingest_partial_bytes')).toBeGreaterThan(0);
    for (const raw of raws) raw.close();
    await raws[0]!.until(() => metric(source.metrics(), 'millwright_ingest_partial_bytes') === 0);
  });

  it('the rate of a connection and of dead letters: both are read more slowly, nothing is lost', async () => {
    const { source, port } = await start({
      maxMessagesPerSecondPerConnection: 200,
      maxDeadLettersPerSecond: 100,
    });
    const raw = await client(port);
    raw.send(...Array.from({ length: 200 }, (_, i) => publishPacket('plant/m1/a', json(i), i + 1)));
    await raw.until(() => raw.acked.length === 200, 10_000);
    expect(metric(source.metrics(), 'millwright_ingest_pauses_total', 'rate')).toBeGreaterThan(0);
    const bad = await client(port);
    const began = performance.now();
    bad.send(...Array.from({ length: 150 }, (_, i) => publishPacket('plant/m1/a', '{', i + 1)));
    await bad.until(() => bad.acked.length === 150, 10_000);
    // 25 may be saved up.
    expect(performance.now() - began).toBeGreaterThan(1000);
    expect(metric(source.metrics(), 'millwright_ingest_messages_total', 'dead_letter')).toBe(150);
  });
});
