import fc from 'fast-check';
import mqtt from 'mqtt';
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { createEmbeddedSource } from '../../src/ingest/source.ts';
import type { Logger } from '../../src/telemetry/logger.ts';
import { cleanups, client, json, pause, start } from '../support/embedded-source.ts';
import { harness, metric, testConfig } from '../support/ingest-harness.ts';
import { connectPacket, encode, publishPacket, RawClient } from '../support/raw-mqtt.ts';

describe('acknowledgement', () => {
  it('comes after the commit that holds the message, and not before', async () => {
    const { source, port, commit, committer } = await start();
    const raw = await client(port);
    raw.send(publishPacket('plant/m1/temp', json(1), 1), publishPacket('plant/m1/temp', json(2), 2));
    await pause(100);
    expect(raw.acked).toEqual([]);
    expect(source.pendingAcks).toBe(2);
    commit();
    await raw.until(() => raw.acked.length === 2);
    expect(raw.acked).toEqual([1, 2]);
    expect(committer.seen.scalars.map(({ value }) => value)).toEqual([1, 2]);
    expect(source.acknowledgedMessages).toBe(2);
    expect(source.ackLatencyP99Ms).toBeGreaterThan(50);
  });

  it('does not cover what arrived after the commit began', async () => {
    const { source, port, committer } = await start();
    const raw = await client(port);
    raw.send(publishPacket('plant/m1/temp', json(1), 1));
    await raw.until(() => source.pendingAcks === 1);
    const position = committer.drain();
    raw.send(publishPacket('plant/m1/temp', json(2), 2));
    await raw.until(() => source.pendingAcks === 2);
    source.onCommitted(position);
    await raw.until(() => raw.acked.length === 1);
    await pause(50);
    expect(raw.acked).toEqual([1]);
  });

  it('is also given for a message that is only good for the dead letters', async () => {
    const { port, commit, committer } = await start();
    const raw = await client(port);
    raw.send(publishPacket('plant/m1/temp', 'rubbish', 9));
    await pause(50);
    expect(raw.acked).toEqual([]);
    commit();
    await raw.until(() => raw.acked.length === 1);
    expect(committer.seen.deadLetters).toMatchObject([{ reason: 'malformed_json' }]);
  });

  it('is given at once for durability: memory, in the order of the messages', async () => {
    const { port, commit } = await start({
      machineClasses: {
        machines: {
          topics: ['plant/{machine}/{channel}'],
          channels: { bulk: { durability: 'memory' }, '*': {} },
        },
      },
    });
    const raw = await client(port);
    raw.send(publishPacket('plant/m1/bulk', json(1), 1));
    await raw.until(() => raw.acked.length === 1);
    raw.send(publishPacket('plant/m1/temp', json(2), 2), publishPacket('plant/m1/bulk', json(3), 3));
    await pause(50);
    expect(raw.acked).toEqual([1]);
    commit();
    await raw.until(() => raw.acked.length === 3);
    expect(raw.acked).toEqual([1, 2, 3]);
  });

  it('of QoS 2 (PUBREC) waits for the commit, too, and so does the record of a will', async () => {
    const { port, commit, committer } = await start();
    const will = { topic: 'plant/m1/state', payload: Buffer.from(json(0)), qos: 0 as const, retain: false };
    const raw = await client(port, { will });
    raw.send(
      encode({
        cmd: 'publish',
        topic: 'plant/m1/temp',
        payload: json(5),
        qos: 2,
        dup: false,
        retain: false,
        messageId: 7,
      }),
    );
    await pause(100);
    expect(raw.packets.map(({ cmd }) => cmd)).toEqual(['connack']);
    commit();
    await raw.until(() => raw.packets.some(({ cmd }) => cmd === 'pubrec'));
    raw.send(encode({ cmd: 'pubrel', messageId: 7 }));
    await raw.until(() => raw.packets.some(({ cmd }) => cmd === 'pubcomp'));
    raw.close();
    await pause(100);
    commit();
    expect(committer.seen.scalars.map(({ value }) => value)).toEqual([5, 0]);
  });

  it('reaches everyone before the source has stopped', async () => {
    const { source, port } = await start({ commitEveryMs: 50 });
    const raw = await client(port);
    raw.send(...Array.from({ length: 100 }, (_, i) => publishPacket('plant/m1/temp', json(i), i + 1)));
    await raw.until(() => source.pendingAcks > 0);
    await source.stop();
    await raw.until(() => raw.closed);
    expect(raw.acked.length).toBe(100);
  });
});

