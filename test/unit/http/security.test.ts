import { describe, expect, it } from 'vitest';
import { isLoopback } from '../../../src/domain/loopback.ts';
import { isHostAllowed } from '../../../src/http/security.ts';

describe('isLoopback', () => {
  it.each(['127.0.0.1', '127.255.0.9', 'localhost', 'LOCALHOST', 'app.localhost', '::1', '[::1]'])(
    'knows %s',
    (host) => {
      expect(isLoopback(host)).toBe(true);
    },
  );

  it.each([
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '1127.0.0.1',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    'evil-localhost',
    '',
  ])('does not take %s for it', (host) => {
    expect(isLoopback(host)).toBe(false);
  });
});

describe('isHostAllowed', () => {
  it.each(['127.0.0.1', '127.0.0.1:8080', 'localhost:1', '[::1]:8080', 'a.localhost'])(
    'answers to %s on loopback',
    (host) => {
      expect(isHostAllowed(host, '127.0.0.1')).toBe(true);
    },
  );

  it.each([
    undefined,
    '',
    'evil.example',
    '127.0.0.1:',
    '127.0.0.1:80x',
    '127.0.0.1/x',
    'user@127.0.0.1',
    '127.0.0.1, evil.example',
    '[::1',
    '127.0.0.1#',
  ])('does not answer to %s on loopback', (host) => {
    expect(isHostAllowed(host, '127.0.0.1')).toBe(false);
  });

  it('answers to every well-formed name on the network', () => {
    expect(isHostAllowed('gateway.plant.example:80', '0.0.0.0')).toBe(true);
    expect(isHostAllowed(undefined, '0.0.0.0')).toBe(false);
    expect(isHostAllowed('a b', '0.0.0.0')).toBe(false);
  });
});
