/** One case per rule between keys: what breaks it, and that the message says so at the right key. */

import { describe, expect, it } from 'vitest';
import { crossProblems } from '../../../src/config/cross-checks.ts';
import { configWarnings } from '../../../src/config/delivery-checks.ts';
import { type Config, type ConfigInput, configSchema } from '../../../src/config/schema.ts';
import { problemLine } from '../../../src/config/shape-problems.ts';

type ClassInput = ConfigInput['machineClasses'][string];

const CLASS: ClassInput = { topics: ['p/{machine}/{channel}'], channels: { temperature: {} } };
const WAVEFORM: ClassInput['channels'][string] = {
  kind: 'waveform',
  unit: 'g',
  sampleRateHz: 12800,
  features: ['vib.basic'],
};
const BEARING = { ballDiameter: 8, pitchDiameter: 39 };

function config(input: Partial<ConfigInput>): Config {
  return configSchema.parse({ machineClasses: { p: CLASS }, ...input });
}

const problems = (input: Partial<ConfigInput>): string[] => crossProblems(config(input)).map(problemLine);
const classProblems = (overrides: Partial<ClassInput>): string[] =>
  problems({ machineClasses: { p: { ...CLASS, ...overrides } } }).map((line) =>
    line.replace('machineClasses.p.', ''),
  );

describe('rules of the front door', () => {
  it('accept the defaults', () => {
    expect(problems({})).toEqual([]);
  });

  it.each(['0.0.0.0', '::', '192.168.1.5', 'gateway.plant.example', '127.0.0.1.example'])(
    'want users for a broker on %s',
    (host) => {
      expect(problems({ ingest: { embedded: { host } } })).toEqual([
        expect.stringMatching(/^ingest\.embedded\.host: .* can be reached from the network/),
      ]);
      expect(problems({ ingest: { embedded: { host, allowAnonymous: true } } })).toEqual([]);
      expect(problems({ ingest: { embedded: { host, users: [{ username: 'u', password: 'p' }] } } })).toEqual(
        [],
      );
      expect(problems({ ingest: { mode: 'external', embedded: { host } } })).toEqual([]);
    },
  );

  it.each(['127.0.0.1', '127.8.9.1', 'localhost', '::1'])('let a broker on %s be', (host) => {
    expect(problems({ ingest: { embedded: { host } } })).toEqual([]);
  });

  it.each<[ConfigInput['ingest'], RegExp]>([
    [
      { ringBytes: 3_000_000 },
      /^ingest\.ringBytes: 3000000 is not a power of two; the nearest are 2097152 and 4194304$/,
    ],
    [{ ringBytes: 1_048_576 }, /^ingest\.ringBytes: 1048576 is too small .* at least 2097152$/],
    [
      { ringBytes: 65_536, limits: { maxPacketBytes: 4_096 }, deadLetterPayloadBytes: 20_000 },
      /^ingest\.deadLetterPayloadBytes: .* up to 16384$/,
    ],
    [
      { limits: { maxConnections: 10, maxConnectionsPerAddress: 11 } },
      /^ingest\.limits\.maxConnectionsPerAddress: 11 is more/,
    ],
    [
      { external: { reconnectMinMs: 40_000 } },
      /^ingest\.external\.reconnectMinMs: 40000 is more than reconnectMaxMs 30000/,
    ],
    [{ external: { password: 'p' } }, /^ingest\.external\.password: given without username/],
    [{ external: { caFile: '/ca.pem' } }, /^ingest\.external\.caFile: .*mqtts/],
    [
      {
        embedded: {
          users: [
            { username: 'u', password: 'a' },
            { username: 'u', password: 'b' },
          ],
        },
      },
      /users\[1\]\.username: "u" is declared twice/,
    ],
    [
      { embedded: { users: [{ username: 'u', password: 'a', publish: ['a/#/b'] }] } },
      /users\[0\]\.publish\[0\]: "a\/#\/b" is no topic filter: # must/,
    ],
    [
      { embedded: { users: [{ username: 'u', password: 'a', subscribe: ['a/b+'] }] } },
      /subscribe\[0\]: .*\+ must be a whole level/,
    ],
    [{ embedded: { port: 8080 } }, /^http\.port: 8080 is also ingest\.embedded\.port/],
  ])('refuse %j', (ingest, expected) => {
    expect(problems({ ingest })).toEqual([expect.stringMatching(expected)]);
  });
});

