import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Publisher, type PublisherOptions } from '../../src/cli/publishing/publisher.ts';
import { freePort, MOSQUITTO, startBroker, subscribeAll } from '../support/cli-broker.ts';
import { start } from '../support/embedded-source.ts';

const options = (url: string, over: Partial<PublisherOptions> = {}): PublisherOptions => ({
  url,
  clientId: `test-${process.pid}`,
  qos: 1,
  maxInFlight: 100,
  giveUpMs: 20_000,
  ...over,
});

async function publishAll(
  publisher: Publisher,
  from: number,
  to: number,
  each?: (i: number) => Promise<void>,
): Promise<void> {
  for (let i = from; i < to; i += 1) {
    const room = publisher.publish({ topic: 't', payload: String(i) });
    if (room !== null) await room;
    if (each !== undefined) await each(i);
  }
}

/** A TCP relay in front of the broker whose connections can be torn. */
async function cuttableWire(port: number): Promise<{ url: string; cut(): void; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
    }
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    close() {
      server.close();
      cut();
    },
  };
}

describe.skipIf(MOSQUITTO === null)('Publisher against mosquitto', () => {
  it('delivers every message exactly once over an unbroken connection, within its in-flight allowance', async () => {
    const broker = await startBroker();
    try {
      const { client, received } = await subscribeAll(broker.url);
      const publisher = new Publisher(options(broker.url, { maxInFlight: 20 }));
      await publisher.connect();
      let most = 0;
      await publishAll(publisher, 0, 3000, async () => {
        most = Math.max(most, publisher.counts.inFlight);
      });
      await publisher.drained();
      await publisher.close();
      await expect.poll(() => received.length).toBe(3000);
      expect(new Set(received.map((m) => m.payload.toString())).size).toBe(3000);
      expect(most).toBeLessThanOrEqual(20);
      expect(publisher.counts).toMatchObject({
        published: 3000,
        acknowledged: 3000,
        resent: 0,
        reconnects: 0,
        inFlight: 0,
      });
      expect(publisher.latencyQuantile(0.5)).toBeGreaterThan(0);
      await client.endAsync();
    } finally {
      await broker.stop();
    }
  });

  it('sends again what broken connections left unacknowledged: a subscriber misses none', async () => {
    const broker = await startBroker();
    const wire = await cuttableWire(broker.port);
    try {
      const { client, received } = await subscribeAll(broker.url);
      const publisher = new Publisher(options(wire.url));
      await publisher.connect();
      await publishAll(publisher, 0, 4000, async (i) => {
        if (i % 1000 === 500) wire.cut();
      });
      await publisher.drained();
      expect(publisher.counts).toMatchObject({ published: 4000, acknowledged: 4000, inFlight: 0 });
      expect(publisher.counts.reconnects).toBeGreaterThanOrEqual(3);
      expect(publisher.counts.resent).toBeGreaterThan(0);
      await publisher.close();
      const distinct = () => new Set(received.map((m) => m.payload.toString())).size;
      await expect.poll(distinct).toBe(4000);
      await client.endAsync();
    } finally {
      wire.close();
      await broker.stop();
    }
  });

  it('gives up with a hint when the broker stays away', async () => {
    const broker = await startBroker();
    const publisher = new Publisher(options(broker.url, { giveUpMs: 300 }));
    await publisher.connect();
    await broker.stop();
    void publisher.publish({ topic: 't', payload: 'x' });
    await expect(publisher.drained()).rejects.toMatchObject({ code: 'MW_INGEST_EXTERNAL' });
    await publisher.close();
  });

  it('ends waits on interrupt without counting anything as delivered', async () => {
    const broker = await startBroker();
    const publisher = new Publisher(options(broker.url));
    await publisher.connect();
    await broker.stop();
    void publisher.publish({ topic: 't', payload: 'x' });
    const waiting = publisher.drained();
    publisher.interrupt();
    await waiting;
    expect(publisher.counts).toMatchObject({ acknowledged: 0, inFlight: 1 });
    await publisher.close();
  });
});

describe('Publisher without a broker', () => {
  it('says so at once, naming the address without its password', async () => {
    const port = await freePort();
    const publisher = new Publisher(options(`mqtt://user:secret@127.0.0.1:${port}`));
    await expect(publisher.connect()).rejects.toThrow(`no MQTT broker at mqtt://127.0.0.1:${port}`);
  });
});

describe('Publisher against a gateway with users', () => {
  const users = [{ username: 'm1', password: 'right', publish: ['plant/#'], subscribe: [] }];

  it.each([{}, { username: 'm1', password: 'wrong' }])('asks for the login with %j', async (login) => {
    const { port } = await start({ ingest: { embedded: { allowAnonymous: false, users } } });
    const publisher = new Publisher(options(`mqtt://127.0.0.1:${port}`, login));
    await expect(publisher.connect()).rejects.toMatchObject({
      code: 'MW_INGEST_EXTERNAL',
      message: expect.stringMatching(/^the MQTT broker at mqtt:\/\/127.* refuses the login: /),
      hint: expect.stringMatching(/--username .*\$MILLWRIGHT_MQTT_PASSWORD/),
    });
    await publisher.close();
  });
});
