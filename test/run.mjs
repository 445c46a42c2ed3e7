/**
 * `npm test`: says which real servers and data the tests will meet, runs everything, and closes with one plain line.
 * Arguments go to vitest (`npm test -- --project unit`, `npm test -- test/unit/window`), but `--nightly`: it runs the
 * long forms of the fault tests (test/support/scale.ts), for hours.
 */

import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants as os, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Servers live here on Debian, and not on every user's PATH. */
const SERVER_DIRS = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin'];

function onPath(name) {
  for (const dir of [...(process.env.PATH ?? '').split(delimiter), ...SERVER_DIRS]) {
    try {
      accessSync(join(dir, name), constants.X_OK);
      return join(dir, name);
    } catch {
      // not in this folder
    }
  }
  return null;
}

function influxd() {
  const named = process.env.MILLWRIGHT_INFLUXD;
  if (named) return existsSync(named) ? named : null;
  const tools = join(ROOT, '..', 'shared', 'tools');
  const packed = existsSync(tools)
    ? readdirSync(tools).find((name) => /^influxd-.*\.xz$/.test(name))
    : undefined;
  return onPath('influxd') ?? (packed === undefined ? null : join(tools, packed));
}

function dataDir() {
  const dir = process.env.MILLWRIGHT_DATA ?? join(ROOT, '..', 'shared', 'data');
  return existsSync(join(dir, 'cmapss')) ? dir : null;
}

function libfaketime() {
  const roots = existsSync('/usr/lib') ? readdirSync('/usr/lib').map((name) => join('/usr/lib', name)) : [];
  return (
    roots.map((root) => join(root, 'faketime/libfaketimeMT.so.1')).find((path) => existsSync(path)) ?? null
  );
}

const NEEDS = [
  ['mosquitto', onPath('mosquitto'), 'tests against an external broker (apt-get install mosquitto)'],
  ['influxd', influxd(), 'tests against InfluxDB 2 (set MILLWRIGHT_INFLUXD)'],
  [
    'victoria-metrics',
    onPath('victoria-metrics'),
    'tests against VictoriaMetrics (apt-get install victoria-metrics)',
  ],
  ['strace', onPath('strace'), 'the test that counts flushes (apt-get install strace)'],
  ['libfaketime', libfaketime(), 'tests with a stepping system clock (apt-get install faketime)'],
  [
    'loop disks',
    process.getuid?.() === 0 && onPath('losetup') !== null ? onPath('mkfs.ext4') : null,
    'power cuts, read-only media and wear (run as root; apt-get install e2fsprogs)',
  ],
  [
    'chromium',
    onPath('chromium') ?? onPath('chromium-browser'),
    'tests of the page in a browser (apt-get install chromium)',
  ],
  ['data', dataDir(), 'tests on the public recordings (set MILLWRIGHT_DATA)'],
];

function announce() {
  for (const [name, path, tests] of NEEDS) {
    process.stdout.write(path === null ? `absent  ${name}: skips ${tests}\n` : `found   ${name}: ${path}\n`);
  }
}

/** Counts from vitest's JSON report; a file that could not even be loaded counts as one failure. */
function totals(reportPath) {
  const report = JSON.parse(readFileSync(reportPath, 'utf8'));
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function runVitest(reportPath) {
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`];
  const asked = process.argv.slice(2);
  const given = asked.filter((arg) => arg !== '--nightly');
  const env = { ...process.env };
  if (asked.length > given.length) env.MILLWRIGHT_NIGHTLY = '1';
  // Colour codes would hide the closing lines from whoever reads a log.
  if (!process.stdout.isTTY) Object.assign(env, { NO_COLOR: '1', FORCE_COLOR: undefined });
  const child = spawn(process.execPath, [vitest, ...args, ...given], {
    cwd: ROOT,
    env,
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.on('exit', (code, signal) => resolve(code ?? 128 + (os.signals[signal] ?? 0)));
  });
}

announce();
const scratch = mkdtempSync(join(tmpdir(), 'millwright-test-'));
try {
  const reportPath = join(scratch, 'report.json');
  const code = await runVitest(reportPath);
  const counted = existsSync(reportPath) ? totals(reportPath) : { passed: 0, failed: 1, skipped: 0 };
  process.stdout.write(`${counted.passed} passed, ${counted.failed} failed, ${counted.skipped} skipped\n`);
  process.exitCode = code === 0 && counted.failed > 0 ? 1 : code;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