describe('rules of windows, channels and features', () => {
  it.each<[string, Partial<ClassInput>, RegExp]>([
    [
      'a hop beyond the window',
      { window: { sizeMs: 1000, hopMs: 1001 } },
      /^window\.hopMs: 1001 is more than sizeMs 1000/,
    ],
    [
      'a thousandfold overlap',
      { window: { sizeMs: 3_600_000, hopMs: 100 } },
      /^window\.hopMs: 100 puts each sample into 36000 windows/,
    ],
    [
      'an offset beyond the hop',
      { window: { sizeMs: 1000, offsetMs: 1500 } },
      /^window\.offsetMs: 1500 .* offset 500/,
    ],
    [
      'a waveform without rate',
      { channels: { v: { kind: 'waveform', features: ['vib.basic'] } } },
      /^channels\.v\.sampleRateHz: missing/,
    ],
    [
      'a rate on a scalar',
      { channels: { v: { sampleRateHz: 5 } } },
      /^channels\.v\.sampleRateHz: 5 is given for a scalar/,
    ],
    [
      'a block on a scalar',
      { channels: { v: { payload: { format: 'block' } } } },
      /^channels\.v\.payload\.format: "block" carries waveforms/,
    ],
    [
      'a window too large to hold',
      { channels: { v: WAVEFORM }, window: { sizeMs: 600_000 } },
      /^channels\.v\.sampleRateHz: a window would hold 7680000 samples/,
    ],
    [
      'vibration of a scalar',
      { channels: { v: { features: ['vib.basic'] } } },
      /^channels\.v\.features\[0\]: "vib\.basic" needs a waveform/,
    ],
    [
      'process features of a waveform',
      { channels: { v: { ...WAVEFORM, features: ['vib.basic', 'proc.basic'] } } },
      /^channels\.v\.features\[1\]: "proc\.basic" needs a scalar/,
    ],
    ['usage of a channel', { channels: { v: { features: ['usage'] } } }, /usage: true on the class/],
    [
      'severity of no acceleration',
      { channels: { v: { ...WAVEFORM, unit: 'mm/s', features: ['vib.iso'] } } },
      /needs an acceleration; unit is "mm\/s", allowed: g, m\/s2/,
    ],
    [
      'severity of a waveform without a unit',
      { channels: { v: { kind: 'waveform', sampleRateHz: 25_600, features: ['vib.iso'] } } },
      /needs an acceleration; the channel declares no unit, allowed: g, m\/s2/,
    ],
    [
      'bearing without geometry',
      { channels: { v: { ...WAVEFORM, features: ['vib.bearing'] } }, parameters: { shaftSpeedRpm: 1480 } },
      /add parameters\.bearing to the class/,
    ],
    [
      'bearing without speed',
      { channels: { v: { ...WAVEFORM, features: ['vib.bearing'] } }, parameters: { bearing: BEARING } },
      /add parameters\.shaftSpeedRpm to/,
    ],
    [
      'balls larger than the bearing',
      { parameters: { bearing: { ballDiameter: 40, pitchDiameter: 39 } } },
      /^parameters\.bearing\.ballDiameter: 40 is not less/,
    ],
    [
      'half of the ISO table',
      { parameters: { isoGroup: 1 } },
      /^parameters\.isoGroup: given without isoSupport/,
    ],
    [
      'a band the wrong way round',
      { parameters: { envelopeBandHz: [5, 2] } },
      /^parameters\.envelopeBandHz: 5 to 2 Hz is no band/,
    ],
    [
      'a band beyond the spectrum',
      {
        channels: { v: { ...WAVEFORM, features: ['vib.bearing'] } },
        parameters: { shaftSpeedRpm: 1480, bearing: BEARING, envelopeBandHz: [2000, 9000] },
      },
      /beyond half the sample rate of v, 6400 Hz/,
    ],
    [
      'running by an unknown channel',
      { parameters: { running: { channel: 'x', above: 1 } } },
      /^parameters\.running\.channel: "x" is no channel/,
    ],
    [
      'a baseline of nothing',
      { baseline: { enabled: true }, channels: { t: { features: [] } } },
      /^baseline\.enabled: true, but no channel/,
    ],
    [
      'a baseline of unknown features',
      { baseline: { enabled: true, features: ['temp.*', 'temperature.mean'] } },
      /^baseline\.features\[0\]: "temp\.\*" matches no feature/,
    ],
    [
      'more raises than windows',
      { health: { raiseCount: 6 } },
      /^health\.raiseCount: 6 windows out of raiseOutOf 5/,
    ],
    [
      'an alarm before the warning',
      { models: [{ name: 'm' }], health: { rulWarning: 10, rulAlarm: 20 } },
      /^health\.rulAlarm: 20 is more than rulWarning 10/,
    ],
    ['life limits without a model', { health: { rulWarning: 10 } }, /^health\.rulWarning: set, but no model/],
    [
      'a model used twice',
      { models: [{ name: 'm' }, { name: 'm', version: '1' }] },
      /^models\[1\]\.name: "m" is used twice/,
    ],
  ])('refuse %s', (_what, overrides, expected) => {
    expect(classProblems(overrides)).toEqual([expect.stringMatching(expected)]);
  });

  it('take every pattern that can match a feature', () => {
    for (const pattern of [
      '*',
      'temperature.*',
      'temp*',
      't*e.mean',
      '*.mean',
      '????erature.std',
      'temperature.velocity_rms.10_1000',
    ]) {
      expect(classProblems({ baseline: { enabled: true, features: [pattern] } }), pattern).toEqual([]);
    }
    for (const pattern of ['temperature', 'temperature.', 'temperatur?', 'mean', 'x*']) {
      expect(classProblems({ baseline: { enabled: true, features: [pattern] } }), pattern).toHaveLength(1);
    }
  });

  it('take snapshots of a waveform that is too long to hold whole', () => {
    expect(
      classProblems({
        channels: { v: { ...WAVEFORM, samplesPerWindow: 1000 } },
        window: { sizeMs: 600_000 },
      }),
    ).toEqual([]);
  });
});

