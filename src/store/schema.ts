/** The tables of `millwright.db`, their version and the steps from older ones: the one place with DDL. */

/** Goes up with every change of the tables; a file with a higher one is refused. */
export const SCHEMA_VERSION = 2;

/**
 * Bytes of a page. A commit of records writes one or two pages to the log, and the file system flushes blocks of 4 KiB:
 * a page of 4 KiB nearly always lies across two of them, one of 1 KiB rarely does. Measured on ext4 at 100 messages/s
 * and commits of 500 ms: 349 bytes written per message with 4 KiB, 212 with 1 KiB, 183 with 512 bytes.
 */
export const PAGE_BYTES = 1024;

/** "MWst": tells our file from any other SQLite database. */
export const APPLICATION_ID = 0x4d577374;

/**
 * Tables in the order they are made, so that every file of one version lists them in the same pages (`salvage.ts`
 * relies on it). Blobs named `seal` carry their own checksum (`seal.ts`); small rows that nothing else can rebuild are
 * kept twice in their row (`seal`, `twin`), which costs no further page.
 *
 * `journal` and `outbox` are append-only with a rising rowid and have no index: a commit touches one leaf of each.
 */
export const TABLES: Readonly<Record<string, string>> = {
  meta: 'CREATE TABLE meta (name TEXT PRIMARY KEY, seal BLOB, twin BLOB) WITHOUT ROWID',
  ledger: 'CREATE TABLE ledger (name TEXT PRIMARY KEY, seal BLOB, twin BLOB) WITHOUT ROWID',
  channel: 'CREATE TABLE channel (id INTEGER PRIMARY KEY, seal BLOB, twin BLOB)',
  closed_until: 'CREATE TABLE closed_until (machine TEXT PRIMARY KEY, seal BLOB, twin BLOB) WITHOUT ROWID',
  state: 'CREATE TABLE state (machine TEXT, key TEXT, seal BLOB, PRIMARY KEY (machine, key)) WITHOUT ROWID',
  journal: 'CREATE TABLE journal (id INTEGER PRIMARY KEY, body BLOB)',
  outbox: 'CREATE TABLE outbox (id INTEGER PRIMARY KEY, head BLOB, body BLOB)',
  dead_letter: 'CREATE TABLE dead_letter (id INTEGER PRIMARY KEY, head BLOB, body BLOB)',
  quarantine:
    'CREATE TABLE quarantine (id INTEGER PRIMARY KEY, origin TEXT, origin_key TEXT, at_ms REAL, body BLOB)',
  history_machine: 'CREATE TABLE history_machine (id INTEGER PRIMARY KEY, seal BLOB, twin BLOB)',
  history_log: 'CREATE TABLE history_log (id INTEGER PRIMARY KEY, body BLOB)',
  history_block: 'CREATE TABLE history_block (id INTEGER PRIMARY KEY, body BLOB)',
};

/** Version from which a table exists, where that is not the first. */
const SINCE: Readonly<Record<string, number>> = { history_machine: 2, history_log: 2, history_block: 2 };

/** Names and SQL of the tables of a version, in the order they are made. */
export function tablesOf(version: number): [name: string, sql: string][] {
  return Object.entries(TABLES).filter(([name]) => (SINCE[name] ?? 1) <= version);
}

function addedIn(version: number): string[] {
  return Object.entries(TABLES)
    .filter(([name]) => (SINCE[name] ?? 1) === version)
    .map(([, sql]) => sql);
}

/** The tables of one version and the way there. */
export interface Schema {
  readonly version: number;
  readonly tables: Readonly<Record<string, string>>;
  readonly migrations: Readonly<Record<number, readonly string[]>>;
}

/** One step from version n - 1 to n (index n): SQL run in one transaction after a copy of the file was taken. */
export const MIGRATIONS: Readonly<Record<number, readonly string[]>> = {
  1: addedIn(1),
  2: addedIn(2),
};

/** What this gateway works with. */
export const CURRENT_SCHEMA: Schema = schemaOf(SCHEMA_VERSION);

/** What a gateway of an earlier version worked with. */
export function schemaOf(version: number): Schema {
  return { version, tables: Object.fromEntries(tablesOf(version)), migrations: MIGRATIONS };
}
