/** The text that Prometheus reads, judged by a parser written from the format's description. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  METRICS,
  type MetricName,
  type MetricSample,
  mergeSamples,
  renderMetrics,
} from '../../../src/telemetry/metrics.ts';

interface ParsedSeries {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly value: number;
}

interface Parsed {
  readonly families: Map<string, { help: string; type: string }>;
  readonly series: ParsedSeries[];
}

/** Exposition format 0.0.4, strict: throws on anything it does not allow. */
function parseExposition(text: string): Parsed {
  const families = new Map<string, { help: string; type: string }>();
  const series: ParsedSeries[] = [];
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line must end');
  let current = '';
  for (const line of text.split('\n').slice(0, -1)) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment;
      if (kind === 'HELP') {
        if (families.has(name!)) throw new Error(`family ${name} twice`);
        families.set(name!, {
          help: rest!.replaceAll(/\\(\\|n)/g, (_m, c) => (c === 'n' ? '\n' : '\\')),
          type: '',
        });
        current = name!;
      } else {
        if (name !== current || families.get(name!)!.type !== '')
          throw new Error(`TYPE of ${name} out of place`);
        families.get(name!)!.type = rest!;
      }
      continue;
    }
    series.push(parseSeries(line, current, families.get(current)?.type ?? ''));
  }
  const keys = series.map(({ name, labels }) => name + JSON.stringify(Object.entries(labels).sort()));
  if (new Set(keys).size !== keys.length) throw new Error('a series stands twice');
  return { families, series };
}

function parseSeries(line: string, family: string, type: string): ParsedSeries {
  let at = 0;
  const take = (pattern: RegExp): string => {
    const match = new RegExp(pattern.source, 'y');
    match.lastIndex = at;
    const found = match.exec(line);
    if (found === null) throw new Error(`expected ${pattern} at ${at} of ${line}`);
    at = match.lastIndex;
    return found[0];
  };
  const name = take(/[a-zA-Z_:][a-zA-Z0-9_:]*/);
  const base = type === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name;
  if (base !== family) throw new Error(`${name} outside its family`);
  const labels: Record<string, string> = {};
  if (line[at] === '{') {
    at++;
    do {
      const label = take(/[a-zA-Z_][a-zA-Z0-9_]*/);
      take(/="/);
      const value = take(/(?:[^\\"\n]|\\[\\"n])*/);
      take(/"/);
      if (Object.hasOwn(labels, label)) throw new Error(`label ${label} twice`);
      labels[label] = value.replaceAll(/\\(.)/g, (_m, c) => (c === 'n' ? '\n' : c));
    } while (line[at] === ',' && at++ >= 0);
    take(/\}/);
  }
  take(/ /);
  const number = take(/\+Inf|-Inf|NaN|[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?/);
  if (at !== line.length) throw new Error(`rest after the value in ${line}`);
  const value = number.endsWith('Inf') ? (number.startsWith('-') ? -Infinity : Infinity) : Number(number);
  return { name, labels, value };
}

const names = Object.keys(METRICS).filter(
  (name) => METRICS[name as MetricName].type !== 'histogram',
) as MetricName[];
const samples: fc.Arbitrary<MetricSample[]> = fc.array(
  fc.record({
    name: fc.constantFrom(...names),
    labels: fc.dictionary(
      fc.constantFrom('machine', 'sink', 'reason', 'route'),
      fc.string({ unit: 'grapheme' }),
      { maxKeys: 3 },
    ),
    value: fc.double(),
  }),
  { maxLength: 30 },
);

describe('renderMetrics', () => {
  it('gives text that a strict parser reads back, whatever the labels hold', () => {
    fc.assert(
      fc.property(samples, (list) => {
        const { families, series } = parseExposition(renderMetrics(list));
        const merged = mergeSamples(list);
        expect(series).toHaveLength(merged.length);
        for (const { name, labels = {}, value } of merged) {
          expect(series).toContainEqual({
            name,
            labels: { ...labels },
            value: Object.is(value, -0) ? 0 : value,
          });
          expect(families.get(name)).toEqual({ ...METRICS[name] });
        }
      }),
    );
  });

  it('gives the same text for the same samples in any order', () => {
    fc.assert(
      fc.property(samples, (list) => {
        const distinct = mergeSamples(list);
        expect(renderMetrics([...distinct].reverse())).toBe(renderMetrics(distinct));
      }),
    );
  });

  it('is empty for nothing', () => {
    expect(renderMetrics([])).toBe('');
  });

  it('escapes backslash, quote and line end, and nothing else', () => {
    const text = renderMetrics([
      { name: 'millwright_ingest_connections', labels: { reason: 'a\\b"c\nd{e}=f,ü' }, value: 1 },
    ]);
    expect(text).toContain('{reason="a\\\\b\\"c\\nd{e}=f,ü"} 1\n');
  });
});

describe('mergeSamples', () => {
  it('adds counters of two threads and keeps the last word on a gauge', () => {
    const main: MetricSample[] = [
      { name: 'millwright_store_commits_total', value: 3 },
      { name: 'millwright_ingest_connections', value: 5 },
    ];
    const pipeline: MetricSample[] = [
      { name: 'millwright_store_commits_total', value: 4 },
      { name: 'millwright_ingest_connections', value: 6 },
      { name: 'millwright_store_commits_total', labels: { sink: 'a' }, value: 1 },
    ];
    expect(mergeSamples(main, pipeline)).toEqual([
      { name: 'millwright_store_commits_total', value: 7 },
      { name: 'millwright_ingest_connections', value: 6 },
      { name: 'millwright_store_commits_total', labels: { sink: 'a' }, value: 1 },
    ]);
  });

  it('knows a series by its labels in any order', () => {
    const a: MetricSample = { name: 'millwright_store_commits_total', labels: { x: '1', y: '2' }, value: 1 };
    const b: MetricSample = { name: 'millwright_store_commits_total', labels: { y: '2', x: '1' }, value: 1 };
    expect(mergeSamples([a], [b])).toEqual([{ ...b, value: 2 }]);
  });
});

describe('the table of metrics', () => {
  it.each(Object.entries(METRICS))('%s is named by the rules of Prometheus', (name, { type, help }) => {
    expect(name).toMatch(/^millwright_[a-z][a-z0-9_]*$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|percent|bucket|sum|count)(_total)?$/);
    expect(help).toMatch(/^[A-Z0-9].{8,}[^.\s]$/);
  });
});
