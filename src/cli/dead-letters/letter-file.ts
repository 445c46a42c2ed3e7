/**
 * Dead letters in, one line of JSON each out, for a person to edit; and the edited lines back, checked.
 *
 * A message from MQTT carries its payload as text, or in base64 where it is no text; topic and payload may be changed.
 * `cut` says that only the payload's beginning was kept; such a line is not sent.
 * A point that a sink refused carries the line protocol (time in ms) that would be sent. `id` and `check` say which
 * letter a line stands for and must stay; the rest is for the reader.
 */

import { describeCut } from '../../domain/dead-letter.ts';
import type { Point } from '../../domain/point.ts';
import { GatewayError } from '../../errors.ts';
import { encodeLine } from '../../forward/line-protocol.ts';
import { decodeLine } from '../../forward/line-protocol-reader.ts';
import { type LetterRef, letterCheck } from '../../store/dead-letter-orders.ts';
import type { StoredDeadLetter } from '../../store/dead-letters.ts';
import { decodePoints, Packing } from '../../store/points-codec.ts';

/** What to do with one letter: publish a message, or put points back into the outbox. */
export type LetterEntry =
  | { readonly ref: LetterRef; readonly topic: string; readonly payload: Uint8Array }
  | { readonly ref: LetterRef; readonly points: readonly Point[] };

/** Names the letter in an order. */
export function refOf(letter: StoredDeadLetter): LetterRef {
  return { id: letter.id, check: letterCheck(letter) };
}

/** The letter as it came: what would be sent without any editing. */
export function entryOf(letter: StoredDeadLetter): LetterEntry {
  const ref = refOf(letter);
  if (letter.reason === 'rejected_by_sink') return { ref, points: pointsOf(letter) };
  return { ref, topic: letter.source, payload: letter.payload };
}

/** One line of the file. */
export function letterLine(letter: StoredDeadLetter): string {
  const { id, receivedMs, reason, detail, source, payload } = letter;
  const about = {
    id,
    check: letterCheck(letter),
    reason,
    detail,
    received: new Date(receivedMs).toISOString(),
  };
  const cut = describeCut(letter);
  if (reason === 'rejected_by_sink')
    return JSON.stringify({ ...about, source, line: pointsOf(letter).map(encodeLine).join('\n') });
  const text = Buffer.from(payload).toString('utf8');
  const isText = Buffer.from(text).equals(payload);
  const body = isText ? { payload: text } : { payloadBase64: Buffer.from(payload).toString('base64') };
  return JSON.stringify({ ...about, topic: source, ...(cut === null ? {} : { cut }), ...body });
}

/**
 * Reads a file of such lines; empty ones are skipped.
 *
 * @throws GatewayError MW_USAGE that names the line: nothing of a file with a mistake is used
 */
export function parseLetters(text: string): LetterEntry[] {
  const entries: LetterEntry[] = [];
  const ids = new Set<number>();
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const entry = parseLetter(line);
    const fault =
      typeof entry === 'string' ? entry : ids.has(entry.ref.id) ? `a second letter ${entry.ref.id}` : null;
    if (fault !== null)
      throw new GatewayError('MW_USAGE', `line ${index + 1}: ${fault}`, { hint: FILE_HINT });
    const sound = entry as LetterEntry;
    ids.add(sound.ref.id);
    entries.push(sound);
  }
  return entries;
}

const FILE_HINT = 'correct the line or take it out; a letter whose line is missing stays as it is';

function parseLetter(text: string): LetterEntry | string {
  let json: Readonly<Record<string, unknown>> | null;
  try {
    json = JSON.parse(text);
  } catch {
    return 'not JSON';
  }
  if (typeof json !== 'object' || json === null) return 'not a JSON object';
  const { id, check, line } = json;
  if (!Number.isInteger(id) || !Number.isInteger(check))
    return 'id and check must stay as they were exported';
  const ref = { id: id as number, check: check as number };
  if (typeof line === 'string') return refusedPoints(ref, line);
  return message(ref, json);
}

function refusedPoints(ref: LetterRef, text: string): LetterEntry | string {
  const points: Point[] = [];
  for (const line of text.split('\n').filter((row) => row.trim() !== '')) {
    const point = decodeLine(line);
    if (typeof point === 'string') return `line protocol: ${point}`;
    points.push(point);
  }
  return points.length === 0 ? 'line protocol: no point' : { ref, points };
}

function message(ref: LetterRef, json: Readonly<Record<string, unknown>>): LetterEntry | string {
  const { topic, payload, payloadBase64, cut } = json;
  if (cut !== undefined)
    return `letter ${ref.id} holds only the ${cut}; complete its payload and take "cut" out, or leave it`;
  if (typeof topic !== 'string' || topic === '' || /[+#\0]/.test(topic)) return 'topic is no MQTT topic';
  if (typeof payload === 'string') return { ref, topic, payload: Buffer.from(payload) };
  // A person who corrects JSON may well write it as JSON.
  if (typeof payload === 'object' && payload !== null)
    return { ref, topic, payload: Buffer.from(JSON.stringify(payload)) };
  if (typeof payloadBase64 !== 'string') return 'neither payload nor payloadBase64 nor line';
  const bytes = Buffer.from(payloadBase64, 'base64');
  return bytes.toString('base64') === payloadBase64
    ? { ref, topic, payload: bytes }
    : 'payloadBase64 is not base64';
}

function pointsOf({ payload }: StoredDeadLetter): Point[] {
  return decodePoints(payload, Packing.plain, 'aggregate');
}
