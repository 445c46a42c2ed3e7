/** A file on disk, gzipped or not, enters; its bytes leave, with the name that the formats read facts from. */

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describeError, GatewayError } from '../../errors.ts';

export interface SourceFile {
  /** As given by the user. */
  readonly path: string;
  /** File name without folder and without `.gz`. */
  readonly name: string;
  readonly bytes: Buffer;
}

/** @throws GatewayError MW_RECORDING when the file cannot be read or unpacked */
export function readSourceFile(path: string): SourceFile {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
    // gzip magic, RFC 1952 §2.3.1: the name may lie, the first bytes do not.
    if (bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  } catch (error) {
    throw new GatewayError('MW_RECORDING', `cannot read ${path}: ${describeError(error)}`, { cause: error });
  }
  return { path, name: basename(path).replace(/\.gz$/i, ''), bytes };
}

/** An unreadable place in a recording. */
export function recordingError(path: string, line: number | null, what: string): GatewayError {
  return new GatewayError('MW_RECORDING', `${path}${line === null ? '' : `:${line}`}: ${what}`);
}
