#!/usr/bin/env node
/**
 * A fresh clone enters, a tree that runs leaves: checks Node, installs the packages, builds. What is up to date is
 * skipped, so the second run costs a few hundredths of a second.
 *
 * Plain JavaScript without packages, and old enough in its syntax for a Node that is too old to be told so.
 */

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(fileURLToPath(import.meta.url));
const NODE_MINIMUM = [20, 19];
const HEARTBEAT_MS = 20_000;
const INSTALL_STAMP = join(ROOT, 'node_modules', '.millwright-install');
const BUILD_STAMP = join(ROOT, 'dist', '.millwright-build');
/** Files of the page, served as they are. */
const STATIC_DIR = join('http', 'page');

function fail(message, hint) {
  process.stderr.write(`error: ${message}\nTry: ${hint}\n`);
  process.exit(1);
}

function say(message) {
  process.stderr.write(`setup: ${message}\n`);
}

function readOrEmpty(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1])) return;
  fail(
    `Node >= ${NODE_MINIMUM.join('.')} is needed, this is ${process.versions.node}`,
    'install a current Node, https://nodejs.org or your package manager',
  );
}

/** What decides whether node_modules fits: the lock file, and the Node that native modules were built for. */
function installKey() {
  const lock = readFileSync(join(ROOT, 'package-lock.json'));
  const { modules } = process.versions;
  return `${createHash('sha256').update(lock).digest('hex')} abi ${modules} ${process.platform}-${process.arch}\n`;
}

