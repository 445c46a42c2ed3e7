/**
 * What a real InfluxDB refuses: a wrong password (401), an inactive token (403), a bucket that is not there (404), each
 * repaired at the server while the gateway runs; and single lines (422, type conflict and retention), which alone go to
 * the dead letters. Four sinks at once, so that one that is held must not keep back the others.
 *
 * Controls: the official client with its default retries loses what it sends to each of the three meanwhile.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { InfluxDB } from '@influxdata/influxdb-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli-broker.ts';
import { findInfluxd, type Influx, NO_INFLUXD } from '../support/influx.ts';
import { OutagePlant } from '../support/outage-plant.ts';

const available = findInfluxd() !== null;
if (!available) console.log(NO_INFLUXD);

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Buckets and credentials as an administrator would make them, some of them wrong. */
class Server {
  readonly #influx: Influx;
  #orgId = '';
  #legacyId = '';
  #tokenId = '';
  inactiveToken = '';

  constructor(influx: Influx) {
    this.#influx = influx;
  }

  async prepare(): Promise<void> {
    const { orgs } = (await this.#influx.api('GET', '/api/v2/orgs')) as { orgs: { id: string }[] };
    this.#orgId = orgs[0]!.id;
    const permissions = [{ action: 'write', resource: { type: 'buckets', orgID: this.#orgId } }];
    await this.#shortenRetention();
    await this.makeBucket('edge');
    await this.makeBucket('inactive');
    const legacy = { token: 'edge', orgID: this.#orgId, permissions };
    this.#legacyId = (
      (await this.#influx.api('POST', '/private/legacy/authorizations', legacy)) as { id: string }
    ).id;
    await this.setPassword('not-the-one-of-the-gateway');
    const made = (await this.#influx.api('POST', '/api/v2/authorizations', {
      orgID: this.#orgId,
      permissions,
      status: 'inactive',
    })) as { id: string; token: string };
    this.#tokenId = made.id;
    this.inactiveToken = made.token;
  }

  async makeBucket(name: string): Promise<void> {
    await this.#influx.api('POST', '/api/v2/buckets', { orgID: this.#orgId, name, retentionRules: [] });
  }

  async setPassword(password: string): Promise<void> {
    await this.#influx.api('POST', `/private/legacy/authorizations/${this.#legacyId}/password`, { password });
  }

  async activateToken(): Promise<void> {
    await this.#influx.api('PATCH', `/api/v2/authorizations/${this.#tokenId}`, { status: 'active' });
  }

  /** A week of retention in shards of a day: types hold per field and shard. */
  async #shortenRetention(): Promise<void> {
    const { buckets } = (await this.#influx.api('GET', `/api/v2/buckets?name=${this.#influx.bucket}`)) as {
      buckets: { id: string }[];
    };
    const rule = { type: 'expire', everySeconds: 7 * 86_400, shardGroupDurationSeconds: 86_400 };
    await this.#influx.api('PATCH', `/api/v2/buckets/${buckets[0]!.id}`, { retentionRules: [rule] });
  }

  async write(line: string): Promise<void> {
    const { url, token, org, bucket } = this.#influx;
    const query = new URLSearchParams({ org, bucket, precision: 'ms' });
    const answer = await fetch(`${url}/api/v2/write?${query}`, {
      method: 'POST',
      headers: { authorization: `Token ${token}` },
      body: line,
    });
    if (answer.status !== 204) throw new Error(`${answer.status} ${await answer.text()}`);
  }
}

describe.skipIf(!available)('a real InfluxDB that refuses', () => {
  let plant: OutagePlant;
  let server: Server;

  beforeAll(async () => {
    plant = await OutagePlant.start(async (influx) => {
      server = new Server(influx);
      await server.prepare();
      const { url, org, bucket, token } = influx;
      const v2 = { type: 'influxdb2', url, org };
      const username = 'edge';
      return {
        far: { ...v2, bucket, token },
        edge: { type: 'line-protocol', url, database: 'edge', username, password: 'right-password' },
        inactive: { ...v2, bucket: 'inactive', token: server.inactiveToken },
        later: { ...v2, bucket: 'later', token },
      };
    });
  });
  afterAll(async () => await plant?.stop());

  /** One point by the official client, closed after its own retries had their say. */
  async function naive(bucket: string, token: string): Promise<void> {
    const api = new InfluxDB({ url: plant.influx.url, token }).getWriteApi('plant', bucket, 'ms');
    api.writeRecord(`naive v=1 ${Date.now()}`);
    await api.flush().catch(() => undefined);
    await api.close().catch(() => undefined);
  }

  const naiveRows = async (bucket: string) =>
    (
      await plant.influx.query(
        `from(bucket: "${bucket}") |> range(start: 0) |> filter(fn: (r) => r._measurement == "naive")`,
      )
    ).length;

  it('the credentials, the token or the bucket of three sinks keeps everything for them, and the fourth flows', async () => {
    const load = plant.load('m', Date.now() - 2 * HOUR_MS);
    load.start();
    const edge = await plant.untilSink('edge', ({ state }) => state === 'held');
    expect(edge).toMatchObject({
      reason: expect.stringContaining('HTTP 401'),
      hint: expect.stringContaining('sinks.edge.username'),
    });
    const inactive = await plant.untilSink('inactive', ({ state }) => state === 'held');
    expect(inactive).toMatchObject({ reason: expect.stringContaining('HTTP 403') });
    const later = await plant.untilSink('later', ({ state }) => state === 'held');
    expect(later).toMatchObject({
      reason: expect.stringContaining('bucket "later" not found'),
      hint: expect.stringContaining('create bucket "later"'),
    });
    expect(await plant.sink('far')).toMatchObject({ state: 'ok', reason: '' });
    await plant.newestVisibleMs(load, Math.max(...load.windows().keys()), 5_000);
    await naive('gw', 'no-token-the-server-knows');
    await naive('inactive', server.inactiveToken);
    await naive('later', plant.influx.token);

    await server.setPassword('right-password');
    await server.activateToken();
    await server.makeBucket('later');
    await sleep(500);
    await load.finish();
    for (const bucket of ['gw', 'edge', 'inactive', 'later'])
      expect(await plant.settled(load, 20_000, bucket), bucket).toEqual([]);
    for (const sink of ['edge', 'inactive', 'later'])
      expect(await plant.untilSink(sink, ({ state }) => state === 'ok')).toMatchObject({ reason: '' });
    for (const account of await plant.accounts()) {
      expect(account).toMatchObject({ deadLettered: 0, evicted: 0, quarantined: 0 });
      expect(account.produced).toBe(account.delivered + account.pending);
    }
    for (const bucket of ['gw', 'inactive', 'later']) expect(await naiveRows(bucket), bucket).toBe(0);
  });

  it('single lines of a request stores all others, and exactly those lines are dead letters', async () => {
    const now = Date.now();
    // On that day the maximum is a word. (A query over count and mean does not meet it.)
    const conflictMs = now - 2 * DAY_MS - 2 * HOUR_MS;
    await server.write(`machine_features max="a word" ${conflictMs}`);
    const good = plant.load('good', now - 2 * HOUR_MS);
    const conflicting = plant.load('conflicting', conflictMs);
    const expired = plant.load('expired', now - 10 * DAY_MS);
    for (const load of [good, conflicting, expired]) load.start();
    await sleep(1_000);
    for (const load of [good, conflicting, expired]) await load.finish();
    // The other sinks have neither a retention nor the word.
    for (const load of [good, conflicting, expired])
      expect(await plant.settled(load, 20_000, 'later')).toEqual([]);
    expect(await plant.settled(good, 20_000)).toEqual([]);
    const refused = conflicting.windows().size + expired.windows().size;
    await expect
      .poll(async () => (await plant.accounts()).find(({ sink }) => sink === 'far')!.deadLettered, {
        timeout: 20_000,
      })
      .toBe(refused);
    for (const name of ['conflicting', 'expired']) expect(await plant.stored(name)).toEqual(new Map());
    const far = (await plant.accounts()).find(({ sink }) => sink === 'far')!;
    expect(far.produced).toBe(far.delivered + far.deadLettered + far.pending);

    // Refused lines are saved with the next write of the store, which the end of the gateway is.
    await plant.gateway.stop();
    const listed = await runCli([
      'outbox',
      'dead-letters',
      'export',
      '--data-dir',
      plant.gateway.dataDir,
      '--source',
      'sink:far',
    ]);
    const letters = listed.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { line: string; detail: string; reason: string });
    const keyOf = (line: string) => /,machine=(\w+)[, ].* (\d+)$/.exec(line)!.slice(1).join(' ');
    const expected = [conflicting, expired].flatMap((load) =>
      [...load.windows().keys()].map((start) => `${load.name} ${start}`),
    );
    expect(letters.map(({ line }) => keyOf(line)).sort()).toEqual(expected.sort());
    for (const { line, detail } of letters)
      expect(detail).toMatch(
        line.includes('machine=expired') ? /HTTP 422.*retention/ : /HTTP 422.*type conflict/,
      );
  });
});
