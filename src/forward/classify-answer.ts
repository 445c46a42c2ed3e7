/** HTTP answer of a line protocol server -> WriteOutcome. Pure. */

import { parseRetryAfter } from './retry-policy.ts';
import type { WriteOutcome } from './write-outcome.ts';

export interface SinkAnswer {
  readonly status: number;
  /** Headers as received, '' where absent. */
  readonly contentType: string;
  readonly retryAfter: string;
  readonly location: string;
  /** `X-Influxdb-Error`: InfluxDB 1.x repeats its message there. */
  readonly errorHeader: string;
  /** Beginning of the body, as text. */
  readonly body: string;
}

/** What the operator should do, in the words of the sink's own configuration keys. */
export interface SinkHints {
  readonly credentials: string;
  readonly permission: string;
  readonly missing: string;
}

const MAX_MESSAGE = 1_000;

/**
 * | status | outcome |
 * |---|---|
 * | 204 | accepted |
 * | other 2xx | retryLater: something between us and the server answered, nothing says the lines are stored |
 * | 400, 422 | rejected: a line is at fault |
 * | 413 | tooLarge |
 * | 408, 425, 429, 5xx | retryLater, after Retry-After where given |
 * | 3xx, 401, 403, 404, other 4xx | held: the address or the credentials are wrong |
 */
export function classifyAnswer(answer: SinkAnswer, hints: SinkHints, nowMs: number): WriteOutcome {
  const { status } = answer;
  const words = messageOf(answer);
  const message = `HTTP ${status}: ${bounded(words)}`;
  if (status === 204) return { kind: 'accepted' };
  if (status === 413) return { kind: 'tooLarge', message };
  if (status === 400 || status === 422) return rejection(answer, words, message);
  if (status < 300 || status >= 500 || status === 408 || status === 425 || status === 429) {
    return {
      kind: 'retryLater',
      message,
      afterMs: parseRetryAfter(answer.retryAfter, nowMs),
      cause: 'answer',
    };
  }
  return { kind: 'held', message, hint: hintFor(answer, hints) };
}

function rejection(answer: SinkAnswer, words: string, message: string): WriteOutcome {
  const dropped = /\bdropped=(\d+)/.exec(words);
  return {
    kind: 'rejected',
    message,
    droppedLines: dropped ? Number(dropped[1]) : null,
    aboutLines: !isHtml(answer) && LINE_FAULT.test(words),
  };
}

/** How InfluxDB 1.8, 2.x and 3 speak of lines they do not take; without one of these a 400 may be about anything. */
const LINE_FAULT =
  /unable to parse|partial write|field type conflict|outside (of )?retention|beyond retention|max(imum)? (key|field|line|string)|line protocol|schema/i;

function hintFor(answer: SinkAnswer, hints: SinkHints): string {
  if (answer.status >= 300 && answer.status < 400) {
    return `the server redirects${answer.location === '' ? '' : ` to ${bounded(oneLine(answer.location))}`}: set the sink's url to the address that answers itself`;
  }
  if (answer.status === 401 || answer.status === 407) return hints.credentials;
  if (answer.status === 403) return hints.permission;
  if (answer.status === 404) return hints.missing;
  return 'the server does not take writes at this address: check the url and the type of the sink';
}

function messageOf(answer: SinkAnswer): string {
  if (isHtml(answer)) {
    const title = /<title>([^<]*)<\/title>/i.exec(answer.body);
    return `a web page instead of an answer${title ? `: ${oneLine(title[1]!)}` : ''}`;
  }
  return oneLine(jsonMessage(answer.body) ?? (answer.errorHeader || answer.body)) || 'no explanation';
}

function isHtml({ contentType, body }: SinkAnswer): boolean {
  return /^\s*text\/html/i.test(contentType) || /^\s*<(!doctype|html)/i.test(body);
}

/** `message` (v2), `error` (1.x), `error` with details per line (v3); null where the body is something else. */
function jsonMessage(body: string): string | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return null;
  }
  if (typeof parsed !== 'object' || parsed === null) return null;
  const { message, error, data } = parsed as { message?: unknown; error?: unknown; data?: unknown };
  const text = typeof message === 'string' ? message : typeof error === 'string' ? error : null;
  const first = Array.isArray(data) ? (data[0] as { error_message?: unknown } | null) : null;
  return typeof first?.error_message === 'string' ? `${text ?? ''}: ${first.error_message}` : text;
}

/** Server words go to logs and dead letters: no control characters ... */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
}

/** ... and no more of them than a person reads. */
function bounded(text: string): string {
  return text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}…` : text;
}
