/** A payload that is no JSON enters, whether NaN or Infinity is all that is wrong with it leaves. Pure. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const SPACE = 0x20;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;

const WORDS = [Buffer.from('NaN'), Buffer.from('Infinity')] as const;

/**
 * JSON cannot hold NaN or an infinity, and common encoders (Python's `json.dumps`) write them all the same: the sender
 * then has a sensor at fault, not a broken encoding. Meant for payloads that JSON.parse refused; linear in their length.
 */
export function isJsonButForNonFinite(bytes: Buffer, from: number, to: number): boolean {
  const payload = bytes.subarray(from, to);
  if (!WORDS.some((word) => payload.includes(word))) return false;
  const blanked = Buffer.from(payload);
  if (blankWords(blanked) === 0) return false;
  try {
    JSON.parse(blanked.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

/** Puts an empty list of the same length, which may stand wherever a value may, over each word outside texts. */
function blankWords(json: Buffer): number {
  let words = 0;
  for (let at = 0; at < json.length; at++) {
    if (json[at] === QUOTE) {
      at = textEnd(json, at + 1);
      continue;
    }
    const word = WORDS.find((candidate) => startsWith(json, at, candidate));
    if (word === undefined) continue;
    if (json[at - 1] === MINUS) json[at - 1] = SPACE;
    json.fill(SPACE, at, at + word.length);
    json[at] = OPEN_LIST;
    at += word.length - 1;
    json[at] = CLOSE_LIST;
    words += 1;
  }
  return words;
}

function textEnd(json: Buffer, from: number): number {
  let at = from;
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}

function startsWith(json: Buffer, at: number, word: Buffer): boolean {
  return json[at] === word[0] && json.subarray(at, at + word.length).equals(word);
}