/** One line of npm's answer, '' where it has none. */
function askNpm(args) {
  const { stdout } = spawnSync('npm', args, {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  const answer = (stdout ?? '').trim();
  return answer === 'undefined' || answer === 'null' ? '' : answer;
}

function installEnvironment() {
  // The package holds the CPU runtime already; its install script would fetch GPU libraries from elsewhere.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
  // npm 10 hands settings to scripts by this name; npm 11 warns about it, and runs no script it was not told to trust.
  if (Number.parseInt(askNpm(['--version']), 10) < 11) env.npm_config_onnxruntime_node_install = 'skip';
  // Where no prebuilt SQLite binding can be downloaded it is compiled, and the headers may lie beside this Node.
  const prefix = dirname(dirname(process.execPath));
  if (existsSync(join(prefix, 'include', 'node', 'node.h')) && askNpm(['config', 'get', 'nodedir']) === '') {
    env.npm_config_nodedir = prefix;
  }
  return env;
}

function missingBuildTools() {
  const wanted = ['make', 'g++', 'python3'];
  return wanted.filter((tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined);
}

/** Resolves with npm's exit code, or the error that kept it from starting. A line now and then shows that it lives. */
function runNpm(args, env) {
  return new Promise((resolve) => {
    const startedAt = Date.now();
    // npm is a script on Windows; elsewhere it is started directly.
    const child = spawn('npm', args, {
      cwd: ROOT,
      env,
      stdio: ['ignore', 2, 2],
      shell: process.platform === 'win32',
    });
    const heartbeat = setInterval(() => {
      say(
        `still at it, ${Math.round((Date.now() - startedAt) / 1000)} s (compiling SQLite takes the longest)`,
      );
    }, HEARTBEAT_MS);
    const done = (result) => {
      clearInterval(heartbeat);
      resolve(result);
    };
    child.on('error', (error) => done({ status: null, error }));
    child.on('exit', (status) => done({ status }));
  });
}

function failInstall(result) {
  if (result.error !== undefined)
    fail(`npm could not be started: ${result.error.message}`, 'install npm beside Node');
  const missing = missingBuildTools();
  if (missing.length > 0) {
    fail(
      `the SQLite binding has to be compiled here; missing: ${missing.join(', ')}`,
      'sudo apt-get install -y build-essential python3',
    );
  }
  fail(
    'npm ci did not finish (its own words are above)',
    'check the connection to the package registry, then run this again',
  );
}

function loads(name) {
  try {
    const loaded = createRequire(join(ROOT, 'package.json'))(name);
    // The SQLite binding is opened with the first database, not with the module.
    if (name === 'better-sqlite3') new loaded(':memory:').close();
    return null;
  } catch (error) {
    return String(error.message).split('\n')[0];
  }
}

async function install() {
  const key = installKey();
  if (readOrEmpty(INSTALL_STAMP) === key) return;
  if (adoptInstalled(key)) return;
  say('installing packages (npm ci), once; some minutes on a small device ...');
  const env = installEnvironment();
  const result = await runNpm(['ci', '--no-audit', '--no-fund', '--loglevel=notice'], env);
  if (result.status !== 0) failInstall(result);
  let problem = loads('better-sqlite3');
  if (problem !== null) {
    // npm 11 leaves out install scripts that it was not told to trust; this one is needed.
    say('building the SQLite binding ...');
    await runNpm(['rebuild', 'better-sqlite3', '--foreground-scripts'], env);
    problem = loads('better-sqlite3');
  }
  if (problem !== null) {
    const missing = missingBuildTools();
    fail(
      `better-sqlite3 does not load: ${missing.length > 0 ? `it could not be compiled, missing: ${missing.join(', ')}` : problem}`,
      'sudo apt-get install -y build-essential python3, then run this again',
    );
  }
  const onnx = loads('onnxruntime-node');
  if (onnx !== null) {
    fail(
      `onnxruntime-node does not load: ${onnx}`,
      'this needs 64-bit Linux (glibc >= 2.28), macOS or Windows; see README',
    );
  }
  writeFileSync(INSTALL_STAMP, key);
}

/** An `npm ci` of one's own, just done, is as good: npm's hidden lock file then holds the same packages. */
function adoptInstalled(key) {
  const hidden = readOrEmpty(join(ROOT, 'node_modules', '.package-lock.json'));
  if (hidden === '') return false;
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  const have = JSON.parse(hidden).packages;
  const same = Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional === true || have[path]?.version === entry.version,
  );
  if (!same || loads('better-sqlite3') !== null || loads('onnxruntime-node') !== null) return false;
  writeFileSync(INSTALL_STAMP, key);
  return true;
}

function filesUnder(dir) {
  return readdirSync(dir, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(dir, entry.name);
      return entry.isDirectory() ? filesUnder(path) : [path];
    });
}

/** Names, sizes and times of everything the build reads. */
function buildKey(sources) {
  const hash = createHash('sha256');
  for (const path of [
    ...sources,
    join(ROOT, 'tsconfig.json'),
    join(ROOT, 'tsconfig.build.json'),
    INSTALL_STAMP,
  ]) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${relative(ROOT, path)}\0${size}\0${mtimeMs}\n`);
  }
  return `${hash.digest('hex')}\n`;
}

function build() {
  const src = join(ROOT, 'src');
  const dist = join(ROOT, 'dist');
  const sources = filesUnder(src);
  const key = buildKey(sources);
  if (readOrEmpty(BUILD_STAMP) === key) return;
  say('building ...');
  // Its notes of the last build do not see outputs that were deleted since.
  rmSync(join(dist, '.tsbuildinfo'), { force: true });
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const result = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
  });
  if (result.status !== 0) fail('the build failed (messages above)', 'npm run check');
  const expected = new Set(['.tsbuildinfo', '.millwright-build']);
  for (const path of sources) {
    const name = relative(src, path);
    if (name.endsWith('.ts')) {
      const stem = name.slice(0, -3);
      expected.add(`${stem}.js`).add(`${stem}.js.map`);
    } else if (name.startsWith(STATIC_DIR)) {
      mkdirSync(dirname(join(dist, name)), { recursive: true });
      copyFileSync(path, join(dist, name));
      expected.add(name);
    }
  }
  // What was removed or renamed in src must not live on in dist.
  for (const path of filesUnder(dist)) if (!expected.has(relative(dist, path))) rmSync(path);
  writeFileSync(BUILD_STAMP, key);
}

checkNode();
await install();
build();
