/** `GET /api/v1/history?machine=&series=&from=&to=&resolution=`: a question in the address, rows as columns out. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { HistoryAnswer, HistoryQuery, HistoryRefusal, HistoryRows } from '../domain/history.ts';
import { answerError, answerJson } from './replies.ts';

/** Rows in one answer: more than a screen has columns, and some 150 kB of JSON. */
export const MAX_HISTORY_ROWS = 2_000;
const DEFAULT_SPAN_MS = 86_400_000;
const DIGITS = /^\d{1,15}$/;

/** Answers for the route; null: this gateway keeps no history. */
export type HistorySource = ((query: HistoryQuery) => Promise<HistoryAnswer>) | null;

export function historyRoute(app: FastifyInstance, source: HistorySource): void {
  app.get('/api/v1/history', async (request, reply) => {
    if (source === null)
      return answerError(reply, 404, 'no_history', 'history.enabled is false in this configuration');
    const query = parseQuery(request, Date.now());
    if (typeof query === 'string') return answerError(reply, 400, 'bad_parameter', query);
    const answer = await source(query);
    return 'refused' in answer ? refuse(reply, answer.refused) : answerJson(reply, 200, body(query, answer));
  });
}

/** The question, or what is wrong with it. */
function parseQuery(request: FastifyRequest, nowMs: number): HistoryQuery | string {
  const { machine, series, from, to, resolution } = request.query as Record<string, unknown>;
  if (typeof machine !== 'string' || machine === '') return 'machine: the id of a machine, once';
  if (typeof series !== 'string' || series === '') return 'series: <channel> or <channel>.<feature>, once';
  const toMs = to === undefined ? nowMs : timeOf(to);
  if (toMs === null) return 'to: ms since 1970, or a date and time with its zone';
  const fromMs = from === undefined ? toMs - DEFAULT_SPAN_MS : timeOf(from);
  if (fromMs === null) return 'from: ms since 1970, or a date and time with its zone';
  if (fromMs >= toMs) return 'from: must be before to';
  const query = { machine, series, fromMs, toMs, maxRows: MAX_HISTORY_ROWS };
  if (resolution === undefined) return query;
  const isNumber = typeof resolution === 'string' && DIGITS.test(resolution);
  return isNumber ? { ...query, stepMs: Number(resolution) } : 'resolution: length of a row in ms';
}

function timeOf(text: unknown): number | null {
  if (typeof text !== 'string') return null;
  if (DIGITS.test(text)) return Number(text);
  // Without its zone a time would mean another moment on each computer.
  const isZoned = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const timeMs = isZoned ? Date.parse(text) : Number.NaN;
  return Number.isFinite(timeMs) ? timeMs : null;
}

function refuse(reply: FastifyReply, refused: HistoryRefusal): FastifyReply {
  switch (refused.reason) {
    case 'unknown_series':
      return answerError(reply, 404, 'unknown_series', 'no such machine, or it has no such series');
    case 'unknown_resolution':
      return answerError(
        reply,
        400,
        'unknown_resolution',
        `resolution: one of ${refused.stepsMs.join(', ')}`,
      );
    case 'too_many_rows':
      return answerError(
        reply,
        400,
        'too_many_rows',
        `${refused.rows} rows; at most ${MAX_HISTORY_ROWS}: ask for less time or a coarser resolution`,
      );
  }
}

function body({ machine, series }: HistoryQuery, answer: Extract<HistoryAnswer, { rows: HistoryRows }>) {
  const { startMs, stepMs, average, min, max, last, count } = answer.rows;
  return {
    machine,
    series,
    startMs,
    stepMs,
    damagedBlocks: answer.damagedBlocks,
    // Columns: a third of the size of rows. Gaps are null.
    average: column(average),
    min: column(min),
    max: column(max),
    last: column(last),
    count: Array.from(count),
  };
}

function column(values: Float64Array): (number | null)[] {
  return Array.from(values, (value) => (Number.isNaN(value) ? null : value));
}