describe('rules of topics and payloads', () => {
  it.each([
    ['p/{machin}/{channel}', /"\{machin\}" is no placeholder; known: \{machine\}, \{channel\}/],
    ['p/m-{machine}/{channel}', /a placeholder takes a whole level/],
    ['p/+/{machine}/{channel}', /in place of \+ and #/],
    ['p/{machine}/{machine}/{channel}', /\{machine\} stands twice/],
    ['p/{channel}', /\{machine\} is missing/],
    ['$SYS/{machine}/{channel}', /belong to the broker/],
    ['p/{machine}', /has no \{channel\}, and the payload carries one value/],
  ])('refuse the template %s', (topic, expected) => {
    expect(classProblems({ topics: [topic] })).toEqual([expect.stringMatching(expected)]);
  });

  it.each<[string, Partial<ClassInput>, RegExp]>([
    [
      'channel named twice',
      { payload: { format: 'json', allFields: true } },
      /^topics\[0\]: .* has \{channel\}, but the payload names its channels/,
    ],
    [
      'fields beside allFields',
      {
        topics: ['p/{machine}'],
        payload: { format: 'json', allFields: true, fields: { temperature: '/t' } },
      },
      /^payload\.allFields: true beside fields/,
    ],
    [
      'fields that are no channels',
      { topics: ['p/{machine}'], payload: { format: 'json', fields: { x: '/x' } } },
      /^payload\.fields\.x: "x" is no channel/,
    ],
    [
      'a pointer without slash',
      { payload: { format: 'json', value: 'v' } },
      /^payload\.value: "v" is no JSON pointer: write "\/v"/,
    ],
    [
      'a pointer with a lone tilde',
      { payload: { format: 'json', time: '/a~b' } },
      /^payload\.time: .*~0 and ~1/,
    ],
    [
      'many channels in one channel',
      { channels: { t: { payload: { format: 'json', allFields: true } } } },
      /^channels\.t\.payload: a channel cannot carry many/,
    ],
    [
      'a payload that is never used',
      {
        topics: ['p/{machine}'],
        payload: { format: 'json', allFields: true },
        channels: { t: { payload: { format: 'number' } } },
      },
      /^channels\.t\.payload: never used/,
    ],
    [
      'the same topic twice',
      { topics: ['p/{machine}/{channel}', 'p/{machine}/{channel}'] },
      /^topics\[1\]: .* is listed twice/,
    ],
    ['no machines', { machines: [] }, /^machines: empty/],
  ])('refuse %s', (_what, overrides, expected) => {
    expect(classProblems(overrides)).toEqual([expect.stringMatching(expected)]);
  });

  it('refuse a class that another one always wins over, and take one that it does not', () => {
    const two = (first: string[], second: string[]): string[] =>
      problems({ machineClasses: { a: { ...CLASS, machines: first }, b: { ...CLASS, machines: second } } });
    expect(two(['*'], ['fan-*'])).toEqual([
      expect.stringMatching(/^machineClasses\.b\.topics\[0\]: .* is taken by class a/),
    ]);
    expect(two(['fan-*', 'x'], ['fan-*'])).toHaveLength(1);
    expect(two(['pump-*'], ['*'])).toEqual([]);
  });
});

describe('rules of store and sinks', () => {
  const sink = { type: 'influxdb2', url: 'http://127.0.0.1:8086', token: 't' } as const;

  it('refuse delays that shrink, addresses that are none, and dead letters that fill the store', () => {
    expect(problems({ sinks: { a: { ...sink, retryMinMs: 5000, retryMaxMs: 4000 } } })).toEqual([
      expect.stringMatching(/^sinks\.a\.retryMinMs: 5000/),
    ]);
    expect(problems({ sinks: { a: { ...sink, url: 'http://u:hunter2@:x' } } })).toEqual([
      expect.stringMatching(/^sinks\.a\.url: "http:\/\/\*\*\*@:x" is no URL/),
    ]);
    expect(problems({ store: { maxBytes: 1_048_576, maxDeadLetterBytes: 600_000 } })).toEqual([
      expect.stringMatching(/^store\.maxDeadLetterBytes/),
    ]);
  });

  it('warn of what is allowed but hardly meant', () => {
    const warned = (input: Partial<ConfigInput>): string => configWarnings(config(input)).join('\n');
    expect(warned({})).toMatch(/nobody can connect[\s\S]*sinks: none declared/);
    expect(warned({ ingest: { embedded: { host: '0.0.0.0', allowAnonymous: true } } })).toContain(
      'anyone who reaches 0.0.0.0:1883 may publish',
    );
    expect(warned({ http: { host: '0.0.0.0' } })).toContain('http.host: anyone who reaches 0.0.0.0:8080');
    expect(warned({ sinks: { a: { ...sink, token: '' } } })).toContain('sinks.a.token: empty');
    expect(warned({ sinks: { a: { ...sink, url: 'http://db.plant:8086' } } })).toContain(
      'travel unencrypted to db.plant',
    );
    expect(warned({ sinks: { a: sink }, ingest: { embedded: { allowAnonymous: true } } })).toBe('');
  });
});
