import { describe, expect, it } from 'vitest';
import { Pacer } from '../../../../src/cli/publishing/pacer.ts';

describe('Pacer', () => {
  it('sends the first event at once and keeps the distances of the rest, divided by the speed', () => {
    const pacer = new Pacer(10);
    expect(pacer.waitMs(1_000_000, 500)).toBe(0);
    expect(pacer.waitMs(1_001_000, 500)).toBe(100);
    expect(pacer.waitMs(1_001_000, 590)).toBe(10);
  });

  it('does not wait for what is already late, nor at full speed', () => {
    const pacer = new Pacer(1);
    pacer.waitMs(0, 0);
    expect(pacer.waitMs(1000, 5000)).toBe(0);
    expect(new Pacer(Number.POSITIVE_INFINITY).waitMs(1e12, 0)).toBe(0);
  });
});
