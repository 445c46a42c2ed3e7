import { describe, expect, it } from 'vitest';
import { classifyAnswer, type SinkAnswer } from '../../../src/forward/classify-answer.ts';

const HINTS = { credentials: 'token?', permission: 'permission?', missing: 'bucket?' };
const NOW = Date.UTC(2026, 0, 1);

function classify(parts: Partial<SinkAnswer>) {
  const answer = {
    status: 204,
    contentType: '',
    retryAfter: '',
    location: '',
    errorHeader: '',
    body: '',
    ...parts,
  };
  return classifyAnswer(answer, HINTS, NOW);
}

describe('classifyAnswer', () => {
  it('takes 204 and nothing else for stored', () => {
    expect(classify({ status: 204 })).toEqual({ kind: 'accepted' });
    for (const status of [200, 201, 202, 206, 0])
      expect(classify({ status })).toMatchObject({ kind: 'retryLater' });
  });

  it.each([408, 425, 429, 500, 502, 503, 504, 599])('tries again later after %i', (status) => {
    expect(classify({ status })).toMatchObject({ kind: 'retryLater', afterMs: null });
  });

  it('hands on what the server asks for in Retry-After', () => {
    expect(classify({ status: 429, retryAfter: '7' })).toMatchObject({ afterMs: 7000 });
    expect(classify({ status: 503, retryAfter: new Date(NOW + 90_000).toUTCString() })).toMatchObject({
      afterMs: 90_000,
    });
  });

  it.each([
    [401, 'token?'],
    [403, 'permission?'],
    [404, 'bucket?'],
    [405, /type of the sink/],
    [301, /redirects to http:\/\/other/],
  ])('holds everything back at %i and says what to do', (status, hint) => {
    const outcome = classify({ status, location: 'http://other/' });
    expect(outcome).toMatchObject({ kind: 'held', hint: expect.stringMatching(hint) });
  });

  it('reads the count of dropped lines and the words of a partial write', () => {
    const message =
      'failure writing points to database: partial write: field type conflict: input field "v" on measurement "m" is type string, already exists as type float dropped=3';
    const outcome = classify({
      status: 422,
      contentType: 'application/json; charset=utf-8',
      body: JSON.stringify({ code: 'unprocessable entity', message }),
    });
    expect(outcome).toEqual({
      kind: 'rejected',
      message: `HTTP 422: ${message}`,
      droppedLines: 3,
      aboutLines: true,
    });
  });

  it.each([
    [{ error: 'partial write: points beyond retention policy dropped=1' }, true],
    [{ code: 'invalid', message: "unable to parse 'm': missing fields" }, true],
    [
      {
        error: 'partial write of line protocol occurred',
        data: [{ error_message: 'Expected at least one space' }],
      },
      true,
    ],
    [{ code: 'invalid', message: 'missing org' }, false],
  ])('tells a refused line from a refused request: %j', (body, aboutLines) => {
    expect(classify({ status: 400, body: JSON.stringify(body) })).toMatchObject({
      kind: 'rejected',
      aboutLines,
    });
  });

  it('does not believe a web page about lines', () => {
    const body = '<html><head><title>400 Bad Request</title></head>line protocol</html>';
    expect(classify({ status: 400, contentType: 'text/html', body })).toEqual({
      kind: 'rejected',
      message: 'HTTP 400: a web page instead of an answer: 400 Bad Request',
      droppedLines: null,
      aboutLines: false,
    });
  });

  it('finds the count of dropped lines behind any amount of words', () => {
    const error = `partial write: dropped 5 points outside retention policy ${'x'.repeat(5000)} dropped=5 for database: gw`;
    expect(classify({ status: 400, body: JSON.stringify({ error }) })).toMatchObject({
      droppedLines: 5,
      aboutLines: true,
    });
  });

  it('asks for smaller requests at 413', () => {
    expect(classify({ status: 413 })).toMatchObject({ kind: 'tooLarge' });
  });

  it('keeps the words of a server to one bounded line', () => {
    const outcome = classify({ status: 500, body: `a\nb\u001b[31m${'x'.repeat(10_000)}` });
    expect(outcome).toMatchObject({ message: expect.stringMatching(/^HTTP 500: a b \[31mx{900,1000}…$/) });
  });
});
