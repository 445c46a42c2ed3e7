/** The store as JavaScript, for child processes that are to be killed, traced or starved. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const REPOSITORY = resolve(import.meta.dirname, '../..');

/** Compiles `src/store` with what it imports and returns the path of the compiled `store.js`. */
export function compileStore(): string {
  // Inside the repository, so that packages are found from there.
  const folder = join(REPOSITORY, 'node_modules/.cache/millwright-store');
  mkdirSync(folder, { recursive: true });
  const config = join(folder, 'tsconfig.json');
  const compilerOptions = { noEmit: false, rootDir: join(REPOSITORY, 'src'), outDir: join(folder, 'out') };
  const files = ['store/store.ts', 'telemetry/logger.ts'].map((file) => join(REPOSITORY, 'src', file));
  writeFileSync(
    config,
    JSON.stringify({ extends: join(REPOSITORY, 'tsconfig.json'), compilerOptions, files, include: [] }),
  );
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  execFileSync(process.execPath, [join(REPOSITORY, 'node_modules/typescript/bin/tsc'), '-p', config], {
    stdio: 'inherit',
  });
  return join(folder, 'out/store/store.js');
}
