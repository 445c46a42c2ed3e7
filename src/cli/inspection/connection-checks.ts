/** The configuration enters, one verdict per connection leaves: own ports, the broker, every sink. */

import { createServer } from 'node:net';
import type { Config, SinkConfig } from '../../config/schema.ts';
import { describeError } from '../../errors.ts';
import { Publisher } from '../publishing/publisher.ts';
import { fail, ok, type Verdict, warn } from './verdict.ts';

const TIMEOUT_MS = 5000;

/** Free, or held by a gateway that is up. */
export async function checkPorts(config: Config): Promise<Verdict[]> {
  const wanted: { name: string; host: string; port: number; key: string }[] = [];
  const { embedded, mode } = config.ingest;
  if (mode === 'embedded') wanted.push({ name: 'MQTT port', ...embedded, key: 'ingest.embedded.port' });
  if (config.http.enabled) wanted.push({ name: 'HTTP port', ...config.http, key: 'http.port' });
  const running = config.http.enabled && (await answersHttp(config.http.host, config.http.port));
  return Promise.all(
    wanted.map(async ({ name, host, port, key }) => {
      const problem = await bindProblem(host, port);
      if (problem === null) return ok(name, `${host}:${port} is free`);
      if (running) return ok(name, `${host}:${port} is held by the running gateway`);
      return fail(name, `${host}:${port}: ${problem}`, `stop the process that holds it, or change ${key}`);
    }),
  );
}

function bindProblem(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(describeError(error)));
    server.listen(port, host, () => server.close(() => resolve(null)));
  });
}

async function answersHttp(host: string, port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://${host}:${port}/healthz`, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return response.headers.get('content-type')?.includes('json') ?? false;
  } catch {
    return false;
  }
}

/** Connects as the gateway would, under another client id so that a running gateway is left alone. */
export async function checkBroker(config: Config): Promise<Verdict[]> {
  if (config.ingest.mode !== 'external') return [];
  const { url, username, password, clientId } = config.ingest.external;
  const publisher = new Publisher({
    url,
    clientId: `${clientId}-doctor-${process.pid}`,
    qos: 1,
    maxInFlight: 1,
    username,
    password,
    giveUpMs: TIMEOUT_MS,
  });
  try {
    await publisher.connect();
    await publisher.close();
    return [ok('MQTT broker', `${url} accepts us`)];
  } catch (error) {
    return [fail('MQTT broker', describeError(error), 'check ingest.external.url, user name and password')];
  }
}

/** Writes an empty body: the server checks token, organisation and bucket, and stores nothing. */
export function checkSinks(config: Config): Promise<Verdict[]> {
  return Promise.all(Object.entries(config.sinks).map(([name, sink]) => checkSink(`sink ${name}`, sink)));
}

async function checkSink(name: string, sink: SinkConfig): Promise<Verdict> {
  let status: number;
  let said: string;
  try {
    const response = await fetch(writeUrl(sink), {
      method: 'POST',
      headers: authorization(sink),
      body: '',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    status = response.status;
    said = `${sink.url} answers ${status} ${(await response.text()).slice(0, 200)}`.trimEnd();
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    // Results wait in the outbox meanwhile: an absent server is no reason not to start.
    return warn(
      name,
      `${sink.url} cannot be reached: ${describeError(cause)}`,
      'start it, or correct the url; results are kept until it is back',
    );
  }
  if (status >= 200 && status < 300) return ok(name, `${sink.url} takes writes`);
  if (status === 401) return fail(name, said, 'the token or password is wrong');
  if (status === 403) return fail(name, said, 'the token may not write to this bucket');
  if (status === 404)
    return fail(
      name,
      said,
      sink.type === 'influxdb2'
        ? 'create the bucket, or correct org and bucket'
        : 'create the database, or correct its name',
    );
  return warn(name, said, 'look at the log of the server');
}

function writeUrl(sink: SinkConfig): string {
  const base = sink.url.replace(/\/+$/, '');
  const query =
    sink.type === 'influxdb2'
      ? new URLSearchParams({ org: sink.org, bucket: sink.bucket, precision: 'ms' })
      : new URLSearchParams({ db: sink.database, precision: 'ms' });
  return `${base}${sink.type === 'influxdb2' ? '/api/v2/write' : '/write'}?${query}`;
}

function authorization(sink: SinkConfig): Record<string, string> {
  if (sink.type === 'influxdb2') return { authorization: `Token ${sink.token}` };
  if (sink.username === undefined) return {};
  return {
    authorization: `Basic ${Buffer.from(`${sink.username}:${sink.password ?? ''}`).toString('base64')}`,
  };
}
