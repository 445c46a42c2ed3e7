/** Text and bytes from outside enter, text that cannot command a terminal leaves. */

const EXCERPT_BYTES = 160;

/** Bytes as text where they are text, else as hex: a payload must not command the terminal. */
export function excerpt(payload: Uint8Array): string {
  const head = Buffer.from(payload.subarray(0, EXCERPT_BYTES));
  const text = head.toString('utf8');
  const isText = !text.includes('\ufffd');
  const more = payload.length > EXCERPT_BYTES ? ' ...' : '';
  return `${isText ? printable(text) : head.subarray(0, EXCERPT_BYTES / 4).toString('hex')}${more}`;
}

/** Control characters escaped, C1 and direction marks included. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (c) => `\\u${c.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  );
}

/** `90 s`, `14 min`, `5 h`; `-` where there is nothing. */
export function formatAge(oldestMs: number | null, nowMs: number): string {
  if (oldestMs === null) return '-';
  const seconds = Math.max(0, Math.round((nowMs - oldestMs) / 1000));
  return seconds < 120
    ? `${seconds} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : `${Math.round(seconds / 3600)} h`;
}
