/** Cells that hold something else than a number enter; how many of which channel, and the first of them, leaves. */

import { printable } from '../terminal/safe-text.ts';

const SHOWN_CHARACTERS = 40;

interface Unreadable {
  cells: number;
  readonly line: number;
  readonly text: string;
}

/** One per file. What is left out of a row must be said: a gap in a table looks like a machine that was silent. */
export class UnreadableCells {
  readonly #byChannel = new Map<string, Unreadable>();

  /** A blank cell says nothing and is not counted. */
  add(channel: string, line: number, cell: string | undefined): void {
    if (cell === undefined || cell.trim() === '') return;
    const known = this.#byChannel.get(channel);
    if (known !== undefined) known.cells += 1;
    else this.#byChannel.set(channel, { cells: 1, line, text: cell.trim().slice(0, SHOWN_CHARACTERS) });
  }

  /** Channel -> cells. */
  get counts(): ReadonlyMap<string, number> {
    return new Map([...this.#byChannel].map(([channel, { cells }]) => [channel, cells]));
  }

  /** One line a channel. */
  warnings(path: string): string[] {
    return [...this.#byChannel].map(
      ([channel, { cells, line, text }]) =>
        `warning: ${path}: ${cells} cells of ${channel} hold no number and are left out ` +
        `(first: "${printable(text)}" in line ${line})`,
    );
  }
}

/** Channel -> cells, of several files. */
export function unreadableIn(
  files: readonly { readonly unreadable: UnreadableCells }[],
): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { unreadable } of files)
    for (const [channel, cells] of unreadable.counts) sums[channel] = (sums[channel] ?? 0) + cells;
  return sums;
}
