import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Delivery } from '../../../src/forward/delivery.ts';
import type { Rejection } from '../../../src/forward/write-outcome.ts';

type Server = (sent: readonly number[]) => Rejection | null;

/** Refuses a request with a bad line. `stored` is what such a server keeps. */
function server(bad: ReadonlySet<number>, keepsGood: boolean, stored: Set<number>): Server {
  return (sent) => {
    const refused = sent.filter((index) => bad.has(index));
    if (refused.length === 0 || keepsGood) for (const index of sent) if (!bad.has(index)) stored.add(index);
    if (refused.length === 0) return null;
    return { kind: 'rejected', message: `line ${refused[0]} is bad`, droppedLines: null, aboutLines: true };
  };
}

/** Runs to the end; returns the number of requests. `interrupt` is asked before each: true loses the connection. */
function run(delivery: Delivery, answer: Server, maxLines: number, interrupt = () => false): number {
  let requests = 0;
  while (delivery.blocked === null) {
    const sent = delivery.next(maxLines);
    if (sent.length === 0) break;
    requests++;
    if (interrupt()) continue;
    const why = answer(sent);
    if (why === null) delivery.accepted(sent.length);
    else delivery.rejected(sent.length, why);
  }
  return requests;
}

const lines = (n: number) => Array.from({ length: n }, (_, i) => `m v=${i} ${i}`);

const cases = fc.integer({ min: 1, max: 300 }).chain((n) =>
  fc.record({
    n: fc.constant(n),
    bad: fc.uniqueArray(fc.integer({ min: 0, max: n - 1 }), { maxLength: 12 }),
    keepsGood: fc.boolean(),
  }),
);

