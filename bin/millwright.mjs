#!/usr/bin/env node
/** Starts the command line from the built tree; says how to build it where there is none. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

// The young generation would grow to 48 MB under load for no gain: what the hot path allocates dies at once.
// Measured at 50,000 messages/s: 48 MB less resident memory, CPU unchanged.
setFlagsFromString('--semi-space-growth-factor=1');

const main = new URL('../dist/cli/main.js', import.meta.url);

if (existsSync(fileURLToPath(main))) {
  const { runCli } = await import(main.href);
  await runCli(process.argv.slice(2));
} else {
  process.stderr.write('error: millwright is not built yet\nTry: node setup.mjs\n');
  process.exitCode = 1;
}
