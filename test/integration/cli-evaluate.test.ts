import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli-broker.ts';
import { findInfluxd, startInflux } from '../support/influx.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millwright-evaluate-'));
  writeFileSync(join(dir, 'RUL_FD001.txt'), '100\n50\n140\n7\n');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Earlier answers are far off, so that taking another than the last would show. */
const LINES = [
  'machine_assessment,machine=FD001-test-001,machine_class=turbofan rul=500,rul_low=0,rul_high=1 1700000000000',
  'machine_assessment,machine=FD001-test-001,machine_class=turbofan rul=103,rul_low=95,rul_high=110,score_state="scored" 1700000060000',
  'machine_assessment,machine=FD001-test-002,machine_class=turbofan rul=46,rul_low=40,rul_high=48 1700000060000',
  'machine_assessment,machine=FD001-test-003,machine_class=turbofan rul=125,rul_low=120,rul_high=130 1700000060000',
  'machine_assessment,machine=FD001-test-003,machine_class=turbofan score_state="none" 1700000120000',
  'machine_health,machine=FD001-test-001,machine_class=turbofan state="alarm",state_index=4 1700000060000',
  'machine_features,machine=FD001-test-001,machine_class=turbofan rul=-1 1700000180000',
].join('\n');

describe.skipIf(findInfluxd() === null)('millwright evaluate against InfluxDB', () => {
  it('scores the last answer of each machine, read with Flux, as worked by hand', async () => {
    const influx = await startInflux();
    try {
      const response = await fetch(
        `${influx.url}/api/v2/write?org=${influx.org}&bucket=${influx.bucket}&precision=ms`,
        {
          method: 'POST',
          headers: { authorization: `Token ${influx.token}` },
          body: LINES,
        },
      );
      expect(response.status).toBe(204);
      const args = [
        'evaluate',
        '--task',
        'rul',
        '--influx',
        influx.url,
        '--org',
        influx.org,
        '--bucket',
        influx.bucket,
      ];
      const { code, stdout, stderr } = await runCli([...args, '--json', join(dir, 'RUL_FD001.txt')], {
        env: { INFLUX_TOKEN: influx.token },
      });
      expect(stderr).toBe('');
      expect(code).toBe(0);
      const report = JSON.parse(stdout);
      expect(report.missing).toEqual(['FD001-test-004']);
      expect(report.capped.machines).toBe(3);
      expect(report.capped.rmse).toBeCloseTo(Math.sqrt(25 / 3), 12);
      expect(report.raw.rmse).toBeCloseTo(Math.sqrt(250 / 3), 12);
      expect(report.capped.picp).toBeCloseTo(2 / 3, 12);
      const wrong = await runCli([...args, join(dir, 'RUL_FD001.txt')], { env: { INFLUX_TOKEN: 'wrong' } });
      expect(wrong.code).toBe(1);
      expect(wrong.stderr).toMatch(/error: InfluxDB at .*: 401/);
      expect(wrong.stderr).toContain('Try: ');
    } finally {
      await influx.stop();
    }
  });
});

describe('millwright evaluate on tables', () => {
  it('scores anomalies by state beside the flag-everything baseline', async () => {
    mkdirSync(join(dir, 'valve1'), { recursive: true });
    const run = join(dir, 'valve1', '9.csv');
    const rows = Array.from(
      { length: 12 },
      (_, i) => `2020-03-01 10:00:${String(i).padStart(2, '0')};1.0;${i >= 6 ? '1.0' : '0.0'};0.0`,
    );
    writeFileSync(run, ['datetime;Current;anomaly;changepoint', ...rows].join('\n'));
    const startMs = Date.UTC(2020, 2, 1, 10);
    // Windows of 2 s: the one from 6 s to 8 s says warning, known from second 8 on.
    const answers = join(dir, 'answers.csv');
    const states = ['healthy', 'healthy', 'healthy', 'warning', 'alarm', 'healthy'];
    writeFileSync(
      answers,
      ['machine,time_ms,state', ...states.map((s, i) => `skab-valve1-9,${startMs + i * 2000},${s}`)].join(
        '\n',
      ),
    );
    const args = ['evaluate', '--task', 'anomaly', '--answers', answers, '--train-rows', '2', run];
    const { code, stdout } = await runCli([...args, '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.windowMs).toBe(2000);
    // Rows 2..11: anomalous 6..11, flagged 8..11.
    expect(report.pooled).toMatchObject({
      rows: 10,
      truePositives: 4,
      falseNegatives: 2,
      falsePositives: 0,
      trueNegatives: 4,
    });
    expect(report.allOnes.f1).toBeCloseTo(6 / (6 + 4 / 2), 12);
    const table = await runCli(args);
    expect(table.stdout).toMatch(/every row flagged/);
  });

  it('says that there is nothing to score', async () => {
    const answers = join(dir, 'none.csv');
    writeFileSync(answers, 'machine,time_ms,rul\n');
    const { code, stderr } = await runCli([
      'evaluate',
      '--task',
      'rul',
      '--answers',
      answers,
      join(dir, 'RUL_FD001.txt'),
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: there are no answers to score\nTry: /);
  });
});