describe('a client with an in-flight allowance', () => {
  it('of 20 gets more than 1000 acknowledgements a second with a 50 ms commit window and a 5 ms disk', async () => {
    const { source, port } = await start({ commitEveryMs: 50, commitTakesMs: 5, keep: false });
    const raw = await client(port);
    let sent = 0;
    const top = () => {
      while (sent - raw.acked.length < 20)
        raw.send(publishPacket('plant/m1/temp', json(sent), (sent++ % 65_000) + 1));
    };
    const until = performance.now() + 2000;
    while (performance.now() < until) {
      top();
      const before = raw.acked.length;
      await raw.until(() => raw.acked.length > before);
    }
    expect(raw.acked.length).toBeGreaterThan(2000);
    expect(metric(source.metrics(), 'millwright_ingest_forced_commits_total')).toBeGreaterThan(50);
  });

  it('does not make paced senders force commits', async () => {
    const { source, port, committer } = await start({ commitEveryMs: 50, keep: false });
    const clients = await Promise.all(Array.from({ length: 20 }, () => client(port)));
    let id = 0;
    for (const until = performance.now() + 2000; performance.now() < until; ) {
      for (const raw of clients) raw.send(publishPacket('plant/m1/temp', json(1), (id++ % 65_000) + 1));
      await pause(2);
    }
    expect(metric(source.metrics(), 'millwright_ingest_forced_commits_total')).toBeLessThan(
      committer.commits / 4,
    );
  });
});

