/** The routes for programs: health, metrics and the status API. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { GatewayHealth, GatewayStatus } from '../domain/gateway-status.ts';
import { answerError, answerJson, answerTagged } from './replies.ts';
import { SnapshotBodies, withFeatureLimit } from './snapshot.ts';

/** Prometheus text exposition format. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** With 304, the only sign that the snapshot behind an unchanged body is still renewed. */
const SNAPSHOT_HEADER = 'millwright-snapshot-ms';

export interface Answers {
  status(): GatewayStatus;
  metricsText(): Promise<string>;
  health(): GatewayHealth;
}

/** Adds every route but the page. */
export function apiRoutes(app: FastifyInstance, answers: Answers): void {
  app.get('/healthz', (_request, reply) => answerHealth(reply, answers.health(), 'live'));
  app.get('/readyz', (_request, reply) => answerHealth(reply, answers.health(), 'ready'));
  app.get('/metrics', async (_request, reply) => {
    const text = await answers.metricsText();
    return reply.header('cache-control', 'no-store').type(METRICS_TYPE).send(text);
  });

  const bodies = new SnapshotBodies(answers.status, () => performance.now());
  app.get('/api/v1/status', (request, reply) => {
    const limit = featureLimit(request);
    if (limit === null) return badLimit(reply);
    return answerView(request, reply, bodies, `status ${limit}`, (status) => ({
      ...status,
      machines: status.machines.map((machine) => withFeatureLimit(machine, limit)),
    }));
  });
  app.get('/api/v1/machines', (request, reply) => {
    const limit = featureLimit(request);
    if (limit === null) return badLimit(reply);
    return answerView(request, reply, bodies, `machines ${limit}`, ({ machines }) => ({
      machines: machines.map((machine) => withFeatureLimit(machine, limit)),
    }));
  });
  app.get<{ Params: { machine: string } }>('/api/v1/machines/:machine', (request, reply) => {
    const name = request.params.machine;
    const machine = bodies.status.machines.find((m) => m.machine === name);
    if (machine === undefined)
      return answerError(reply, 404, 'unknown_machine', `no machine ${JSON.stringify(name)} has been seen`);
    return answerView(request, reply, bodies, `machine ${name}`, () => machine);
  });
  app.get('/api/v1/alarms', (request, reply) =>
    answerView(request, reply, bodies, 'alarms', ({ alarms }) => ({ alarms })),
  );
  app.get('/api/v1/sinks', (request, reply) =>
    answerView(request, reply, bodies, 'sinks', ({ sinks }) => ({ sinks })),
  );
}

function answerHealth(reply: FastifyReply, health: GatewayHealth, asked: 'live' | 'ready'): FastifyReply {
  return answerJson(reply, health[asked] ? 200 : 503, {
    status: health[asked] ? 'ok' : 'failing',
    ...health,
  });
}

function answerView(
  request: FastifyRequest,
  reply: FastifyReply,
  bodies: SnapshotBodies,
  key: string,
  view: (status: GatewayStatus) => object,
): FastifyReply {
  const { body, etag, atMs } = bodies.body(key, view);
  reply.header(SNAPSHOT_HEADER, atMs);
  return answerTagged(request, reply, { body, etag });
}

/** `?features=N`: at most N feature rows per machine; all without it. Null if it is no whole number. */
function featureLimit(request: FastifyRequest): number | null {
  const asked = (request.query as Record<string, unknown>)['features'];
  if (asked === undefined) return Number.MAX_SAFE_INTEGER;
  return typeof asked === 'string' && /^\d{1,6}$/.test(asked) ? Number(asked) : null;
}

function badLimit(reply: FastifyReply): FastifyReply {
  return answerError(reply, 400, 'bad_parameter', 'features: a whole number from 0 to 999999');
}
