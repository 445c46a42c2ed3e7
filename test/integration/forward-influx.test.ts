import { setTimeout as sleep } from 'node:timers/promises';
import { InfluxDB } from '@influxdata/influxdb-client';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Point } from '../../src/domain/point.ts';
import type { Forwarder } from '../../src/forward/forwarder.ts';
import { encodeLine } from '../../src/forward/line-protocol.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { sinkConfig, startForwarder, until } from '../support/forwarding.ts';
import { findInfluxd, type Influx, NO_INFLUXD, startInflux } from '../support/influx.ts';
import { MemoryOutbox, numberedPoints } from '../support/memory-outbox.ts';

const available = findInfluxd() !== null;
if (!available) console.log(NO_INFLUXD);

describe.skipIf(!available)('forwarding to InfluxDB', () => {
  let influx: Influx;
  let proxy: FaultProxy;
  let outbox: MemoryOutbox;
  let measurement = '';
  let runs = 0;
  const started: Forwarder[] = [];

  beforeAll(async () => {
    influx = await startInflux();
  });
  afterAll(async () => await influx?.stop());
  beforeEach(async () => {
    proxy = await startFaultProxy(influx.url);
    outbox = new MemoryOutbox();
    measurement = `run${++runs}`;
  });
  afterEach(async () => {
    for (const forwarder of started.splice(0)) await forwarder.stop(1_000);
    await proxy.stop();
  });

  function forward(settings: Readonly<Record<string, unknown>> = {}): Forwarder {
    const { token, org, bucket } = influx;
    const forwarder = startForwarder(
      outbox,
      sinkConfig({ type: 'influxdb2', url: proxy.url, token, org, bucket, ...settings }),
    );
    started.push(forwarder);
    return forwarder;
  }

  /** Every value of field `n`, ascending: duplicates and gaps would show. */
  async function stored(bucket = influx.bucket): Promise<number[]> {
    const rows = await influx.query(
      `from(bucket: "${bucket}") |> range(start: 0) |> filter(fn: (r) => r._measurement == "${measurement}" and r._field == "n")
       |> group() |> sort(columns: ["_value"]) |> keep(columns: ["_value"])`,
    );
    return rows.map((row) => row['_value'] as number);
  }

  const numbers = (points: readonly Point[]) => points.map(({ fields }) => fields['n'] as number);

  async function produce(forwarder: Forwarder, batches: number, each: number): Promise<Point[]> {
    const points: Point[] = [];
    for (let i = 0; i < batches; i++) {
      const batch = numberedPoints(each, measurement);
      points.push(...batch);
      outbox.append(batch);
      forwarder.wake();
      await sleep(1);
    }
    return points;
  }

  const settled = (total: number) => () => outbox.delivered + outbox.deadLettered.length === total;

  describe('through an outage', () => {
    it('stores every point once, the newest first', async () => {
      const forwarder = forward({ batchPoints: 200 });
      const before = await produce(forwarder, 5, 100);
      await until('first points', settled(500));
      await proxy.set({ kind: 'refuse' });
      const during = await produce(forwarder, 40, 100);
      await until('the outage is seen', () => forwarder.status().state === 'retrying');
      expect(forwarder.status().reason).toMatch(/ECONNREFUSED|ECONNRESET|socket hang up/);
      const seenBefore = proxy.writes.length;
      await proxy.set({ kind: 'pass' });
      await until('the backlog is gone', settled(4500));
      expect(await stored()).toEqual(numbers([...before, ...during]));
      expect(proxy.writes[seenBefore]!.lines.at(-1)).toBe(encodeLine(during.at(-1)!));
      expect(forwarder.status()).toMatchObject({ state: 'ok', deliveredPoints: 4500, deadLetteredPoints: 0 });
    });

    it('is a test that can fail: a sender without an outbox loses points in the same outage', async () => {
      const writeApi = new InfluxDB({ url: proxy.url, token: influx.token }).getWriteApi(
        'plant',
        'gw',
        'ms',
        {
          maxRetries: 0,
          writeFailed: () => Promise.resolve(),
        },
      );
      const points = numberedPoints(600, measurement);
      for (const [i, point] of points.entries()) {
        if (i === 200) await proxy.set({ kind: 'refuse' });
        if (i === 400) await proxy.set({ kind: 'pass' });
        writeApi.writeRecord(encodeLine(point));
        if (i % 100 === 99) await writeApi.flush();
      }
      await writeApi.close();
      expect(await stored()).not.toEqual(numbers(points));
    });

    it('uses a server that is back within 5 s although the next retry is a minute away', async () => {
      await proxy.set({ kind: 'refuse' });
      const forwarder = startForwarder(
        outbox,
        sinkConfig({
          type: 'influxdb2',
          url: proxy.url,
          token: influx.token,
          retryMinMs: 60_000,
          retryMaxMs: 60_000,
        }),
        () => 0.99,
      );
      started.push(forwarder);
      await produce(forwarder, 1, 10);
      await until('the outage is seen', () => forwarder.status().state === 'retrying');
      await sleep(2_500);
      await proxy.set({ kind: 'pass' });
      await until('delivery', settled(10), 5_000);
    });

    it('sends live points beside a backlog that drains at its own pace', async () => {
      for (let i = 0; i < 120; i++) outbox.append(numberedPoints(100, measurement));
      const forwarder = forward({ batchPoints: 1000 });
      await until('the backlog is on its way', () => outbox.delivered > 2000);
      const [live] = await produce(forwarder, 1, 1);
      const line = encodeLine(live!);
      const at = Date.now();
      await until('the live point', () => proxy.writes.some(({ lines }) => lines.includes(line)), 2_000);
      expect(Date.now() - at).toBeLessThan(1_000);
      expect(outbox.delivered).toBeLessThan(12_001);
      await until('the backlog is gone', settled(12_001));
      expect((await stored()).length).toBe(12_001);
    });
  });

  describe('held back by the server', () => {
    it('keeps everything at 401 and goes on when the token is accepted', async () => {
      await proxy.set({ kind: 'pass', withoutHeader: 'authorization' });
      const forwarder = forward();
      const points = await produce(forwarder, 3, 10);
      await until('held', () => forwarder.status().state === 'held');
      expect(forwarder.status()).toMatchObject({
        reason: expect.stringContaining('HTTP 401'),
        hint: expect.stringContaining('sinks.plant.token'),
      });
      await proxy.set({ kind: 'pass' });
      await until('delivery', settled(30));
      expect(await stored()).toEqual(numbers(points));
      expect(forwarder.status()).toMatchObject({ state: 'ok', reason: '', hint: '' });
    });

    it('keeps everything at 403 and goes on when the token is activated', async () => {
      const org = ((await influx.api('GET', '/api/v2/orgs')) as { orgs: { id: string }[] }).orgs[0]!.id;
      const permission = (action: string) => ({ action, resource: { type: 'buckets', orgID: org } });
      const made = (await influx.api('POST', '/api/v2/authorizations', {
        orgID: org,
        permissions: [permission('write')],
        status: 'inactive',
      })) as { id: string; token: string };
      const forwarder = forward({ token: made.token });
      const points = await produce(forwarder, 1, 10);
      await until('held', () => forwarder.status().state === 'held');
      expect(forwarder.status()).toMatchObject({
        reason: expect.stringContaining('HTTP 403'),
        hint: expect.stringContaining('write permission on bucket "gw"'),
      });
      await influx.api('PATCH', `/api/v2/authorizations/${made.id}`, { status: 'active' });
      await until('delivery', settled(10));
      expect(await stored()).toEqual(numbers(points));
    });

    it('keeps everything at 404 and goes on when the bucket is made', async () => {
      const forwarder = forward({ bucket: 'later' });
      const points = await produce(forwarder, 1, 10);
      await until('held', () => forwarder.status().state === 'held');
      expect(forwarder.status()).toMatchObject({
        reason: expect.stringContaining('bucket "later" not found'),
        hint: expect.stringContaining('create bucket "later"'),
      });
      const org = ((await influx.api('GET', '/api/v2/orgs')) as { orgs: { id: string }[] }).orgs[0]!.id;
      await influx.api('POST', '/api/v2/buckets', { orgID: org, name: 'later', retentionRules: [] });
      await until('delivery', settled(10));
      expect(await stored('later')).toEqual(numbers(points));
    });

    it('gives nothing up when something in between refuses every request', async () => {
      await proxy.set({ kind: 'answer', answer: () => ({ status: 400, body: 'Bad Request' }) });
      const forwarder = forward();
      const points = await produce(forwarder, 20, 50);
      await until('held', () => forwarder.status().state === 'held');
      await sleep(1_000);
      expect(outbox.deadLettered).toEqual([]);
      await proxy.set({ kind: 'pass' });
      await until('delivery', settled(1000));
      expect(await stored()).toEqual(numbers(points));
    });
  });

  describe('with points the server refuses', () => {
    const withString = (point: Point): Point => ({ ...point, fields: { n: 'a word' } });

    it('gives up exactly the one point whose field type conflicts (422), with the words of the server', async () => {
      const forwarder = forward();
      outbox.append(numberedPoints(1, measurement));
      await until('the type of the field is settled', settled(1));
      const points = numberedPoints(500, measurement);
      const bad = withString(points[123]!);
      outbox.append([...points.slice(0, 123), bad, ...points.slice(124)]);
      forwarder.wake();
      await until('delivery', settled(501));
      expect(outbox.deadLettered).toEqual([
        { point: bad, reason: expect.stringMatching(/HTTP 422.*field type conflict.*"n"/) },
      ]);
      expect((await stored()).length).toBe(500);
      expect(forwarder.status()).toMatchObject({ state: 'ok', deadLetteredPoints: 1 });
    });

    it('gives up exactly the malformed points (400), although the server stores nothing of such a request', async () => {
      const forwarder = forward();
      const points = numberedPoints(300, measurement);
      const reserved = (point: Point): Point => ({ ...point, tags: { ...point.tags, _field: 'x' } });
      const bad = [7, 8, 250].map((i) => reserved(points[i]!));
      outbox.append(points.map((point) => bad.find(({ timeMs }) => timeMs === point.timeMs) ?? point));
      forwarder.wake();
      await until('delivery', settled(300));
      expect(outbox.deadLettered.map(({ point }) => point)).toEqual(bad);
      expect(outbox.deadLettered[0]!.reason).toMatch(/HTTP 400.*unable to parse/);
      expect((await stored()).length).toBe(297);
    });

    it('gives up points outside the retention of the bucket in few requests', async () => {
      const org = ((await influx.api('GET', '/api/v2/orgs')) as { orgs: { id: string }[] }).orgs[0]!.id;
      const retentionRules = [{ type: 'expire', everySeconds: 86_400 }];
      await influx.api('POST', '/api/v2/buckets', { orgID: org, name: `short${runs}`, retentionRules });
      const recent = numberedPoints(100, measurement).map((point) => ({
        ...point,
        timeMs: Date.now() - 60_000 + (Number(point.fields['n']) % 100),
      }));
      const old = numberedPoints(400, measurement);
      const forwarder = forward({ bucket: `short${runs}` });
      outbox.append([...old, ...recent]);
      forwarder.wake();
      await until('delivery', settled(500));
      expect(outbox.deadLettered.length).toBe(400);
      expect(outbox.deadLettered[0]!.reason).toMatch(/retention/);
      expect(proxy.writes.length).toBeLessThan(30);
    });

    it('keeps live points flowing while refused ones are being found', async () => {
      const forwarder = forward({ batchPoints: 500 });
      outbox.append(numberedPoints(1, measurement));
      await until('the type of the field is settled', settled(1));
      for (let i = 0; i < 10; i++) {
        const points = numberedPoints(50, measurement);
        outbox.append(points.map((point, j) => (j === 25 ? withString(point) : point)));
        forwarder.wake();
        await sleep(20);
      }
      await until('delivery', settled(501));
      expect(outbox.deadLettered.length).toBe(10);
      expect((await stored()).length).toBe(491);
    });
  });

  describe('with a line that fails', () => {
    it.each([
      ['the connection is reset in the middle of a request', { kind: 'reset', afterBodyBytes: 10 }],
      ['the server stores the points but its answer is lost', { kind: 'swallow' }],
      ['nothing ever answers', { kind: 'freeze' }],
    ] as const)('stores every point once when %s', async (_, mode) => {
      await proxy.set(mode);
      const forwarder = forward({ requestTimeoutMs: 400 });
      const points = await produce(forwarder, 10, 50);
      await until('the failure is seen', () => forwarder.status().retries >= 2);
      expect(outbox.delivered).toBe(0);
      await proxy.set({ kind: 'pass' });
      await until('delivery', settled(500));
      expect(await stored()).toEqual(numbers(points));
    });

    it('survives a frozen server', async () => {
      const forwarder = forward({ requestTimeoutMs: 300 });
      influx.freeze();
      const points = await produce(forwarder, 10, 50);
      await until('timeouts', () => forwarder.status().reason.includes('no answer within 300 ms'));
      influx.thaw();
      await until('delivery', settled(500));
      expect(await stored()).toEqual(numbers(points));
    });

    it('gets large shipments through a slow line in smaller requests', async () => {
      await proxy.set({ kind: 'slow', bytesPerSecond: 40_000 });
      const forwarder = forward({ requestTimeoutMs: 400, gzip: false, batchPoints: 2000 });
      outbox.append(numberedPoints(2000, measurement));
      forwarder.wake();
      await until('delivery', settled(2000), 30_000);
      expect((await stored()).length).toBe(2000);
    });
  });

  describe('by the answers of proxies and clouds', () => {
    it('splits what is too large (413) and stores all of it', async () => {
      await proxy.set({
        kind: 'answer',
        answer: ({ lines }) => (lines.length > 60 ? { status: 413, body: 'too large' } : null),
      });
      const forwarder = forward({ batchPoints: 1000 });
      outbox.append(numberedPoints(1000, measurement));
      forwarder.wake();
      await until('delivery', settled(1000));
      expect(outbox.deadLettered).toEqual([]);
      expect((await stored()).length).toBe(1000);
    });

    it.each([
      ['seconds', () => '2'],
      ['a date', () => new Date(Date.now() + 2_999).toUTCString()],
    ])('waits as long as 429 asks for in %s', async (_, header) => {
      let refusedAt = 0;
      await proxy.set({
        kind: 'answer',
        answer: () => {
          if (refusedAt !== 0) return null;
          refusedAt = Date.now();
          return { status: 429, headers: { 'retry-after': header() }, body: '{"message":"slow down"}' };
        },
      });
      const forwarder = forward();
      await produce(forwarder, 5, 10);
      await until('delivery', settled(50));
      expect(proxy.writes[1]!.atMs - refusedAt).toBeGreaterThanOrEqual(1_950);
    });

    it.each([
      ['503', { status: 503, body: 'overloaded' }],
      ['500', { status: 500 }],
      [
        'a web page with 200',
        {
          status: 200,
          headers: { 'content-type': 'text/html' },
          body: '<html>Welcome to the hotel WLAN</html>',
        },
      ],
      ['200 without a body', { status: 200 }],
    ])('takes %s for not stored and sends again', async (_, answer) => {
      await proxy.set({ kind: 'answer', answer: () => answer });
      const forwarder = forward();
      const points = await produce(forwarder, 2, 10);
      await until('retries', () => forwarder.status().retries >= 2);
      expect(forwarder.status().state).toBe('retrying');
      expect(outbox.delivered).toBe(0);
      await proxy.set({ kind: 'pass' });
      await until('delivery', settled(20));
      expect(await stored()).toEqual(numbers(points));
    });

    it('does not follow a redirect, and says where the server is', async () => {
      await proxy.set({
        kind: 'answer',
        answer: () => ({ status: 308, headers: { location: 'https://influx.example/api/v2/write' } }),
      });
      const forwarder = forward();
      await produce(forwarder, 1, 1);
      await until('held', () => forwarder.status().state === 'held');
      expect(forwarder.status().hint).toContain('https://influx.example/');
    });
  });

  it('sends the same bytes again after a crash between the 204 and the settlement, and stores nothing twice', async () => {
    outbox.settleFails = true;
    const first = forward();
    const points = await produce(first, 3, 20);
    await until('a 204', () => proxy.writes.some(({ status }) => status === 204));
    await first.stop(1_000);
    expect(outbox.delivered).toBe(0);
    const sentBefore = new Set(proxy.writes.flatMap(({ lines }) => lines));
    outbox.settleFails = false;
    forward();
    await until('delivery', settled(60));
    const sentAfter = new Set(proxy.writes.flatMap(({ lines }) => lines));
    for (const line of sentBefore) expect(sentAfter).toContain(line);
    expect(sentAfter.size).toBe(60);
    expect(await stored()).toEqual(numbers(points));
  });

  it('flushes what is new when it is stopped, and leaves the rest when the server hangs', async () => {
    const quick = forward({ flushIntervalMs: 60_000 });
    await produce(quick, 1, 10);
    await quick.stop(2_000);
    expect(outbox.delivered).toBe(10);
    await proxy.set({ kind: 'freeze' });
    const hanging = forward();
    await produce(hanging, 1, 10);
    await sleep(200);
    const at = Date.now();
    await hanging.stop(300);
    expect(Date.now() - at).toBeLessThan(1_500);
    expect(hanging.status().state).toBe('stopped');
    expect(outbox.backlog('plant').points).toBe(10);
  });

  it('reads back names and strings of any characters as they were written', async () => {
    const part = fc.string({
      unit: fc.constantFrom(...',= "\\\n\t#aé日😀-0\u0000\u2028'),
      minLength: 1,
      maxLength: 8,
    });
    // What line protocol cannot carry is known and tested elsewhere: the encoder's own replacements.
    const name = part.filter((text) => !/^#|\\($|[,= "])|\n/.test(text));
    const samples = fc.sample(fc.record({ tag: name, tagKey: name, field: name, value: part }), {
      numRuns: 1000,
      seed: 7,
    });
    const points = samples.map(
      ({ tag, tagKey, field, value }, i): Point => ({
        pointClass: 'raw',
        measurement,
        tags: { [`k${tagKey}`]: tag, id: String(i) },
        fields: { [`f${field}`]: value },
        timeMs: 1000 + i,
      }),
    );
    outbox.append(points);
    forward();
    await until('delivery', settled(1000));
    expect(outbox.deadLettered).toEqual([]);
    const rows = await influx.query(
      `from(bucket: "gw") |> range(start: 0) |> filter(fn: (r) => r._measurement == "${measurement}")`,
    );
    const byId = new Map(rows.map((row) => [row['id'], row]));
    for (const { tags, fields } of points) {
      const row = byId.get(tags['id']!)!;
      const [[field, value]] = Object.entries(fields) as [[string, string]];
      expect({ field: row['_field'], value: row['_value'] }).toEqual({ field, value });
      for (const [key, text] of Object.entries(tags)) expect(row[key]).toBe(text);
    }
  });

  it('stores the exact double, from the smallest to the largest', async () => {
    const values = [0.1, 1 / 3, 5e-324, Number.MAX_VALUE, 1e21, -0, 123456789.12345679, Math.PI * 1e-10];
    outbox.append(
      values.map((v, i) => ({ ...numberedPoints(1, measurement)[0]!, fields: { v }, timeMs: i })),
    );
    forward();
    await until('delivery', settled(values.length));
    const rows = await influx.query(
      `from(bucket: "gw") |> range(start: 0, stop: 1970-01-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "${measurement}") |> group() |> sort(columns: ["_time"])`,
    );
    expect(rows.map((row) => row['_value'])).toEqual(values);
  });
});