describe('bounds', () => {
  it('stop reading while the ring is full, and lose nothing', async () => {
    const { source, port, commit, committer } = await start({
      ingest: { ringBytes: 65_536, deadLetterPayloadBytes: 16_384, limits: { maxPacketBytes: 32_768 } },
    });
    const raw = await client(port);
    const count = 10_000;
    raw.send(
      ...Array.from({ length: count }, (_, i) => publishPacket('plant/m1/temp', json(i), (i % 60_000) + 1)),
    );
    await pause(200);
    expect(source.pendingAcks).toBeLessThan(2100);
    while (raw.acked.length < count) {
      commit();
      await pause(5);
    }
    expect(committer.seen.scalars.map(({ value }) => value)).toEqual(
      Array.from({ length: count }, (_, i) => i),
    );
    expect(metric(source.metrics(), 'millwright_ingest_pauses_total')).toBeGreaterThan(0);
  });

  it('stop reading at the cap of unacknowledged messages', async () => {
    const { source, port, commit } = await start({ ingest: { limits: { maxUnackedPerConnection: 50 } } });
    const raw = await client(port);
    raw.send(...Array.from({ length: 120 }, (_, i) => publishPacket('plant/m1/temp', json(i), i + 1)));
    await pause(100);
    expect(source.pendingAcks).toBe(50);
    commit();
    await raw.until(() => source.pendingAcks === 50 && raw.acked.length === 50);
    commit();
    await raw.until(() => raw.acked.length === 100);
    commit();
    await raw.until(() => raw.acked.length === 120);
  });

  it('pace a connection that is too fast', async () => {
    const { source, port, committer } = await start({
      commitEveryMs: 10,
      ingest: { limits: { maxMessagesPerSecondPerConnection: 100 } },
    });
    const raw = await client(port);
    raw.send(...Array.from({ length: 400 }, (_, i) => publishPacket('plant/m1/temp', json(i), i + 1)));
    await pause(1000);
    expect(committer.seen.scalars.length).toBeGreaterThan(60);
    expect(committer.seen.scalars.length).toBeLessThan(160);
    expect(source.connections).toBe(1);
  });

  it.each([
    ['a first packet that is no CONNECT', Buffer.from([0xc0, 0]), 'protocol'],
    ['a CONNECT of 200 MB', Buffer.from([0x10, 0x80, 0x80, 0x80, 0x64]), 'pre_auth_bytes'],
    ['a CONNECT of another protocol', Buffer.from([0x10, 6, 0, 4, 0x48, 0x54, 0x54, 0x50]), 'protocol'],
  ])('end a connection for %s', async (_what, bytes, limit) => {
    const { source, port } = await start();
    const raw = new RawClient(port);
    raw.send(bytes);
    await raw.until(() => raw.closed);
    expect(metric(source.metrics(), 'millwright_ingest_refused_total', limit)).toBe(1);
    expect(source.connections).toBe(0);
  });

  it.each([
    ['a SUBSCRIBE larger than the limit', Buffer.from([0x82, 0x80, 0x80, 0x80, 0x01]), 'packet_bytes'],
    ['a PUBLISH of QoS 3', Buffer.from([0x36, 3, 0, 1, 0x61]), 'protocol'],
    ['a PUBLISH of QoS 1 with packet id 0', Buffer.from([0x32, 5, 0, 1, 0x61, 0, 0]), 'protocol'],
  ])('end a connection for %s', async (_what, bytes, limit) => {
    const { source, port } = await start();
    const raw = await client(port);
    raw.send(bytes);
    await raw.until(() => raw.closed);
    expect(metric(source.metrics(), 'millwright_ingest_refused_total', limit)).toBe(1);
  });

  it('turn away connections beyond the numbers of the configuration', async () => {
    const { source, port } = await start({
      ingest: { limits: { maxConnections: 3, maxConnectionsPerAddress: 3, maxPreAuthConnections: 1 } },
    });
    const silent = new RawClient(port);
    await silent.until(() => source.connections === 1);
    const second = new RawClient(port);
    await second.until(() => second.closed);
    expect(metric(source.metrics(), 'millwright_ingest_refused_total', 'pre_auth_connections')).toBe(1);
    silent.send(connectPacket());
    await silent.until(() => silent.packets.length === 1);
    await client(port);
    await client(port);
    const fourth = new RawClient(port);
    await fourth.until(() => fourth.closed);
    expect(metric(source.metrics(), 'millwright_ingest_refused_total', 'connections')).toBe(1);
    silent.close();
    await silent.until(() => source.connections === 2);
    await client(port);
  });

  it('end a socket that never sends CONNECT', async () => {
    const { source, port } = await start({ ingest: { limits: { connectTimeoutMs: 300 } } });
    const raw = new RawClient(port);
    await raw.until(() => raw.closed);
    expect(metric(source.metrics(), 'millwright_ingest_refused_total', 'connect_timeout')).toBe(1);
  });

  it('end a client silent for one and a half times its keep alive, and not one that only publishes QoS 0', async () => {
    const { source, port } = await start({ commitEveryMs: 20 });
    const quiet = await client(port, { keepalive: 1 });
    const busy = await client(port, { keepalive: 1 });
    const timer = setInterval(() => busy.send(publishPacket('plant/m1/temp', json(1), 0)), 400);
    cleanups.push(() => clearInterval(timer));
    await quiet.until(() => quiet.closed, 4000);
    await pause(1500);
    expect(busy.closed).toBe(false);
    expect(metric(source.metrics(), 'millwright_ingest_refused_total', 'keep_alive')).toBe(1);
  });
});

