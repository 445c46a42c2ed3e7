/**
 * Lines -> one POST to /api/v2/write of InfluxDB 2.x or 3. The only file that imports the InfluxDB client.
 *
 * Of the official client the transport is used (URL, credentials, gzip, decoding of errors), not its `WriteApi`: that
 * one has a retry buffer in memory which drops, cannot abort a request, and takes `Retry-After: 1` as a millisecond.
 * Retrying is the forwarder's, out of the durable outbox.
 */

import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { HttpError, InfluxDB, setLogger, type Transport } from '@influxdata/influxdb-client';
import type { InfluxSinkConfig } from '../config/schema.ts';
import type { Logger } from '../telemetry/logger.ts';
import { classifyAnswer, type SinkAnswer, type SinkHints } from './classify-answer.ts';
import { runPing, runRequest } from './run-request.ts';
import { addressOf } from './sink-address.ts';
import type { PointWriter, WriteOutcome } from './write-outcome.ts';

/** Smaller bodies are not worth the CPU of compressing them. */
const GZIP_THRESHOLD_BYTES = 1000;
/** Of a body that comes with success no more than this, and the chunk it ends in, is kept. */
const MAX_BODY_BYTES = 4096;

export class InfluxWriter implements PointWriter {
  readonly #config: InfluxSinkConfig;
  readonly #transport: Transport;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #path: string;
  readonly #hints: SinkHints;
  readonly #now: () => number;

  constructor(sink: string, config: InfluxSinkConfig, logger: Logger, now: () => number) {
    this.#config = config;
    this.#now = now;
    this.#agent = new (config.url.startsWith('https:') ? HttpsAgent : HttpAgent)({ keepAlive: true });
    // The client's log is process-wide and goes to the console by default.
    setLogger({
      warn: (message) => logger.warn({ sink, detail: message }, 'InfluxDB client'),
      error: (message) => logger.warn({ sink, detail: message }, 'InfluxDB client'),
    });
    this.#transport = new InfluxDB({
      url: config.url,
      token: config.token,
      // Ours fires first and closes the connection; the client's own leaves it open.
      timeout: config.requestTimeoutMs + 1_000,
      transportOptions: { agent: this.#agent },
    }).transport;
    const query = new URLSearchParams({ org: config.org, bucket: config.bucket, precision: 'ms' });
    this.#path = `/api/v2/write?${query}`;
    this.#hints = influxHints(sink, config);
  }

  async write(lines: readonly string[], signal: AbortSignal): Promise<WriteOutcome> {
    return await runRequest(this.#config.requestTimeoutMs, signal, async (limited) => {
      const answer = await this.#send(this.#path, 'POST', lines.join('\n'), limited);
      return classifyAnswer(answer, this.#hints, this.#now());
    });
  }

  async ping(signal: AbortSignal): Promise<boolean> {
    return await runPing(signal, async (limited) => (await this.#send('/ping', 'GET', '', limited)).status);
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Resolves with any complete HTTP answer; rejects where there was none. */
  #send(path: string, method: string, body: string, signal: AbortSignal): Promise<SinkAnswer> {
    const headers = { 'content-type': 'text/plain; charset=utf-8' };
    const gzip = this.#config.gzip && method === 'POST' ? { gzipThreshold: GZIP_THRESHOLD_BYTES } : {};
    return new Promise((resolve, reject) => {
      let answer: SinkAnswer = NO_ANSWER;
      let received = Buffer.alloc(0);
      this.#transport.send(
        path,
        body,
        { method, headers, signal, ...gzip },
        {
          responseStarted: (headers, status) => {
            answer = {
              ...NO_ANSWER,
              status: status ?? 0,
              contentType: String(headers['content-type'] ?? ''),
            };
          },
          // Only a stranger answers a write with a body and success: its first words tell who.
          next: (chunk) => {
            if (received.length < MAX_BODY_BYTES) received = Buffer.concat([received, chunk]);
          },
          complete: () => resolve({ ...answer, body: received.toString('utf8') }),
          error: (error) => {
            if (error instanceof HttpError) resolve(answerOf(error));
            else reject(error);
          },
        },
      );
    });
  }
}

const NO_ANSWER: SinkAnswer = {
  status: 0,
  contentType: '',
  retryAfter: '',
  location: '',
  errorHeader: '',
  body: '',
};

function answerOf({ statusCode, body, headers }: HttpError): SinkAnswer {
  const header = (name: string) => String(headers?.[name] ?? '');
  return {
    status: statusCode,
    contentType: header('content-type'),
    retryAfter: header('retry-after'),
    location: header('location'),
    errorHeader: header('x-influxdb-error'),
    body: body ?? '',
  };
}

function influxHints(sink: string, { url: configured, org, bucket }: InfluxSinkConfig): SinkHints {
  const url = addressOf(new URL(configured));
  return {
    credentials: `set sinks.${sink}.token to a token that ${url} knows (\`influx auth list\`)`,
    permission: `give the token of sinks.${sink} write permission on bucket "${bucket}" and make sure it is active`,
    missing: `create bucket "${bucket}" in org "${org}" at ${url}, or correct sinks.${sink}.bucket and .org`,
  };
}
