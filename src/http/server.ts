/** Questions over HTTP -> answers of the gateway. Read-only: it holds functions that answer, none that change. */

import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { HttpConfig } from '../config/schema.ts';
import type { GatewayHealth, GatewayStatus } from '../domain/gateway-status.ts';
import { describeError, GatewayError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricSample, MetricSource } from '../telemetry/metrics.ts';
import { apiRoutes } from './api-routes.ts';
import { type HistorySource, historyRoute } from './history-route.ts';
import { readPageFiles } from './page-files.ts';
import { answerError, answerTagged } from './replies.ts';
import { isHostAllowed, SECURITY_HEADERS } from './security.ts';

/** A page, a Prometheus and a probe need three; more than this is no operator. */
const MAX_CONNECTIONS = 64;
const MAX_HEADER_BYTES = 8_192;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** A reader that takes nothing for this long is cut off. */
const IDLE_TIMEOUT_MS = 15_000;
const KEEP_ALIVE_MS = 10_000;
/** How often node looks for requests beyond their timeout. */
const TIMEOUT_CHECK_MS = 1_000;
/** A topic level of 512 bytes, percent-encoded. */
const MAX_PARAMETER_LENGTH = 1_536;

export interface HttpServerOptions {
  readonly config: HttpConfig;
  status(): GatewayStatus;
  metricsText(): Promise<string>;
  health(): GatewayHealth;
  /** Absent: this gateway keeps no history. */
  readonly history?: HistorySource;
  readonly logger: Logger;
}

export interface HttpServer extends MetricSource {
  /**
   * @returns the URL under which the page answers
   * @throws GatewayError MW_HTTP_LISTEN
   */
  start(): Promise<string>;
  /** Open requests are cut off. */
  stop(): Promise<void>;
}

/** Builds the server without listening. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const requests = new RequestCounts();
  const app = createApp(options, requests);
  let connections = 0;
  app.server.on('connection', (socket) => {
    connections++;
    socket.once('close', () => connections--);
  });
  return {
    async start() {
      const { host, port } = options.config;
      try {
        await app.listen({ host, port });
      } catch (cause) {
        throw new GatewayError(
          'MW_HTTP_LISTEN',
          `cannot listen on ${host}:${port}: ${describeError(cause)}`,
          { cause },
        );
      }
      return urlOf(app, host);
    },
    stop: () => app.close(),
    metrics: () => [...requests.metrics(), { name: 'millwright_http_connections', value: connections }],
  };
}

function createApp(options: HttpServerOptions, requests: RequestCounts): FastifyInstance {
  const app = fastify({
    logger: false,
    // Nothing takes a body; one byte is the least fastify accepts as a limit.
    bodyLimit: 1,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: MAX_PARAMETER_LENGTH },
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    frameworkErrors: (_error, _request, reply) => {
      reply.headers(SECURITY_HEADERS);
      answerError(reply, 400, 'bad_request', 'the address cannot be read');
    },
    clientErrorHandler(_error, socket) {
      if (socket.writable) socket.end(BAD_REQUEST);
      else socket.destroy();
    },
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    return refuse(request, reply, options.config.host);
  });
  app.addHook('onResponse', async (request, reply) =>
    requests.count(request.routeOptions.url, reply.statusCode),
  );
  app.setNotFoundHandler((_request, reply) =>
    answerError(reply, 404, 'not_found', 'nothing answers here; try /'),
  );
  app.setErrorHandler((error, request, reply) => {
    options.logger.error(
      { route: request.routeOptions.url, error: describeError(error) },
      'HTTP request failed',
    );
    return answerError(reply, 500, 'internal', 'the gateway could not answer; see its log');
  });
  pageRoutes(app);
  apiRoutes(app, options);
  historyRoute(app, options.history ?? null);
  return app;
}

/** Answers at once what no route should see; undefined lets the request through. */
function refuse(request: FastifyRequest, reply: FastifyReply, boundHost: string): FastifyReply | undefined {
  if (!isHostAllowed(request.headers.host, boundHost)) {
    return answerError(
      reply,
      421,
      'host_not_allowed',
      'this gateway listens on loopback and answers to no other name',
    );
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    reply.header('allow', 'GET, HEAD').header('connection', 'close');
    return answerError(reply, 405, 'method_not_allowed', 'everything here is read-only: GET or HEAD');
  }
  if (hasBody(request)) {
    reply.header('connection', 'close');
    return answerError(reply, 413, 'body_not_allowed', 'nothing here takes a body');
  }
  return undefined;
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function pageRoutes(app: FastifyInstance): void {
  for (const file of readPageFiles()) {
    app.get(file.url, (request, reply) =>
      answerTagged(request, reply, { body: file.content, etag: file.etag, contentType: file.contentType }),
    );
  }
}

/** For requests that are not HTTP: the same headers and form as every other error. */
const BAD_REQUEST = badRequestText();

function badRequestText(): string {
  const body = JSON.stringify({
    error: { code: 'bad_request', message: 'not a request this server understands' },
  });
  const headers = Object.entries({
    ...SECURITY_HEADERS,
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'content-length': String(body.length),
    connection: 'close',
  });
  return `HTTP/1.1 400 Bad Request\r\n${headers.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n${body}`;
}

/** Where a browser on this machine finds the page: an unspecified address is reached through loopback. */
function urlOf(app: FastifyInstance, host: string): string {
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

/** Answers by route and status; both come from fixed sets, so the series are bounded. */
class RequestCounts implements MetricSource {
  readonly #counts = new Map<string, { readonly route: string; readonly status: string; value: number }>();

  count(route: string | undefined, statusCode: number): void {
    const status = String(statusCode);
    const key = `${route ?? ''} ${status}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { route: route ?? 'none', status, value: 1 });
    else known.value++;
  }

  metrics(): MetricSample[] {
    return [...this.#counts.values()].map(({ route, status, value }) => ({
      name: 'millwright_http_requests_total',
      labels: { route, status },
      value,
    }));
  }
}