describe('who may do what', () => {
  const users = [
    { username: 'm1', password: 'secret', publish: ['plant/m1/#'], subscribe: ['plant/m1/+'] },
    { username: 'viewer', password: 'secret', publish: [], subscribe: ['#'] },
  ];
  const ingest = { embedded: { allowAnonymous: false, users } };

  it('refuses wrong credentials with the return code of MQTT 3.1.1', async () => {
    const { source, port } = await start({ ingest });
    const wrong = await client(port, { username: 'm1', password: Buffer.from('guess') });
    expect(wrong.packets[0]).toMatchObject({ cmd: 'connack', returnCode: 4 });
    const nobody = await client(port);
    expect(nobody.packets[0]).toMatchObject({ cmd: 'connack', returnCode: 5 });
    await nobody.until(() => nobody.closed && wrong.closed);
    expect(metric(source.metrics(), 'millwright_ingest_refused_total', 'credentials')).toBe(2);
  });

  it('ends a client that publishes elsewhere, without acknowledging', async () => {
    const { source, port, committer, commit } = await start({ ingest });
    const raw = await client(port, { username: 'm1', password: Buffer.from('secret') });
    raw.send(publishPacket('plant/m1/temp', json(1), 1));
    await raw.until(() => source.pendingAcks === 1);
    commit();
    await raw.until(() => raw.acked.length === 1);
    raw.send(publishPacket('plant/m2/temp', json(2), 2));
    await raw.until(() => raw.closed);
    commit();
    expect(raw.acked).toEqual([1]);
    expect(committer.seen.scalars.length).toBe(1);
    expect(metric(source.metrics(), 'millwright_ingest_messages_total', 'denied')).toBe(1);
  });

  it('refuses subscriptions beyond the user, of $SYS, and beyond the number allowed', async () => {
    const { port } = await start({ ingest: { ...ingest, limits: { maxSubscriptionsPerConnection: 1 } } });
    const grants = async (username: string, topics: string[]) => {
      const raw = await client(port, { username, password: Buffer.from('secret') });
      const granted: number[] = [];
      for (const [i, topic] of topics.entries()) {
        raw.send(encode({ cmd: 'subscribe', messageId: i + 1, subscriptions: [{ topic, qos: 1 }] }));
        await raw.until(() => raw.packets.length === i + 2);
        granted.push((raw.packets[i + 1] as unknown as { granted: number[] }).granted[0]!);
      }
      return granted;
    };
    expect(await grants('m1', ['plant/#', 'plant/m1/temp'])).toEqual([128, 1]);
    expect(await grants('viewer', ['$SYS/#', '#', 'plant/#'])).toEqual([128, 1, 128]);
  });

  it('tells an MQTT 5 client in its own words that version 5 is not spoken here', async () => {
    const lines: unknown[] = [];
    const ignore = () => undefined;
    const logger = { info: ignore, error: ignore, debug: ignore, warn: (line: unknown) => lines.push(line) };
    const { port } = await start({ logger: logger as unknown as Logger });
    // What else is no MQTT must not keep the log silent about it.
    const stranger = new RawClient(port);
    stranger.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await stranger.until(() => stranger.closed);
    const raw = new RawClient(port);
    raw.send(connectPacket({ protocolVersion: 5 }));
    await raw.until(() => raw.closed);
    expect([...raw.bytes]).toEqual([0x20, 3, 0, 0x84, 0]);
    // The first line says that anybody may connect.
    expect(lines.slice(1)).toMatchObject([
      { kind: 'protocol', detail: 'the first packet is no CONNECT' },
      {
        kind: 'protocol_version',
        detail: 'the client speaks MQTT 5; the built-in broker speaks MQTT 3.1.1',
        hint: expect.stringMatching(/MQTT 3\.1\.1.*ingest\.mode: external/),
      },
    ]);
  });

  it('refuses an empty client id without clean session [MQTT-3.1.3-8]', async () => {
    const { port } = await start();
    const raw = new RawClient(port);
    // mqtt-packet refuses to write this one.
    raw.send(Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0, 0, 60, 0, 0]));
    await raw.until(() => raw.closed);
    expect([...raw.bytes]).toEqual([0x20, 2, 0, 2]);
  });

  it('does not open a broker without users to the network', () => {
    const config = testConfig(undefined, { embedded: { host: '0.0.0.0', allowAnonymous: false } });
    const { context, ingest } = harness(config);
    expect(() => createEmbeddedSource(ingest, context)).toThrow(GatewayError);
  });
});

