/** Delimited text enters, its header and rows of cells leave. Quoted cells as in RFC 4180, without line breaks inside. */

export interface DelimitedRow {
  /** 1-based line in the file. */
  readonly line: number;
  readonly cells: readonly string[];
}

export interface DelimitedText {
  readonly header: readonly string[];
  /** Blank lines are left out. */
  rows(): Iterable<DelimitedRow>;
}

/** The delimiter of a header line: the one of `;`, tab and `,` that occurs most; `,` when none does. */
export function guessDelimiter(headerLine: string): string {
  const counts = [';', '\t', ','].map(
    (delimiter) => [delimiter, headerLine.split(delimiter).length] as const,
  );
  return counts.reduce((best, next) => (next[1] > best[1] ? next : best), [',', 1] as const)[0];
}

/** Never throws: rows may have any number of cells. */
export function parseDelimited(text: string, delimiter?: string): DelimitedText {
  // A byte order mark is not part of the first column's name.
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const by = delimiter ?? guessDelimiter(lines[0] ?? '');
  return {
    header: splitCells(lines[0] ?? '', by).map((cell) => cell.trim()),
    *rows() {
      for (let i = 1; i < lines.length; i += 1) {
        if (lines[i]!.trim() !== '') yield { line: i + 1, cells: splitCells(lines[i]!, by) };
      }
    },
  };
}

/** A number cell: NaN for an empty or non-numeric cell (`Number('')` would say 0). */
export function numberCell(cell: string | undefined): number {
  return cell === undefined || cell.trim() === '' ? Number.NaN : Number(cell);
}

function splitCells(line: string, delimiter: string): string[] {
  if (!line.includes('"')) return line.split(delimiter);
  const cells: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < line.length; i += 1) {
    const c = line[i]!;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (line[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else quoted = false;
    } else if (c === '"' && cell === '') quoted = true;
    else if (c === delimiter) {
      cells.push(cell);
      cell = '';
    } else cell += c;
  }
  cells.push(cell);
  return cells;
}
