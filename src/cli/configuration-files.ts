/** The schema enters, the two files generated from it leave: the JSON Schema for editors and the annotated example. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exampleYaml, schemaJson } from '../config/generate.ts';
import { describeError, GatewayError } from '../errors.ts';
import { makeDirectory } from '../store/make-directory.ts';

/** Writes both into `directory` and returns their paths. @throws GatewayError MW_USAGE when it cannot be written */
export function writeGeneratedFiles(directory: string): string[] {
  const files: [string, string][] = [
    ['gateway.schema.json', schemaJson()],
    ['gateway.example.yaml', exampleYaml()],
  ];
  try {
    makeDirectory(directory);
    return files.map(([name, content]) => {
      const path = join(directory, name);
      writeFileSync(path, content);
      return path;
    });
  } catch (error) {
    throw new GatewayError('MW_USAGE', `cannot write to ${directory}: ${describeError(error)}`, {
      cause: error,
      hint: 'check the folder given with --write-schema and its permissions',
    });
  }
}