describe('the broker behind the front door', () => {
  it('gives ingest messages to local subscribers, retained ones to later ones, and takes part in ordinary topics', async () => {
    const { source, port } = await start({ commitEveryMs: 20 });
    const url = `mqtt://127.0.0.1:${port}`;
    const early = await mqtt.connectAsync(url);
    const publisher = await mqtt.connectAsync(url);
    cleanups.push(
      () => early.endAsync(true),
      () => publisher.endAsync(true),
    );
    const seen: string[] = [];
    early.on('message', (topic, payload, packet) => seen.push(`${topic} ${payload} ${packet.qos}`));
    await early.subscribeAsync(['plant/m1/+', 'chat'], { qos: 1 });
    await publisher.publishAsync('plant/m1/temp', json(1), { qos: 1 });
    await publisher.publishAsync('plant/m1/temp', json(2), { qos: 0, retain: true });
    await publisher.publishAsync('plant/m2/temp', json(3), { qos: 1 });
    await publisher.publishAsync('chat', 'hello', { qos: 1 });
    const late = await mqtt.connectAsync(url);
    cleanups.push(() => late.endAsync(true));
    const retained = new Promise<string>((resolve) =>
      late.once('message', (_topic, payload) => resolve(String(payload))),
    );
    await late.subscribeAsync('plant/#');
    expect(await retained).toBe(json(2));
    await pause(100);
    expect(seen).toEqual([`plant/m1/temp ${json(1)} 1`, `plant/m1/temp ${json(2)} 0`, 'chat hello 1']);
    expect(metric(source.metrics(), 'millwright_ingest_messages_total', 'unrouted')).toBe(1);
    expect(metric(source.metrics(), 'millwright_ingest_messages_total', 'accepted')).toBe(3);
  });

  it('keeps at most 1000 messages for a subscriber that is away', async () => {
    const { source, port } = await start({ commitEveryMs: 2, keep: false });
    const subscribe = encode({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: 'plant/#', qos: 1 }],
    });
    const first = await client(port, { clean: false, clientId: 'away' });
    first.send(subscribe);
    await first.until(() => first.packets.length === 2);
    first.close();
    const raw = await client(port);
    for (let i = 1; i <= 1200; i++) {
      raw.send(publishPacket('plant/m1/temp', json(i), i));
      if (i % 100 === 0) await raw.until(() => raw.acked.length === i);
    }
    expect(metric(source.metrics(), 'millwright_ingest_fan_out_dropped_total')).toBe(200);
    const again = await client(port, { clean: false, clientId: 'away' });
    const got = () => again.packets.filter(({ cmd }) => cmd === 'publish').length;
    await again.until(() => got() === 1000);
    await pause(100);
    expect(got()).toBe(1000);
  });

  it('lets a second client with the same id take over, without mixing up acknowledgements', async () => {
    const { source, port, commit } = await start();
    const old = await client(port, { clientId: 'twin' });
    old.send(publishPacket('plant/m1/temp', json(1), 1));
    await old.until(() => source.pendingAcks === 1);
    const young = await client(port, { clientId: 'twin' });
    await old.until(() => old.closed);
    young.send(publishPacket('plant/m1/temp', json(2), 2));
    await young.until(() => source.pendingAcks === 1);
    commit();
    await young.until(() => young.acked.length === 1);
    expect([old.acked, young.acked]).toEqual([[], [2]]);
  });

  it('never writes an acknowledgement into the middle of another packet', async () => {
    const { port } = await start({ commitEveryMs: 1, keep: false });
    const raw = await client(port);
    raw.send(encode({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] }));
    await raw.until(() => raw.packets.length === 2);
    const note = 'x'.repeat(5000);
    const count = 2000;
    for (let i = 0; i < count; i++) {
      raw.send(publishPacket('plant/m1/temp', JSON.stringify({ t: i + 1, v: i, note }), i + 2));
      if (i % 50 === 0) await pause(1);
    }
    await raw.until(() => raw.acked.length === count, 20_000);
    await pause(200);
    const echoes = raw.packets.filter(({ cmd }) => cmd === 'publish') as unknown as { payload: Buffer }[];
    expect(echoes.length).toBeGreaterThan(100);
    for (const { payload } of echoes)
      expect((JSON.parse(payload.toString()) as { note: string }).note).toBe(note);
    expect(raw.acked).toEqual(Array.from({ length: count }, (_, i) => i + 2));
  });

  it('acknowledges publishers undisturbed while a subscriber has stopped reading, and drops that one', async () => {
    const { source, port } = await start({
      commitEveryMs: 10,
      keep: false,
      ingest: { limits: { subscriberDrainTimeoutMs: 500 } },
    });
    const stalled = await client(port);
    stalled.send(encode({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] }));
    await stalled.until(() => stalled.packets.length === 2);
    stalled.socket.pause();
    const raw = await client(port);
    const note = 'x'.repeat(20_000);
    let slowest = 0;
    for (let i = 1; i <= 600; i++) {
      const before = performance.now();
      raw.send(publishPacket('plant/m1/temp', JSON.stringify({ t: i, v: i, note }), i));
      await raw.until(() => raw.acked.length === i);
      slowest = Math.max(slowest, performance.now() - before);
    }
    expect(slowest).toBeLessThan(400);
    await raw.until(() => source.connections === 1);
  });

  it('survives clients that send damaged packets, and goes on serving the others', async () => {
    const { source, port } = await start({
      commitEveryMs: 10,
      ingest: { limits: { maxPreAuthConnections: 1000 } },
    });
    const healthy = await client(port);
    const session = [
      publishPacket('plant/m1/temp', json(1), 1, true),
      publishPacket('elsewhere', 'x', 2),
      encode({
        cmd: 'publish',
        topic: 'plant/m1/temp',
        payload: 'x',
        qos: 2,
        dup: true,
        retain: false,
        messageId: 3,
      }),
      encode({ cmd: 'subscribe', messageId: 4, subscriptions: [{ topic: 'a/+/#', qos: 2 }] }),
      encode({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a/+/#'] }),
      encode({ cmd: 'pubrel', messageId: 3 }),
      encode({ cmd: 'pingreq' }),
    ];
    const numbers = fc.sample(fc.nat(), { seed: 7, numRuns: 4000 });
    const random = (below: number) => numbers.pop()! % below;
    for (let round = 0; round < 150; round++) {
      const raw = new RawClient(port);
      const will = { topic: 'plant/m1/state', payload: Buffer.from('{'), qos: 1 as const, retain: true };
      const hello = connectPacket(round % 3 === 0 ? { will } : {});
      const body = Buffer.concat([...session, ...session]);
      const target = round % 4 === 0 ? hello : body;
      for (let i = 0; i < 1 + (round % 6); i++) target[random(target.length)] = random(256);
      raw.send(hello, body);
      if (round % 10 === 0) await pause(20);
      if (round % 2 === 0) setTimeout(() => raw.close(), 50);
      else cleanups.push(() => raw.close());
    }
    await pause(300);
    healthy.send(publishPacket('plant/m9/temp', json(1), 77));
    await healthy.until(() => healthy.acked.length === 1);
    expect(source.health.ok).toBe(true);
  });

  it('takes any cutting of the byte stream, from a byte at a time to all at once', async () => {
    const { port, committer } = await start({ commitEveryMs: 5 });
    const raw = new RawClient(port);
    cleanups.push(() => raw.close());
    const packets = Array.from({ length: 50 }, (_, i) => publishPacket('plant/m1/temp', json(i), i + 1));
    const stream = Buffer.concat([connectPacket(), ...packets]);
    for (const byte of stream.subarray(0, 600)) {
      raw.socket.write(Buffer.of(byte));
      if (byte % 7 === 0) await new Promise(setImmediate);
    }
    raw.socket.write(stream.subarray(600));
    await raw.until(() => raw.acked.length === 50);
    expect(committer.seen.scalars.map(({ value }) => value)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });
});
