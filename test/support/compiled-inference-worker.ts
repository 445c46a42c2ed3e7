/** The inference process as JavaScript: child processes do not read TypeScript. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const REPOSITORY = resolve(import.meta.dirname, '../..');

/** Compiles the entry file with what it imports and returns its URL. */
export function compileInferenceWorker(): URL {
  // Inside the repository, so that packages are found from there.
  const folder = join(REPOSITORY, 'node_modules/.cache/millwright-inference');
  mkdirSync(folder, { recursive: true });
  const config = join(folder, 'tsconfig.json');
  const compilerOptions = { noEmit: false, rootDir: join(REPOSITORY, 'src'), outDir: join(folder, 'out') };
  const files = [join(REPOSITORY, 'src/inference/inference-worker.ts')];
  writeFileSync(
    config,
    JSON.stringify({ extends: join(REPOSITORY, 'tsconfig.json'), compilerOptions, files, include: [] }),
  );
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  execFileSync(process.execPath, [join(REPOSITORY, 'node_modules/typescript/bin/tsc'), '-p', config], {
    stdio: 'inherit',
  });
  return pathToFileURL(join(folder, 'out/inference/inference-worker.js'));
}
