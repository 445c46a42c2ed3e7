/**
 * Lines -> one POST to /write of InfluxDB 1.8 or VictoriaMetrics.
 *
 * VictoriaMetrics answers 204 whatever the lines are and leaves out what it cannot store: string fields, and lines
 * with a quote in a field name.
 */

import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import type { LineProtocolSinkConfig } from '../config/schema.ts';
import { classifyAnswer, type SinkAnswer, type SinkHints } from './classify-answer.ts';
import { runPing, runRequest } from './run-request.ts';
import { addressOf } from './sink-address.ts';
import type { PointWriter, WriteOutcome } from './write-outcome.ts';

const compress = promisify(gzip);

/** Smaller bodies are not worth the CPU of compressing them. */
const GZIP_THRESHOLD_BYTES = 1000;
/** Of an answer no more than this is read: enough for any message. */
const MAX_ANSWER_BYTES = 65_536;

export class LineProtocolWriter implements PointWriter {
  readonly #config: LineProtocolSinkConfig;
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #hints: SinkHints;
  readonly #now: () => number;

  constructor(sink: string, config: LineProtocolSinkConfig, now: () => number) {
    this.#config = config;
    this.#now = now;
    const url = new URL(config.url);
    // `fetch` refuses a URL with credentials in it, and hints must not show them.
    const username = config.username ?? decodeURIComponent(url.username);
    const password = config.password ?? decodeURIComponent(url.password);
    this.#base = addressOf(url);
    const credentials = `${username}:${password}`;
    this.#headers = {
      'content-type': 'text/plain; charset=utf-8',
      ...(credentials === ':'
        ? {}
        : { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }),
    };
    this.#hints = lineProtocolHints(sink, config, this.#base);
  }

  async write(lines: readonly string[], signal: AbortSignal): Promise<WriteOutcome> {
    return await runRequest(this.#config.requestTimeoutMs, signal, async (limited) => {
      const query = new URLSearchParams({ db: this.#config.database, precision: 'ms' });
      const plain = Buffer.from(lines.join('\n'));
      const zipped = this.#config.gzip && plain.length > GZIP_THRESHOLD_BYTES;
      const body = zipped ? await compress(plain, { level: constants.Z_BEST_SPEED }) : plain;
      const headers = zipped ? { ...this.#headers, 'content-encoding': 'gzip' } : this.#headers;
      const response = await fetch(`${this.#base}/write?${query}`, {
        method: 'POST',
        headers,
        body,
        // A redirected POST becomes a GET: better to say so than to "succeed".
        redirect: 'manual',
        signal: limited,
      });
      return classifyAnswer(await answerOf(response), this.#hints, this.#now());
    });
  }

  async ping(signal: AbortSignal): Promise<boolean> {
    return await runPing(signal, async (limited) => {
      const response = await fetch(`${this.#base}/ping`, { redirect: 'manual', signal: limited });
      await response.body?.cancel();
      return response.status;
    });
  }

  /** Idle connections of `fetch` close by themselves after a few seconds and do not hold the process. */
  close(): void {}
}

async function answerOf(response: Response): Promise<SinkAnswer> {
  const header = (name: string) => response.headers.get(name) ?? '';
  return {
    status: response.status,
    contentType: header('content-type'),
    retryAfter: header('retry-after'),
    location: header('location'),
    errorHeader: header('x-influxdb-error'),
    body: await beginningOf(response),
  };
}

/** Reads to the end, so that the connection can be used again, unless the body is larger than any message. */
async function beginningOf(response: Response): Promise<string> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= MAX_ANSWER_BYTES) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

function lineProtocolHints(sink: string, { database }: LineProtocolSinkConfig, url: string): SinkHints {
  return {
    credentials: `set sinks.${sink}.username and .password to a user that ${url} knows`,
    permission: `give the user of sinks.${sink} write permission on database "${database}"`,
    missing: `create database "${database}" at ${url}, or correct sinks.${sink}.database and .url (only InfluxDB 1.8 and VictoriaMetrics take /write)`,
  };
}
