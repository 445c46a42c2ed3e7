/** One answered question about a device or a connection. */

export interface Verdict {
  /** What was looked at, a few words. */
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** What to do; empty when ok. */
  readonly hint: string;
}

export function ok(name: string, detail: string): Verdict {
  return { name, status: 'ok', detail, hint: '' };
}

export function warn(name: string, detail: string, hint: string): Verdict {
  return { name, status: 'warn', detail, hint };
}

export function fail(name: string, detail: string, hint: string): Verdict {
  return { name, status: 'fail', detail, hint };
}
