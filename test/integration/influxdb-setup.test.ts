import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findInfluxd, type Influx, NO_INFLUXD, startInflux } from '../support/influx.ts';

const available = findInfluxd() !== null;
if (!available) console.log(NO_INFLUXD);

const script = fileURLToPath(new URL('../../deploy/influxdb/setup.mjs', import.meta.url));

describe.skipIf(!available)('deploy/influxdb/setup.mjs', () => {
  let influx: Influx;

  beforeAll(async () => {
    influx = await startInflux();
  });
  afterAll(async () => await influx?.stop());

  async function setUp(): Promise<Record<string, string>> {
    const args = [
      script,
      '--url',
      influx.url,
      '--org',
      influx.org,
      '--bucket',
      'fresh',
      '--retention-days',
      '7',
    ];
    const env = { ...process.env, INFLUX_OPERATOR_TOKEN: influx.token };
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    return Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  }

  async function status(token: string, path: string, body: string): Promise<number> {
    const headers = { authorization: `Token ${token}`, 'content-type': 'application/vnd.flux' };
    const answer = await fetch(`${influx.url}${path}`, { method: 'POST', headers, body });
    await answer.arrayBuffer();
    return answer.status;
  }

  it('makes a token that writes the bucket and one that reads it, and neither does the work of the other', async () => {
    const { INFLUX_TOKEN: write, GRAFANA_INFLUX_TOKEN: read } = await setUp();
    const writePath = '/api/v2/write?org=plant&bucket=fresh&precision=ms';
    const line = `m v=1 ${Date.now()}`;
    expect(await status(write!, writePath, line)).toBe(204);
    expect(await status(read!, writePath, line)).toBe(403);
    expect(await status(write!, '/api/v2/write?org=plant&bucket=gw&precision=ms', line)).toBe(403);
    const query = async (token: string) => {
      const answer = await fetch(`${influx.url}/api/v2/query?org=plant`, {
        method: 'POST',
        headers: { authorization: `Token ${token}`, 'content-type': 'application/vnd.flux' },
        body: 'from(bucket: "fresh") |> range(start: -1h)',
      });
      return await answer.text();
    };
    expect(await query(read!)).toContain(',m');
    expect(await query(write!)).not.toContain(',m');
  });

  it('run again shows the same tokens and makes nothing new', async () => {
    expect(await setUp()).toEqual(await setUp());
    const { buckets } = (await influx.api('GET', '/api/v2/buckets?name=fresh')) as {
      buckets: { retentionRules: unknown[] }[];
    };
    expect(buckets.map(({ retentionRules }) => retentionRules)).toMatchObject([
      [{ everySeconds: 7 * 86_400 }],
    ]);
  });
});
