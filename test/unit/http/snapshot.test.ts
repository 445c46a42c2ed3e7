import { describe, expect, it } from 'vitest';
import { renderBody, SnapshotBodies, withFeatureLimit } from '../../../src/http/snapshot.ts';
import { machineStatus, plantStatus } from '../../support/plant-status.ts';

const AT = 1_780_000_000_000;

describe('renderBody', () => {
  it('keeps the clock in the body and out of the tag', () => {
    const a = renderBody(plantStatus(AT), { machines: [] });
    const b = renderBody({ ...plantStatus(AT), atMs: AT + 5, uptimeS: 9 }, { machines: [] });
    const c = renderBody(plantStatus(AT), { machines: [1] });
    expect(JSON.parse(b.body)).toEqual({ atMs: AT + 5, uptimeS: 9, machines: [] });
    expect(a.etag).toBe(b.etag);
    expect(a.etag).not.toBe(c.etag);
  });

  it('is JSON even for a view with nothing in it', () => {
    expect(JSON.parse(renderBody(plantStatus(AT), {}).body)).toEqual({ atMs: AT, uptimeS: 3_723 });
  });

  it('writes null where a number is not one', () => {
    const machine = machineStatus(AT, { healthIndex: Number.NaN });
    expect(JSON.parse(renderBody(plantStatus(AT), machine).body)).toMatchObject({ healthIndex: null });
  });
});

describe('SnapshotBodies', () => {
  it('renders again only after a quarter of a second', () => {
    let now = 0;
    let asked = 0;
    const bodies = new SnapshotBodies(
      () => {
        asked++;
        return plantStatus(AT);
      },
      () => now,
    );
    bodies.body('a', () => ({}));
    now = 249;
    bodies.body('a', () => ({}));
    expect(asked).toBe(1);
    now = 250;
    bodies.body('a', () => ({}));
    expect(asked).toBe(2);
  });

  it('keeps a bounded number of characters, however large the bodies are', () => {
    let asked = 0;
    const bodies = new SnapshotBodies(
      () => {
        asked++;
        return plantStatus(AT);
      },
      () => 0,
    );
    const large = { note: 'x'.repeat(6_000_000) };
    for (const key of ['a', 'b', 'c']) bodies.body(key, () => large);
    bodies.body('c', () => large);
    bodies.body('b', () => large);
    expect(asked).toBe(3);
    bodies.body('a', () => large);
    expect(asked).toBe(4);
    expect(bodies.body('d', () => ({ note: 'x'.repeat(20_000_000) })).body.length).toBeGreaterThan(2e7);
  });

  it('keeps a bounded number of bodies, however many are asked for', () => {
    let asked = 0;
    const bodies = new SnapshotBodies(
      () => {
        asked++;
        return plantStatus(AT);
      },
      () => 0,
    );
    for (let i = 0; i < 100; i++) bodies.body(`machine ${i}`, () => ({}));
    bodies.body('machine 99', () => ({}));
    expect(asked).toBe(100);
    bodies.body('machine 0', () => ({}));
    expect(asked).toBe(101);
  });
});

describe('withFeatureLimit', () => {
  const machine = machineStatus(AT, {
    features: ['a', 'b', 'c', 'd'].map((id) => ({ id, unit: '1', value: 1 })),
    anomaly: { ...machineStatus(AT).anomaly!, contributions: [{ featureId: 'd', z: 9, share: 1 }] },
  });

  it('puts what explains an alarm first', () => {
    const troubled = { ...machine, state: 'alarm' } as const;
    expect(withFeatureLimit(troubled, 2).features.map((row) => row.id)).toEqual(['d', 'a']);
  });

  it('does not let the contributions of a healthy machine move its rows', () => {
    expect(withFeatureLimit(machine, 2).features.map((row) => row.id)).toEqual(['a', 'b']);
  });

  it('shows the headline of every channel before the rest', () => {
    const ids = [
      'vib.mean',
      'vib.rms',
      'vib.velocity_rms.10_1000',
      'a.b.std',
      'a.b.mean',
      'a.b.last',
      'run_hours',
    ];
    const features = ids.map((id) => ({ id, unit: '1', value: 1 }));
    const shown = (limit: number): string[] =>
      withFeatureLimit({ ...machine, features }, limit).features.map((row) => row.id);
    expect(shown(2)).toEqual(['vib.velocity_rms.10_1000', 'a.b.mean']);
    expect(shown(4)).toEqual(['vib.velocity_rms.10_1000', 'a.b.mean', 'vib.mean', 'vib.rms']);
  });

  it('leaves a short list as it is', () => {
    expect(withFeatureLimit(machine, 4)).toBe(machine);
  });
});
