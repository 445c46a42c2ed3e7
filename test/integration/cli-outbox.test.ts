import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Point } from '../../src/domain/point.ts';
import { runCli } from '../support/cli-broker.ts';
import { type StoreFolder, storeFolder, unit } from '../support/store.ts';

const point = (timeMs: number): Point => ({
  pointClass: 'aggregate',
  measurement: 'machine_features',
  tags: { machine: 'pump 1', machine_class: 'pump' },
  fields: { rms: 0.1 + 0.2, quality: 'good' },
  timeMs,
});

const result = (points: Point[]) => ({
  machine: 'pump 1',
  closedUntilMs: points.at(-1)!.timeMs,
  points,
  stateWrites: [],
});

/** Text that would move a cursor, were it printed as it is. */
const HOSTILE = 'bad\u001b[2Jpayload\u202e';

let folder: StoreFolder;
let config: string;
beforeEach(() => {
  folder = storeFolder();
  config = join(folder.path, 'gateway.yaml');
  const text = `dataDir: ${folder.path}
ingest: { embedded: { allowAnonymous: true } }
machineClasses: { pump: { topics: ['p/{machine}/{channel}'], channels: { temp: {} } } }
sinks: { influx: { type: influxdb2, url: 'http://127.0.0.1:1', token: x } }
`;
  writeFileSync(config, text, { mode: 0o600 });
});
afterEach(() => folder.remove());

function fill() {
  const store = folder.open();
  store.commit(unit({ results: [result([point(1000), point(2000)])] }));
  const letter = {
    reason: 'malformed_json' as const,
    detail: 'Unexpected token',
    source: 'p/pump-1/temp',
    receivedMs: 5,
  };
  store.commit(
    unit({ results: [result([point(3000)])], deadLetters: [{ ...letter, payload: Buffer.from(HOSTILE) }] }),
  );
  return store;
}

describe('millwright outbox', () => {
  it('shows backlog, accounts and dead letters, also while a gateway holds the store', async () => {
    const store = fill();
    try {
      const { code, stdout } = await runCli(['outbox', 'stats', '--data-dir', folder.path, '--json']);
      expect(code).toBe(0);
      const stats = JSON.parse(stdout);
      expect(stats.sinks).toMatchObject([{ sink: 'influx', points: 3 }]);
      expect(stats.deadLetters).toEqual({ malformed_json: 1 });
      expect(stats.ledger.points).toMatchObject([{ sink: 'influx', produced: 3, pending: 3, delivered: 0 }]);
      const text = await runCli(['outbox', 'stats', '--config', config]);
      expect(text.stdout).toMatch(/^influx +3 /m);
      expect(text.stdout).toContain('dead letters: 1 malformed_json');
    } finally {
      store.close();
    }
  });

  it('lists batches with their times', async () => {
    fill().close();
    const { stdout } = await runCli(['outbox', 'list', '--data-dir', folder.path, '--json']);
    expect(JSON.parse(stdout)).toMatchObject([
      { class: 'aggregate', points: 2, from: '1970-01-01T00:00:01.000Z', to: '1970-01-01T00:00:02.000Z' },
      { class: 'aggregate', points: 1 },
    ]);
    expect(
      JSON.parse(
        (await runCli(['outbox', 'list', '--data-dir', folder.path, '--json', '--limit', '1'])).stdout,
      ),
    ).toHaveLength(1);
  });

  it('shows dead letters without letting their bytes command the terminal, and verbatim as JSON', async () => {
    fill().close();
    const { stdout } = await runCli(['outbox', 'dead-letters', '--data-dir', folder.path]);
    expect(stdout).toMatch(/malformed_json {2}p\/pump-1\/temp/);
    expect(stdout).toContain('bad\\u001b[2Jpayload\\u202e');
    expect(stdout).not.toContain('\u001b');
    const json = JSON.parse(
      (await runCli(['outbox', 'dead-letters', '--data-dir', folder.path, '--json'])).stdout,
    );
    expect(Buffer.from(json[0].payloadBase64, 'base64').toString()).toBe(HOSTILE);
    const none = await runCli(['outbox', 'dead-letters', '--data-dir', folder.path, '--reason', 'oversize']);
    expect(none.stdout).toBe('');
  });

  it('exports every waiting point as line protocol with exact numbers', async () => {
    fill().close();
    const out = join(folder.path, 'backlog.lp');
    const { code, stderr } = await runCli(['outbox', 'export', '--data-dir', folder.path, '--out', out]);
    expect(code).toBe(0);
    expect(stderr).toBe('3 points\n');
    const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
    expect(lines).toEqual(
      [1000, 2000, 3000].map(
        (t) =>
          `machine_features,machine=pump\\ 1,machine_class=pump rms=0.30000000000000004,quality="good" ${t}`,
      ),
    );
  });

  it('puts refused points back, beside the gateway that holds the store and without one, with and without configuration', async () => {
    const store = fill();
    const refuse = (batchId: number, points: readonly Point[]) =>
      store.settleOutbox('influx', batchId, {
        delivered: 0,
        deadLettered: points.map((p) => ({ point: p, reason: '422' })),
      });
    for (const { id, points } of store.readOutbox('influx', 10, 'backlog')) refuse(id, points);
    store.commit(unit({ results: [result([point(9000)])] }));
    expect(store.deadLetters({ reason: 'rejected_by_sink' }).length).toBe(3);
    const [one, ...others] = store.deadLetters({ reason: 'rejected_by_sink' }).map(({ id }) => String(id));
    // What the gateway's loop does.
    const idle = setInterval(() => store.idleStep(), 50);
    const running = await runCli(['outbox', 'requeue', one!, '--json', '--data-dir', folder.path]);
    clearInterval(idle);
    expect(running.stderr).toBe('');
    expect(JSON.parse(running.stdout)).toEqual({ requeued: 1, left: 0 });
    expect(store.backlog('influx').points).toBe(2);
    store.close();
    const alone = ['outbox', 'requeue', others[0]!, '--json', '--data-dir', folder.path];
    expect(JSON.parse((await runCli(alone)).stdout)).toEqual({ requeued: 1, left: 0 });
    const { code, stdout } = await runCli(['outbox', 'requeue', '--all', '--json', '--config', config]);
    expect(code).toBe(0);
    // The message from MQTT is none of a sink's and stays.
    expect(JSON.parse(stdout)).toEqual({ requeued: 1, left: 1 });
    const after = JSON.parse((await runCli(['outbox', 'stats', '--json', '--config', config])).stdout);
    expect(after.deadLetters).toEqual({ malformed_json: 1 });
    expect(after.ledger.points).toMatchObject([{ produced: 7, deadLettered: 3, pending: 4 }]);
    expect((await runCli(['outbox', 'requeue', '--config', config])).code).toBe(64);
  });

  it('names a data directory that is not there', async () => {
    const { code, stderr } = await runCli(['outbox', 'stats', '--data-dir', join(folder.path, 'nowhere')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: cannot read the store: .*\nTry: /);
  });
});
