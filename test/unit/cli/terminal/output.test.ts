import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatTable, openLineSink } from '../../../../src/cli/terminal/output.ts';
import { formatEta } from '../../../../src/cli/terminal/progress.ts';

describe('formatTable', () => {
  it('pads columns, numbers to the right', () => {
    expect(
      formatTable(
        ['name', 'n'],
        [
          ['a', '5'],
          ['long', '12.5'],
        ],
      ),
    ).toBe('name  n\na        5\nlong  12.5');
  });
});

describe('a table file', () => {
  it('appears only when it is complete', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millwright-out-'));
    try {
      const path = join(dir, 't.csv');
      const sink = openLineSink(path);
      for (let i = 0; i < 20_000; i += 1) await sink.write(`${i},${i * 2}`);
      expect(existsSync(path)).toBe(false);
      await sink.close();
      const lines = readFileSync(path, 'utf8').split('\n');
      expect(lines).toHaveLength(20_001);
      expect(lines[19_999]).toBe('19999,39998');
      const given = openLineSink(join(dir, 'u.csv'));
      await given.write('x');
      given.abort();
      expect(existsSync(join(dir, 'u.csv'))).toBe(false);
      expect(existsSync(join(dir, 'u.csv.partial'))).toBe(false);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('names the folder that is not there', () => {
    expect(() => openLineSink('/nowhere/at/all.csv')).toThrow(/cannot write \/nowhere\/at\/all.csv/);
  });
});

describe('numbers for people', () => {
  it('are short', () => {
    expect([0, 312, 1536, 1_073_741_824].map(formatBytes)).toEqual(['0 B', '312 B', '1.5 KiB', '1.0 GiB']);
    expect([7, 3723, Number.NaN].map(formatEta)).toEqual(['0:07 left', '1:02:03 left', '']);
  });
});