describe('Delivery', () => {
  it('gives up exactly the bad lines and stores all others, with a server that keeps the good ones or none', () => {
    fc.assert(
      fc.property(cases, fc.integer({ min: 1, max: 300 }), ({ n, bad, keepsGood }, maxLines) => {
        const stored = new Set<number>();
        const delivery = new Delivery(lines(n));
        run(delivery, server(new Set(bad), keepsGood, stored), maxLines);
        expect([...delivery.dead.keys()].sort((a, b) => a - b)).toEqual([...bad].sort((a, b) => a - b));
        expect(stored.size).toBe(n - bad.length);
        expect(delivery.delivered).toBe(n - bad.length);
        expect(delivery.blocked).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it('tells each dead line in the words the server had for it', () => {
    fc.assert(
      fc.property(cases, ({ n, bad, keepsGood }) => {
        const delivery = new Delivery(lines(n));
        run(delivery, server(new Set(bad), keepsGood, new Set()), n);
        for (const [index, message] of delivery.dead) expect(message).toBe(`line ${index} is bad`);
      }),
    );
  });

  /** Σ(i < k) (⌈log2(n - i)⌉ + 1), and one for the good lines that remain. */
  function mostRequests(n: number, k: number): number {
    let most = k < n ? 1 : 0;
    for (let i = 0; i < k; i++) most += Math.ceil(Math.log2(n - i)) + 1;
    return most;
  }

  it('takes at most Σ(i<k)(⌈log2(n-i)⌉ + 1) + [k<n] requests for k bad among n lines', () => {
    fc.assert(
      fc.property(cases, ({ n, bad, keepsGood }) => {
        const requests = run(new Delivery(lines(n)), server(new Set(bad), keepsGood, new Set()), n);
        expect(requests).toBeLessThanOrEqual(mostRequests(n, bad.length));
        expect(mostRequests(n, bad.length)).toBeLessThanOrEqual(
          bad.length * (Math.ceil(Math.log2(n)) + 1) + 1,
        );
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps to that bound for every choice of bad lines, and needs all of it for one or for all', () => {
    for (let n = 1; n <= 9; n++) {
      const worst = new Array<number>(n + 1).fill(0);
      for (let choice = 0; choice < 2 ** n; choice++) {
        const bad = new Set(Array.from({ length: n }, (_, i) => i).filter((i) => (choice >> i) & 1));
        const requests = run(new Delivery(lines(n)), server(bad, false, new Set()), n);
        expect(requests).toBeLessThanOrEqual(mostRequests(n, bad.size));
        worst[bad.size] = Math.max(worst[bad.size]!, requests);
      }
      expect(worst[n]).toBe(mostRequests(n, n));
      if (n > 1) expect(worst[1]).toBe(mostRequests(n, 1));
    }
  });

  it('needs three requests for two lines, one of them bad, as any strategy does: k·⌈log2 n⌉ + 1 would be two', () => {
    // The second request may be either line alone; the one that is bad is refused, and the other still has to go.
    for (const bad of [0, 1]) {
      const requests = run(new Delivery(lines(2)), server(new Set([bad]), false, new Set()), 2);
      expect(requests).toBe(bad === 0 ? 3 : 2);
    }
    expect(mostRequests(2, 1)).toBe(3);
  });

  it('loses nothing when connections break in the middle of the search', () => {
    fc.assert(
      fc.property(cases, fc.infiniteStream(fc.boolean()), ({ n, bad, keepsGood }, breaks) => {
        const stored = new Set<number>();
        const delivery = new Delivery(lines(n));
        run(delivery, server(new Set(bad), keepsGood, stored), n, () => breaks.next().value === true);
        expect(stored.size + delivery.dead.size).toBe(n);
        expect(delivery.dead.size).toBe(bad.length);
      }),
    );
  });

  it('asks for the same lines again until something is reported about them', () => {
    const delivery = new Delivery(lines(10));
    expect(delivery.next(4)).toEqual([0, 1, 2, 3]);
    expect(delivery.next(4)).toEqual([0, 1, 2, 3]);
    delivery.accepted(4);
    expect(delivery.next(4)).toEqual([4, 5, 6, 7]);
  });

  it('gives up a whole request at once when the server says it dropped every line of it', () => {
    const delivery = new Delivery(lines(5000));
    const answer: Server = (sent) =>
      sent.some((index) => index < 1000)
        ? {
            kind: 'rejected',
            message: 'partial write: points beyond retention policy',
            droppedLines: sent.filter((index) => index < 1000).length,
            aboutLines: true,
          }
        : null;
    const requests = run(delivery, answer, 5000);
    expect(delivery.dead.size).toBe(1000);
    expect(delivery.delivered).toBe(4000);
    expect(requests).toBeLessThan(40);
  });

  it('finds a field that changed its type in every tenth line with a handful of requests', () => {
    const all = Array.from({ length: 2000 }, (_, i) =>
      i % 10 === 0 ? `m,n=${i} a=1,v="x" 1` : `m,n=${i} a=1,v=2 1`,
    );
    const delivery = new Delivery(all);
    const answer: Server = (sent) => {
      const dropped = sent.filter((index) => index % 10 === 0).length;
      const message = `partial write: field type conflict: input field "v" on measurement "m" is type string, already exists as type float dropped=${dropped}`;
      return dropped === 0 ? null : { kind: 'rejected', message, droppedLines: dropped, aboutLines: true };
    };
    expect(run(delivery, answer, 2000)).toBe(3);
    expect(delivery.dead.size).toBe(200);
  });

  it('is not led astray by a server whose hints are wrong', () => {
    const all = lines(64);
    const delivery = new Delivery(all);
    const answer: Server = (sent) =>
      sent.includes(40)
        ? {
            kind: 'rejected',
            message: `unable to parse '${all[sent[0]!]}'`,
            droppedLines: null,
            aboutLines: true,
          }
        : null;
    run(delivery, answer, 64);
    expect([...delivery.dead.keys()]).toEqual([40]);
    expect(delivery.delivered).toBe(63);
  });

  describe('with answers that do not speak of lines', () => {
    const refusal: Rejection = {
      kind: 'rejected',
      message: 'HTTP 400: bad request',
      droppedLines: null,
      aboutLines: false,
    };

    it('gives nothing up when the server refuses everything, and finds out with few requests', () => {
      const delivery = new Delivery(lines(5000));
      const requests = run(delivery, () => refusal, 5000);
      expect(delivery.blocked).toBe('HTTP 400: bad request');
      expect(delivery.dead.size).toBe(0);
      expect(requests).toBeLessThan(45);
    });

    it('gives up the one line that is refused while the others are taken', () => {
      const delivery = new Delivery(lines(100));
      run(delivery, (sent) => (sent.includes(0) ? refusal : null), 100);
      expect([...delivery.dead.keys()]).toEqual([0]);
    });

    it('does not give up a single line before other lines were taken', () => {
      const delivery = new Delivery(lines(1));
      run(delivery, () => refusal, 1);
      expect(delivery.blocked).not.toBeNull();
      delivery.trust();
      expect(delivery.blocked).toBeNull();
      run(delivery, () => refusal, 1);
      expect([...delivery.dead.keys()]).toEqual([0]);
    });

    it('asks with a line it knows to be good before it gives up the last one', () => {
      const delivery = new Delivery(lines(2));
      const sent: (readonly number[])[] = [];
      run(
        delivery,
        (indices) => {
          sent.push(indices);
          return indices.includes(1) ? refusal : null;
        },
        2,
      );
      expect(sent).toEqual([[0, 1], [0], [0], [1]]);
      expect([...delivery.dead.keys()]).toEqual([1]);
    });

    it('gives nothing up when the refusals begin or end in the middle', () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 64 }), fc.nat(20), fc.boolean(), (n, turn, refusesFirst) => {
          let requests = 0;
          const flips: Server = () => (requests++ < turn === refusesFirst ? refusal : null);
          const delivery = new Delivery(lines(n));
          run(delivery, flips, n);
          expect(delivery.dead.size).toBe(0);
        }),
        { numRuns: 1000 },
      );
    });
  });

  it('gives up a point without a line, and nothing else, without a request', () => {
    const delivery = new Delivery(['', 'm v=1 1', '']);
    expect(delivery.next(10)).toEqual([1]);
    expect([...delivery.dead.keys()]).toEqual([0, 2]);
  });
});
