/** Which configuration values are secrets, and what is shown in their place. */

import type { JsonPath } from './json-path.ts';

/** What stands for a secret in every text the gateway prints. */
export const MASK = '***';

const SECRET_KEYS: ReadonlySet<string> = new Set(['password', 'token']);

/** True for keys whose values are never printed, logged or served. */
export function isSecretKey(key: string): boolean {
  return SECRET_KEYS.has(key);
}

/** True if the value at `path` is a secret or lies inside one. */
export function isSecretPath(path: JsonPath): boolean {
  return path.some((part) => typeof part === 'string' && isSecretKey(part));
}

// The scheme may hide in a longer text, so this is not anchored; userinfo ends at the last @ before the path.
const USERINFO = /([a-z][a-z0-9+.-]*:\/\/)[^/?#\s]*@/gi;

/** True if a URL in the text carries user name or password. */
export function hasUserinfo(text: string): boolean {
  return text.search(USERINFO) !== -1;
}

/** The text with the userinfo of every URL in it masked. */
export function maskUrls(text: string): string {
  return text.replace(USERINFO, `$1${MASK}@`);
}

/** A deep copy in which every non-empty secret reads `***`, URL userinfo included. */
export function maskSecrets(value: unknown): unknown {
  if (typeof value === 'string') return maskUrls(value);
  if (Array.isArray(value)) return value.map(maskSecrets);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      isSecretKey(key) && inner !== '' && inner !== undefined && inner !== null ? MASK : maskSecrets(inner),
    ]),
  );
}
