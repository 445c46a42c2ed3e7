/** What a server said about refused lines -> which lines it may have meant. Pure. */

/**
 * Indices into `lines` that the message points at: lines it quotes, or lines with the field whose type conflicts.
 * Empty where the message names none. Only a hint on what to test first: nothing is given up on its account.
 *
 * InfluxDB names the first conflict of a request only, but a conflict seldom comes alone: a channel that changed its
 * type is wrong in every point of it. Testing those lines as one group takes three requests instead of hundreds.
 */
export function suspectLines(message: string, lines: readonly string[]): number[] {
  const conflict = FIELD_TYPE_CONFLICT.exec(message);
  if (conflict) {
    const [, field = '', measurement = '', type = ''] = conflict;
    return indicesOf(lines, (line) => fieldType(line, measurement, field) === type);
  }
  if (message.includes('unable to parse')) return indicesOf(lines, (line) => message.includes(`'${line}'`));
  return [];
}

const FIELD_TYPE_CONFLICT = /input field "(.+?)" on measurement "(.+?)" is type (\w+)/;

function indicesOf(lines: readonly string[], test: (line: string) => boolean): number[] {
  const found: number[] = [];
  for (let i = 0; i < lines.length; i++) if (test(lines[i]!)) found.push(i);
  return found;
}

/** Type of the field in InfluxDB's word, '' where the line is of another measurement or has no such field. */
function fieldType(line: string, measurement: string, field: string): string {
  const name = measurement.replace(/[, ]/g, '\\$&');
  if (!line.startsWith(name) || !', '.includes(line.charAt(name.length))) return '';
  const key = `${field.replace(/[,= ]/g, '\\$&')}=`;
  for (let at = line.indexOf(key); at > 0; at = line.indexOf(key, at + 1)) {
    const before = line.charAt(at - 1);
    if ((before !== ' ' && before !== ',') || line.charAt(at - 2) === '\\') continue;
    const first = line.charAt(at + key.length);
    return first === '"' ? 'string' : first === 't' || first === 'f' ? 'boolean' : 'float';
  }
  return '';
}
