#!/usr/bin/env node
/** Starts the command line from the built tree; says how to build it where there is none. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = new URL('../dist/cli/main.js', import.meta.url);

if (existsSync(fileURLToPath(main))) {
  // Before anything else is loaded: a young generation that grew while loading stays that large, 13 MB (test/bench).
  const { keepYoungGenerationSmall } = await import('../dist/runtime/young-generation.js');
  keepYoungGenerationSmall();
  const { runCli } = await import(main.href);
  await runCli(process.argv.slice(2));
} else {
  process.stderr.write('error: millwright is not built yet\nTry: node setup.mjs\n');
  process.exitCode = 1;
}
