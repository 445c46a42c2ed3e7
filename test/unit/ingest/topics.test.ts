import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AccessControl } from '../../../src/ingest/access-control.ts';
import { filterCovers, globMatches, topicMatches } from '../../../src/ingest/topic-filter.ts';
import { TopicRouter } from '../../../src/ingest/topic-router.ts';
import { testConfig } from '../../support/ingest-harness.ts';

const level = fc.constantFrom('a', 'b', 'ab', '', 'x');
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 0, maxLength: 3 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest || levels.length === 0 ? ['#'] : [])].join('/'));

describe('topic filters', () => {
  it.each([
    ['sport/tennis/#', 'sport/tennis', true],
    ['sport/tennis/#', 'sport/tennis/p1/ranking', true],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/x', false],
    ['+/x', '$SYS/x', false],
    ['$SYS/#', '$SYS/x', true],
    ['a/+/c', 'a/b/c', true],
    ['a/+/c', 'a/b/b', false],
    ['a', 'ab', false],
  ])('%s against %s is %s', (pattern, name, expected) => {
    expect(topicMatches(pattern, name)).toBe(expected);
  });

  it('cover another filter only if they match every topic it matches', () => {
    fc.assert(
      fc.property(filter, filter, topic, (allowed, requested, name) => {
        if (filterCovers(allowed, requested) && topicMatches(requested, name)) {
          expect(topicMatches(allowed, name)).toBe(true);
        }
      }),
      { numRuns: 5000 },
    );
    expect(filterCovers('a/+', 'a/#')).toBe(false);
    expect(filterCovers('a/#', 'a/+/b')).toBe(true);
    expect(filterCovers('#', '#')).toBe(true);
  });
});

describe('machine globs', () => {
  it('match as the equivalent regular expression does', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 8 });
    const glob = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 6 });
    fc.assert(
      fc.property(glob, text, (pattern, name) => {
        const source = pattern.replaceAll('*', '.*').replaceAll('?', '.');
        expect(globMatches(pattern, name)).toBe(new RegExp(`^${source}$`).test(name));
      }),
      { numRuns: 5000 },
    );
  });

  it('do not explode on many stars', () => {
    const before = performance.now();
    expect(globMatches('*a'.repeat(32), `${'a'.repeat(500)}b`)).toBe(false);
    expect(performance.now() - before).toBeLessThan(100);
  });
});

describe('TopicRouter', () => {
  const config = testConfig({
    pumps: { machines: ['pump-*'], topics: ['f/{machine}/{channel}'], channels: { '*': {} } },
    rest: {
      topics: ['f/{machine}/{channel}', 'line/{channel}/of/{machine}'],
      channels: { temp: {}, vib: { payload: { format: 'number' } } },
    },
  });
  const router = () => new TopicRouter(config.machineClasses, [], { maxChannels: 100 });

  it('chooses the first class whose machines match', () => {
    expect(router().route('f/pump-7/temp')?.machine).toMatchObject({
      machineClass: 'pumps',
      machine: 'pump-7',
    });
    expect(router().route('f/fan-7/temp')?.machine).toMatchObject({ machineClass: 'rest', machine: 'fan-7' });
  });

  it('takes placeholders in any order, exactly one level each', () => {
    const routes = router();
    expect(routes.route('line/temp/of/m1')).toMatchObject({ channel: 'temp', machine: { machine: 'm1' } });
    for (const topic of [
      'f/m1',
      'f/m1/temp/x',
      'f//temp',
      'f/m1/',
      'F/m1/temp',
      'f/+/temp',
      'f/m\u0001/temp',
      '',
    ]) {
      expect(routes.route(topic), topic).toBeNull();
    }
  });

  it('gives the same route for a topic as text and as raw bytes, also beyond ASCII', () => {
    const routes = router();
    const raw = Buffer.from('f/Pumpe-Süd/temp').toString('latin1');
    expect(routes.routeOf(raw)).toBe(routes.route('f/Pumpe-Süd/temp'));
    expect(routes.routeOf(raw)?.machine.machine).toBe('Pumpe-Süd');
    expect(routes.routeOf('f/\xff\xfe/temp')).toBeNull();
  });

  it('lets a channel have a payload of its own', () => {
    const routes = router();
    expect(routes.route('f/m/vib')!.decoder).not.toBe(routes.route('f/m/temp')!.decoder);
    expect(routes.route('f/m1/temp')!.decoder).toBe(routes.route('f/m2/temp')!.decoder);
    expect(routes.route('f/m/undeclared')!.decoder).toBeNull();
  });

  it('lists each filter once', () => {
    expect(router().topicFilters()).toEqual(['f/+/+', 'line/+/of/+']);
  });

  it('keeps its memory bounded under invented topics', () => {
    const routes = router();
    const first = routes.route('f/m/temp');
    for (let i = 0; i < 10_000; i++) routes.route(`f/invented-${i}/temp`);
    expect(routes.route('f/m/temp')).not.toBe(first);
    expect([...routes.registry.machines()].length).toBeLessThanOrEqual(100);
  });
});

describe('AccessControl', () => {
  const access = new AccessControl({
    host: '0.0.0.0',
    port: 0,
    allowAnonymous: true,
    unknownTopics: 'count',
    users: [
      { username: 'm1', password: 'secret', publish: ['f/%u/#'], subscribe: ['status/+'] },
      { username: '#', password: 'x', publish: ['f/%u'], subscribe: [] },
    ],
  });

  it('lets a user publish and subscribe within its filters only', () => {
    const rights = access.authenticate('m1', Buffer.from('secret'))!;
    expect(rights.mayPublish('f/m1/temp')).toBe(true);
    expect(rights.mayPublish('f/m2/temp')).toBe(false);
    expect(rights.mayPublish('f/m2/temp')).toBe(false);
    expect(rights.maySubscribe('status/a')).toBe(true);
    expect(rights.maySubscribe('status/+')).toBe(true);
    expect(rights.maySubscribe('status/#')).toBe(false);
    expect(rights.maySubscribe('#')).toBe(false);
  });

  it('never falls back to anonymous for wrong credentials', () => {
    expect(access.authenticate('m1', Buffer.from('wrong'))).toBeNull();
    expect(access.authenticate('m1', undefined)).toBeNull();
    expect(access.authenticate('nobody', Buffer.from('secret'))).toBeNull();
    expect(access.authenticate(undefined, undefined)?.username).toBe('');
  });

  it('does not let a user name widen a filter', () => {
    expect(access.authenticate('#', Buffer.from('x'))!.mayPublish('f/m1')).toBe(false);
  });

  it('grants nothing that begins with $', () => {
    const anonymous = access.authenticate(undefined, undefined)!;
    expect(anonymous.mayPublish('$SYS/broker')).toBe(false);
    expect(anonymous.maySubscribe('$SYS/#')).toBe(false);
    expect(anonymous.maySubscribe('#')).toBe(true);
  });
});
