/** A real InfluxDB 2.7 for a test: own folder, own port, gone after `stop()`. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface Influx {
  readonly url: string;
  readonly token: string;
  readonly org: string;
  readonly bucket: string;
  /** Runs Flux; one object per row, numbers and booleans typed as the answer's `#datatype` says. */
  query(flux: string): Promise<FluxRow[]>;
  /** Any API call with the operator token; throws unless the answer is 2xx. */
  api(method: string, path: string, body?: unknown): Promise<unknown>;
  /** SIGSTOP: connections are accepted by the kernel and never answered. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

export type FluxRow = Record<string, string | number | boolean | null>;

/** Where influxd is, or null: `MILLWRIGHT_INFLUXD`, PATH, or the packed server beside the checkout. */
export function findInfluxd(): string | null {
  const named = process.env['MILLWRIGHT_INFLUXD'];
  if (named) return existsSync(named) ? named : null;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (folder !== '' && existsSync(join(folder, 'influxd'))) return join(folder, 'influxd');
  }
  return unpackInfluxd();
}

function unpackInfluxd(): string | null {
  const tools = fileURLToPath(new URL('../../../shared/tools/', import.meta.url));
  const packed = existsSync(tools)
    ? readdirSync(tools).find((name) => name.startsWith('influxd-') && name.endsWith('.xz'))
    : undefined;
  if (packed === undefined || process.platform !== 'linux' || process.arch !== 'x64') return null;
  const cache = join(tmpdir(), `millwright-test-${process.getuid?.() ?? 0}`);
  const binary = join(cache, packed.slice(0, -3));
  if (existsSync(binary) && statSync(binary).size > 0) return binary;
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const partial = `${binary}.${process.pid}`;
  execFileSync('sh', ['-c', 'xz -dc "$1" > "$2" && chmod 700 "$2"', 'sh', join(tools, packed), partial]);
  renameSync(partial, binary);
  return binary;
}

/** One clear line for tests that skip. */
export const NO_INFLUXD =
  'influxd not found (set MILLWRIGHT_INFLUXD or put it on PATH): InfluxDB tests are skipped';

/** Starts a server with one org, one bucket and an all-access token; ready when this resolves (about 0.5 s). */
export async function startInflux(): Promise<Influx> {
  const binary = findInfluxd();
  if (binary === null) throw new Error(NO_INFLUXD);
  const folder = mkdtempSync(join(tmpdir(), 'millwright-influx-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(
    binary,
    [
      '--reporting-disabled',
      '--log-level=error',
      `--http-bind-address=127.0.0.1:${port}`,
      `--bolt-path=${join(folder, 'bolt')}`,
      `--sqlite-path=${join(folder, 'sqlite')}`,
      `--engine-path=${join(folder, 'engine')}`,
    ],
    { stdio: 'ignore' },
  );
  const stop = async () => {
    await endProcess(child);
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  const credentials = { token: 'test-token-of-the-plant', org: 'plant', bucket: 'gw' };
  try {
    await untilAnswers(`${url}/health`, child);
    await setUp(url, credentials);
  } catch (error) {
    await stop();
    throw error;
  }
  const api = (method: string, path: string, body?: unknown) =>
    callApi(url, credentials.token, method, path, body);
  return {
    url,
    ...credentials,
    api,
    query: (flux) => queryFlux(url, credentials, flux),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop,
  };
}

async function setUp(url: string, { token, org, bucket }: { token: string; org: string; bucket: string }) {
  const body = {
    username: 'admin',
    password: 'only-for-tests',
    org,
    bucket,
    token,
    retentionPeriodSeconds: 0,
  };
  const answer = await fetch(`${url}/api/v2/setup`, { method: 'POST', body: JSON.stringify(body) });
  if (answer.status !== 201) throw new Error(`influxd setup: ${answer.status} ${await answer.text()}`);
}

async function callApi(
  url: string,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Token ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text === '' ? null : JSON.parse(text);
}

async function queryFlux(url: string, { token, org }: { token: string; org: string }, flux: string) {
  const answer = await fetch(`${url}/api/v2/query?org=${encodeURIComponent(org)}`, {
    method: 'POST',
    headers: {
      authorization: `Token ${token}`,
      'content-type': 'application/json',
      accept: 'application/csv',
    },
    body: JSON.stringify({ query: flux, dialect: { header: true, annotations: ['datatype'] } }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`Flux: ${answer.status} ${text}\n${flux}`);
  return rowsOfCsv(text);
}

/** Annotated CSV -> rows. Every table starts with its own `#datatype` and header line. */
export function rowsOfCsv(text: string): FluxRow[] {
  const rows: FluxRow[] = [];
  let types: string[] = [];
  let names: string[] | null = null;
  for (const cells of csvRecords(text)) {
    if (cells.length === 1 && cells[0] === '') names = null;
    else if (cells[0] === '#datatype') {
      types = cells;
      names = null;
    } else if (names === null) {
      if (cells[1] === 'error') throw new Error(`Flux error table: ${text}`);
      names = cells;
    } else {
      const row: FluxRow = {};
      for (let i = 1; i < names.length; i++) row[names[i]!] = typedCell(types[i] ?? 'string', cells[i] ?? '');
      rows.push(row);
    }
  }
  return rows;
}

function typedCell(type: string, cell: string): string | number | boolean | null {
  if (type === 'double' || type === 'long' || type === 'unsignedLong')
    return cell === '' ? null : Number(cell);
  if (type === 'boolean') return cell === 'true';
  return cell;
}

/** RFC 4180: quoted cells may hold commas, line breaks and doubled quotes. */
function* csvRecords(text: string): Generator<string[]> {
  let cells: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quoted) {
      // The server writes line breaks inside cells as CRLF.
      if (c === '\r' && text[i + 1] === '\n') continue;
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') {
        cell += '"';
        i++;
      } else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === ',') {
      cells.push(cell);
      cell = '';
    } else if (c === '\n') {
      yield [...cells, cell];
      cells = [];
      cell = '';
    } else if (c !== '\r' || text[i + 1] !== '\n') cell += c;
  }
  if (cell !== '' || cells.length > 0) yield [...cells, cell];
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Polls until the address answers 2xx; throws when the process ends first or after 20 s. */
export async function untilAnswers(url: string, child: ChildProcess): Promise<void> {
  let spawnError: Error | null = null;
  child.once('error', (error) => {
    spawnError = error;
  });
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(50)) {
    if (spawnError) throw spawnError;
    if (child.exitCode !== null)
      throw new Error(`${child.spawnfile} ended with ${child.exitCode} before it answered`);
    const answer = await fetch(url).catch(() => null);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
  }
  throw new Error(`${url} did not answer within 20 s`);
}

/** SIGTERM, then SIGKILL after 5 s; resolves when the process is gone. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGCONT');
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(force);
}
