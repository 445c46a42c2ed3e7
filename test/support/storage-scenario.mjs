/**
 * The process that loses its power: `node storage-scenario.mjs <options as JSON>`. Says on standard output, one line
 * each and written before anything else happens, what it acknowledged (`a <tick>`) and what it delivered (`d <points>`).
 * In between stand the lines of power-cut.c (`p <call>`), which then waits for a byte on standard input.
 */

import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { commitMessages, computeClosed, deliver, startDrive } from './storage-drive.mjs';

const { dist, planPath, config, fromTick, toTick, end, defaultSynchronous } = JSON.parse(process.argv[2]);
if (defaultSynchronous) {
  // The control: the same store, had it left `synchronous` as it comes.
  const pragma = Database.prototype.pragma;
  Database.prototype.pragma = function (text, ...rest) {
    return text.startsWith('synchronous') ? [] : pragma.call(this, text, ...rest);
  };
}
const load = (path) => import(join(dist, path));
const parts = ['pipeline-assembly', 'record-ring', 'system-clock'];
const modules = Object.assign({}, ...(await Promise.all(parts.map((part) => load(`runtime/${part}.js`)))));
const { channels, ticks } = JSON.parse(readFileSync(planPath, 'utf8'));
const say = (text) => writeSync(1, `${text}\n`);

const drive = startDrive(modules, config);
const { store } = drive.assembly;
say('open');
for (let tick = fromTick; tick < toTick; tick += 1) {
  commitMessages(drive, channels, ticks[tick]);
  say(`a ${tick}`);
  computeClosed(drive);
  if (tick % 2 === 1)
    deliver(drive, tick % 4 === 1 ? 'backlog' : 'live', (points) => say(`d ${JSON.stringify(points)}`));
  if (tick % 3 === 2) store.idleStep();
}
if (end === 'kill') process.kill(process.pid, 'SIGKILL');
store.close();
say('closed');
