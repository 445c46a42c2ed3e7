import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeDirectory } from '../../../src/store/make-directory.ts';

describe('makeDirectory', () => {
  let root = '';
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'millwright-mkdir-'));
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it('makes what is missing with the mode, and is content with what is there', () => {
    const path = join(root, 'a', 'b', 'c');
    makeDirectory(path, 0o700);
    makeDirectory(path, 0o700);
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it('fails where a file is in the way', () => {
    writeFileSync(join(root, 'file'), '');
    expect(() => makeDirectory(join(root, 'file', 'sub'))).toThrow(/ENOTDIR|EEXIST/);
    expect(() => makeDirectory(join(root, 'file'))).toThrow(/EEXIST/);
  });

  it.skipIf(!existsSync('/proc/self'))('fails at once on a file system that refuses new folders', () => {
    expect(() => makeDirectory('/proc/nowhere/data')).toThrow(/ENOENT|EACCES|EPERM/);
  });
});
