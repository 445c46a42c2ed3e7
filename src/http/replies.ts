/** The three kinds of answer: an error, JSON for now, and content with an entity tag. */

import type { FastifyReply, FastifyRequest } from 'fastify';

const JSON_TYPE = 'application/json; charset=utf-8';

/** `{"error": {"code", "message"}}`; the code is for programs and never changes, the message is for people. */
export function answerError(
  reply: FastifyReply,
  status: number,
  code: string,
  message: string,
): FastifyReply {
  return answerJson(reply, status, { error: { code, message } });
}

/** A body that nobody may keep. */
export function answerJson(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply.code(status).header('cache-control', 'no-store').type(JSON_TYPE).send(JSON.stringify(body));
}

export interface TaggedContent {
  readonly body: string | Buffer;
  readonly etag: string;
  readonly contentType?: string;
}

/** The content, or 304 without it when the client already has this tag. Clients may keep it but must ask each time. */
export function answerTagged(
  request: FastifyRequest,
  reply: FastifyReply,
  content: TaggedContent,
): FastifyReply {
  reply.header('etag', content.etag).header('cache-control', 'no-cache');
  if (hasTag(request.headers['if-none-match'], content.etag)) return reply.code(304).send();
  return reply.type(content.contentType ?? JSON_TYPE).send(content.body);
}

/** RFC 9110 §13.1.2: a list of tags, compared weakly, or `*`. */
function hasTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((tag) => {
    const trimmed = tag.trim();
    return trimmed === '*' || trimmed === etag || trimmed === `W/${etag}`;
  });
}
