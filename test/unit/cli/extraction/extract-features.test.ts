import { describe, expect, it } from 'vitest';
import { planChannels, withWildcardSpelledOut } from '../../../../src/cli/extraction/channel-plan.ts';
import { extractFeatures } from '../../../../src/cli/extraction/extract-features.ts';
import { FeatureTable, floatCell } from '../../../../src/cli/extraction/feature-table.ts';
import type { Recording, WaveformMessage } from '../../../../src/cli/recordings/recording.ts';
import { rowsRecording } from '../../../../src/cli/recordings/rows-recording.ts';
import { parseConfig } from '../../../../src/config/load.ts';
import { FeatureExtractor } from '../../../../src/features/extractor.ts';

function classOf(yaml: string) {
  const text = `ingest: { embedded: { allowAnonymous: true } }\nmachineClasses:\n  rig:\n${yaml}`;
  return parseConfig(text, { path: 'test.yaml', env: {} }).machineClasses['rig']!;
}

const ROW_CLASS = classOf(`
    topics: ['rig/{machine}/row']
    payload: { format: json, allFields: true }
    window: { sizeMs: 1000, outOfOrderMs: 0 }
    channels:
      temp: { periodMs: 250, features: [proc.basic] }
      '*': { features: [proc.basic] }
`);

const sine = rowsRecording(
  'm',
  ['temp', 'flow'],
  Array.from({ length: 40 }, (_, i) => ({ timeMs: i * 250, values: { temp: Math.sin(i), flow: i / 3 } })),
  false,
);

function extract(recordings: readonly Recording[], classConfig = ROW_CLASS) {
  const plan = new Map(recordings.flatMap((r) => [...planChannels('rig', classConfig, r)]));
  const refused = { samples: 0, unknown: new Map<string, number>() };
  const source = {
    machine: 'm',
    recordings: recordings.map((recording) => ({ recording, startMs: 0 })),
    plan,
    refused,
  };
  const vectors = [...extractFeatures('rig', classConfig, new FeatureExtractor(classConfig), source)];
  const table = new FeatureTable(new FeatureExtractor(withWildcardSpelledOut(classConfig, [plan])).schema());
  return { vectors, refused, lines: vectors.map((vector) => table.line(vector)), header: table.header() };
}

describe('extractFeatures', () => {
  it('gives one vector per window, in order, the partly filled last one included', () => {
    const { vectors } = extract([sine]);
    expect(vectors.map((v) => v.startMs)).toEqual([0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000]);
    const short = extract([rowsRecording('m', ['temp'], [{ timeMs: 0, values: { temp: 1 } }], false)]);
    expect(short.vectors).toHaveLength(1);
    expect(short.vectors[0]!.coverage).toBe(0.25);
  });

  it('gives the same table whether channels come in one recording or in two', () => {
    const alone = (channel: 'temp' | 'flow') =>
      rowsRecording(
        'm',
        [channel],
        Array.from({ length: 40 }, (_, i) => ({
          timeMs: i * 250,
          values: { [channel]: channel === 'temp' ? Math.sin(i) : i / 3 },
        })),
        false,
      );
    expect(extract([alone('flow'), alone('temp')])).toEqual(extract([sine]));
  });

  it('names declared channels first, then wildcard channels, and every value reads back exactly', () => {
    const { header, lines, vectors } = extract([sine]);
    const columns = header.split(',');
    expect(columns.slice(0, 5)).toEqual(['machine', 'start_ms', 'end_ms', 'coverage', 'quality']);
    expect(columns.indexOf('temp.mean')).toBeLessThan(columns.indexOf('flow.mean'));
    const cells = lines[3]!.split(',');
    for (const group of vectors[3]!.groups) {
      group.specs.forEach((spec, i) => {
        const cell = cells[columns.indexOf(`${group.channel}.${spec.id}`)]!;
        expect(cell === '' ? Number.NaN : Number(cell)).toBe(group.values[i]);
      });
    }
  });

  it('uses a class that maps message members to channels of other names', () => {
    const mapped = classOf(`
    topics: ['rig/{machine}/row']
    payload: { format: json, fields: { oil_temp: /temp } }
    window: { sizeMs: 1000 }
    channels: { oil_temp: { features: [proc.basic] } }
`);
    const { header } = extract([sine], mapped);
    expect(header).toContain('oil_temp.mean');
    expect(header).not.toContain('flow');
  });

  it('says which channels a class lacks instead of giving an empty table', () => {
    const other = classOf(`
    topics: ['rig/{machine}/row']
    payload: { format: json, allFields: true }
    channels: { speed: {} }
`);
    expect(() => extract([sine], other)).toThrow(/declares none of the channels of m: temp, flow/);
  });

  it('refuses a waveform in another unit or rate than declared, as the gateway would', () => {
    const vibration = classOf(`
    topics: ['rig/{machine}/{channel}']
    payload: { format: block }
    channels: { de: { kind: waveform, unit: g, sampleRateHz: 100, features: [vib.basic] } }
`);
    const recording = (over: Partial<WaveformMessage>): Recording => ({
      machine: 'm',
      channels: ['de'],
      originMs: null,
      lastOffsetMs: 0,
      spacingMs: 1000,
      messageCount: 1,
      *messages() {
        const values = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i));
        yield {
          kind: 'waveform',
          offsetMs: 0,
          channel: 'de',
          unit: 'g',
          sampleRateHz: 100,
          sequence: 1,
          values,
          ...over,
        };
      },
    });
    expect(extract([recording({})], vibration).vectors).toHaveLength(1);
    expect(() => extract([recording({ unit: 'm/s2' })], vibration)).toThrow(
      /declared in g but recorded in m\/s2/,
    );
    expect(() => extract([recording({ sampleRateHz: 200 })], vibration)).toThrow(
      /declared at 100 Hz but recorded at 200/,
    );
  });
});

describe('floatCell', () => {
  it('writes every double so that it reads back bit for bit, and nothing for an undefined one', () => {
    for (const value of [0, -0, 0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 1e21, -123456789.123]) {
      expect(Object.is(Number(floatCell(value)), value)).toBe(true);
    }
    expect(floatCell(Number.NaN)).toBe('');
  });
});
