/** What every HTTP answer carries and which requests are refused before any route sees them. */

import { isLoopback } from '../domain/loopback.ts';

/**
 * Sent with every answer, errors included. The page needs its own script, style and API, nothing else; scripts that
 * an attacker's machine name might smuggle in have no way to run (no inline, no eval, no markup from text).
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

/**
 * Guard against DNS rebinding: a foreign page that points its own name at 127.0.0.1 would otherwise read the API
 * through the operator's browser. Bound to loopback, only loopback names are answered; bound to a network address,
 * the gateway cannot know the names it goes by, and every one is.
 * @param hostHeader as sent; undefined or malformed is refused
 */
export function isHostAllowed(hostHeader: string | undefined, boundHost: string): boolean {
  if (hostHeader === undefined) return false;
  const match = /^(\[[0-9a-f:.]+\]|[^:/?#@[\]\s]+)(?::\d{1,5})?$/i.exec(hostHeader);
  if (match === null) return false;
  return !isLoopback(boundHost) || isLoopback(match[1]!);
}
