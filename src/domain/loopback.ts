/** Which addresses only this machine can reach. */

const IPV4_LOOPBACK = /^127(\.\d{1,3}){3}$/;

/**
 * True for 127.0.0.0/8, ::1 (with or without brackets), `localhost` and names under it (RFC 6761 §6.3). The
 * unspecified addresses 0.0.0.0 and :: are reachable from everywhere, so false.
 */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || IPV4_LOOPBACK.test(name);
}
