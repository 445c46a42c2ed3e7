import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase } from '../../../src/store/open-database.ts';
import { CURRENT_SCHEMA, type Schema } from '../../../src/store/schema.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';
import { NOON_MS, point, result, type StoreFolder, storeFolder, unit } from '../../support/store.ts';

const OLD = CURRENT_SCHEMA.version;
const EXTRA = 'CREATE TABLE extra (id INTEGER PRIMARY KEY)';
/** What a later gateway might bring. */
const NEXT: Schema = {
  version: OLD + 1,
  tables: { ...CURRENT_SCHEMA.tables, extra: EXTRA },
  migrations: { ...CURRENT_SCHEMA.migrations, [OLD + 1]: [EXTRA] },
};

let folder: StoreFolder;
let file: string;
let copy: string;
beforeEach(() => {
  folder = storeFolder();
  file = join(folder.path, 'millwright.db');
  copy = `${file}.v${OLD}`;
  const store = folder.open();
  for (let n = 0; n < 20; n += 1) store.commit(unit({ results: [result([point(n)])] }));
  store.close();
});
afterEach(() => folder.remove());

/** Opens as the later gateway would, and says what it found. */
function upgrade(schema = NEXT) {
  const { db, lock, quarantined, migratedFrom } = openDatabase(folder.path, NOON_MS, SILENT, schema);
  const rows = db.prepare('SELECT count(*) FROM outbox').pluck().get();
  db.close();
  lock.close();
  return { quarantined, migratedFrom, rows };
}

function versionOf(path: string): unknown {
  const db = new Database(path, { readonly: true });
  try {
    return db.pragma('user_version', { simple: true });
  } finally {
    db.close();
  }
}

describe('an older store', () => {
  it('is copied whole and then brought to the current version, once', () => {
    const before = readFileSync(file);
    expect(upgrade()).toEqual({ quarantined: null, migratedFrom: OLD, rows: 20 });
    expect(readFileSync(copy)).toStrictEqual(before);
    expect([versionOf(copy), versionOf(file)]).toEqual([OLD, OLD + 1]);
    expect(upgrade()).toEqual({ quarantined: null, migratedFrom: null, rows: 20 });
  });

  it('goes back by its copy', () => {
    upgrade();
    for (const name of readdirSync(folder.path).filter((name) => name.startsWith('millwright.db')))
      if (join(folder.path, name) !== copy) rmSync(join(folder.path, name));
    writeFileSync(file, readFileSync(copy));
    const store = folder.open();
    expect(store.recovery.quarantined).toBeNull();
    expect(store.ledger().points[0]!.pending).toBe(20);
    store.close();
  });

  it('is left as it is where the copy fails, with words for it', () => {
    // Something that can't be replaced stands where the copy belongs.
    mkdirSync(join(copy, 'in-the-way'), { recursive: true });
    const before = readFileSync(file);
    expect(() => upgrade()).toThrow(
      expect.objectContaining({ code: 'MW_STORE_OPEN', hint: expect.stringContaining('was not touched') }),
    );
    expect(readFileSync(file)).toStrictEqual(before);
    expect(existsSync(`${copy}.partial`)).toBe(false);
    rmSync(copy, { recursive: true });
    expect(upgrade().rows).toBe(20);
  });

  it('is migrated again after a kill while copying or between copy and change', () => {
    // What a kill leaves: half a copy, or a whole one beside the old file.
    writeFileSync(`${copy}.partial`, readFileSync(file).subarray(0, 5000));
    writeFileSync(copy, readFileSync(file));
    expect(upgrade()).toEqual({ quarantined: null, migratedFrom: OLD, rows: 20 });
    expect(readdirSync(folder.path).filter((name) => name.includes('.v'))).toEqual([`millwright.db.v${OLD}`]);
  });

  it('keeps no more than the last two copies', () => {
    for (const version of [18, 19, 20]) writeFileSync(`${file}.v${version}`, 'old');
    upgrade();
    expect(
      readdirSync(folder.path)
        .filter((name) => name.includes('.v'))
        .sort(),
    ).toEqual(['millwright.db.v19', 'millwright.db.v20']);
  });
});

describe('a newer store', () => {
  it('is refused by the older gateway and not changed', () => {
    upgrade();
    const before = readFileSync(file);
    expect(() => folder.open()).toThrow(
      expect.objectContaining({ code: 'MW_STORE_SCHEMA_NEWER', exitCode: 1 }),
    );
    expect(readFileSync(file)).toStrictEqual(before);
    expect(existsSync(join(folder.path, 'quarantine'))).toBe(false);
    expect(upgrade().rows).toBe(20);
  });
});
