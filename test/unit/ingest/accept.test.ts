import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConfigInput } from '../../../src/config/schema.ts';
import type { StampClock } from '../../../src/domain/gateway-clock.ts';
import type { ChannelRef } from '../../../src/domain/machine.ts';
import { RecordFlag } from '../../../src/domain/record.ts';
import { Acceptor } from '../../../src/ingest/accept.ts';
import { Complaints } from '../../../src/ingest/complaints.ts';
import { IngestCounters } from '../../../src/ingest/ingest-counters.ts';
import { encodeWaveformBlock } from '../../../src/ingest/waveform-block.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';
import { CLOCK_SET, harness, testConfig } from '../../support/ingest-harness.ts';

const NOW = 1_764_000_000_000;

function acceptor(
  machineClasses: ConfigInput['machineClasses'],
  ingest: ConfigInput['ingest'] = {},
  known: ChannelRef[] = [],
  clock: StampClock = CLOCK_SET,
) {
  const config = testConfig(machineClasses, ingest);
  const { router, sink, committer } = harness(config, { known });
  const counters = new IngestCounters();
  const accept = new Acceptor(router, sink, counters, new Complaints(SILENT), config.ingest, clock);
  const send = (topic: string, payload: string | Uint8Array, qos = 1) => {
    const route = router.route(topic);
    if (route === null) return 'not_ours';
    // Odd offset on purpose: inside a read buffer nothing is aligned.
    const bytes = Buffer.concat([Buffer.from('xyz'), Buffer.from(payload as string), Buffer.from('{]')]);
    return accept.accept(route, bytes, 3, bytes.length - 2, qos, NOW);
  };
  const seen = () => {
    committer.drain();
    return committer.seen;
  };
  return { send, sink, counters, committer, seen };
}

const scalar: ConfigInput['machineClasses'] = {
  machines: { topics: ['f/{machine}/{channel}'], channels: { '*': {} } },
};

describe('Acceptor, one channel a message', () => {
  it('announces a channel once, before its first value', () => {
    const { send, seen } = acceptor(scalar);
    expect(send('f/m1/temp', '{"t":1764000000000,"v":21.5}')).toBe('accepted');
    expect(send('f/m1/temp', '{"t":1764000001000,"v":22}')).toBe('accepted');
    expect(send('f/m2/temp', '{"t":1764000001000,"v":1}')).toBe('accepted');
    const { channels, scalars } = seen();
    expect(channels).toEqual([
      { index: 0, machineClass: 'machines', machine: 'm1', channel: 'temp' },
      { index: 1, machineClass: 'machines', machine: 'm2', channel: 'temp' },
    ]);
    expect(scalars.map(({ channel, timeMs, value }) => [channel, timeMs, value])).toEqual([
      [0, 1_764_000_000_000, 21.5],
      [0, 1_764_000_001_000, 22],
      [1, 1_764_000_001_000, 1],
    ]);
  });

  it('goes on after the largest index of earlier runs, and knows their channels', () => {
    const known = [{ index: 7, machineClass: 'machines', machine: 'm1', channel: 'temp' }];
    const { send, seen } = acceptor(scalar, {}, known);
    send('f/m1/temp', '{"t":1764000000000,"v":1}');
    send('f/m1/flow', '{"t":1764000000000,"v":2}');
    const { channels, scalars } = seen();
    expect(channels.map(({ index }) => index)).toEqual([8]);
    expect(scalars.map(({ channel }) => channel)).toEqual([7, 8]);
  });

  it.each([
    ['{"t":1764000000000,"v":1', 'malformed_json'],
    ['', 'malformed_json'],
    ['[1,2]', 'bad_timestamp'],
    ['{"t":1764000000000}', 'missing_value'],
    ['{"t":1764000000000,"v":null}', 'missing_value'],
    ['{"t":1764000000000,"v":"7"}', 'not_a_number'],
    ['{"t":1764000000000,"v":true}', 'not_a_number'],
    ['{"t":1764000000000,"v":[1,2]}', 'not_a_number'],
    ['{"t":1764000000000,"v":1e999}', 'not_finite'],
    ['{"t":1764000000000,"v":NaN}', 'not_finite'],
    ['{"t":1764000000000,"note":"a \\" NaN","v":-Infinity}', 'not_finite'],
    ['{"t":1764000000000,"v":NaN', 'malformed_json'],
    ['{"t":1764000000000,"v":1NaN}', 'malformed_json'],
    ['{"t":1764000000000,"v":"NaN}', 'malformed_json'],
    ['{NaN:1}', 'malformed_json'],
    ['{"v":1}', 'bad_timestamp'],
    ['{"t":"2026","v":1}', 'bad_timestamp'],
    ['{"t":-1,"v":1}', 'bad_timestamp'],
    ['{"t":1e999,"v":1}', 'bad_timestamp'],
    ['{"t":1764000005001,"v":1}', 'future_timestamp'],
  ])('keeps %s as dead letter: %s', (payload, reason) => {
    const { send, seen, counters } = acceptor(scalar);
    expect(send('f/m1/temp', payload)).toBe('accepted');
    const { deadLetters, scalars, channels } = seen();
    expect(deadLetters.map((letter) => letter.reason)).toEqual([reason]);
    expect(Buffer.from(deadLetters[0]!.payload).toString()).toBe(payload);
    expect(deadLetters[0]).toMatchObject({ source: 'f/m1/temp', receivedMs: NOW });
    expect(deadLetters[0]!.detail).not.toBe('');
    expect(scalars).toEqual([]);
    expect(channels).toEqual([]);
    expect(counters.deadLettered).toBe(1);
    expect(counters.accepted).toBe(0);
  });

  it('takes a value exactly at the edges of the clock guard and none beyond', () => {
    const { send, counters } = acceptor(scalar, { clockGuard: { maxFutureMs: 5000, maxPastMs: 60_000 } });
    send('f/m1/temp', `{"t":${NOW + 5000},"v":1}`);
    send('f/m1/temp', `{"t":${NOW - 60_000},"v":1}`);
    expect(counters.accepted).toBe(2);
    send('f/m1/temp', `{"t":${NOW + 5001},"v":1}`);
    send('f/m1/temp', `{"t":${NOW - 60_001},"v":1}`);
    expect(counters.deadLetters.future_timestamp).toBe(1);
    expect(counters.deadLetters.past_timestamp).toBe(1);
  });

  it('stamps at arrival where the class says so, and says so in the record', () => {
    const { send, seen } = acceptor({
      machines: {
        topics: ['f/{machine}/{channel}'],
        payload: { format: 'number' },
        channels: { '*': {} },
      },
    });
    send('f/m1/temp', ' 21.50\n');
    send('f/m1/temp', 'nan');
    send('f/m1/temp', '12 bar');
    const { scalars, deadLetters } = seen();
    expect(scalars).toMatchObject([{ timeMs: NOW, value: 21.5, flags: RecordFlag.GATEWAY_TIME }]);
    expect(deadLetters.map(({ reason }) => reason)).toEqual(['not_finite', 'not_a_number']);
  });

  it('keeps a message on an undeclared channel as dead letter', () => {
    const { send, seen } = acceptor({
      machines: { topics: ['f/{machine}/{channel}'], channels: { temp: {} } },
    });
    send('f/m1/other', '{"t":1764000000000,"v":1}');
    expect(seen().deadLetters[0]).toMatchObject({ reason: 'unknown_channel' });
  });

  it('checks unit and counts sequence gaps, repeats and late arrivals', () => {
    const { send, seen, counters } = acceptor({
      machines: {
        topics: ['f/{machine}/{channel}'],
        payload: { format: 'json', sequence: '/n', unit: '/u', timeUnit: 'us', time: '/t' },
        channels: { '*': { unit: 'bar' } },
      },
    });
    const t = NOW * 1000 + 250;
    for (const n of [1, 2, 5, 5, 3]) send('f/m1/p', `{"t":${t},"v":1,"n":${n},"u":"bar"}`);
    send('f/m1/p', `{"t":${t},"v":1,"n":6,"u":"psi"}`);
    send('f/m1/p', `{"t":${t},"v":1,"n":6}`);
    const { scalars, deadLetters } = seen();
    expect(scalars[2]).toMatchObject({ sequence: 5, flags: RecordFlag.HAS_SEQUENCE, timeMs: NOW + 0.25 });
    expect(counters.sequence).toEqual({ missing: 2, repeated: 1, late: 1, restarted: 0 });
    expect(deadLetters.map(({ reason }) => reason)).toEqual(['wrong_unit', 'wrong_unit']);
  });

  it('spaces a list of scalars by the declared period', () => {
    const { send, seen } = acceptor({
      machines: { topics: ['f/{machine}/{channel}'], channels: { '*': { periodMs: 20 } } },
    });
    send('f/m1/p', `{"t":${NOW},"v":[1,2,3]}`);
    send('f/m1/p', `{"t":${NOW},"v":[]}`);
    const { scalars, deadLetters } = seen();
    expect(scalars.map(({ timeMs, value }) => [timeMs - NOW, value])).toEqual([
      [0, 1],
      [20, 2],
      [40, 3],
    ]);
    expect(deadLetters[0]!.reason).toBe('missing_value');
  });

  it('keeps at most the configured bytes of a bad payload, and its length', () => {
    const { send, seen } = acceptor(scalar, { deadLetterPayloadBytes: 64 });
    send('f/m1/temp', 'x'.repeat(1000));
    send('f/m1/temp', 'x'.repeat(64));
    const [cut, whole] = seen().deadLetters;
    expect(cut).toMatchObject({ payload: new Uint8Array(64).fill(120), originalBytes: 1000 });
    expect(whole!.payload.length).toBe(64);
    expect(whole).not.toHaveProperty('originalBytes');
  });

  it('refuses channels beyond the bound and still takes the known ones', () => {
    const { send, seen, counters } = acceptor(scalar, { limits: { maxChannels: 2 } });
    for (const machine of ['m1', 'm2', 'm3', 'm1']) send(`f/${machine}/temp`, `{"t":${NOW},"v":1}`);
    expect(counters.deadLetters.too_many_channels).toBe(1);
    expect(seen().scalars.map(({ channel }) => channel)).toEqual([0, 1, 0]);
  });

  it('never throws and always accounts for a message exactly once, whatever the payload', () => {
    const { send, committer, counters } = acceptor({
      ...scalar,
      waves: {
        topics: ['w/{machine}/{channel}'],
        payload: { format: 'block' },
        channels: { '*': { kind: 'waveform', sampleRateHz: 100, unit: 'g' } },
      },
    });
    let sent = 0;
    fc.assert(
      fc.property(fc.constantFrom('f/m/c', 'w/m/c'), fc.uint8Array({ maxLength: 100 }), (topic, bytes) => {
        expect(send(topic, bytes)).toBe('accepted');
        sent += 1;
        committer.drain();
        expect(counters.accepted + counters.deadLettered).toBe(sent);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('Acceptor, waveforms', () => {
  const waves: ConfigInput['machineClasses'] = {
    machines: {
      topics: ['w/{machine}/{channel}'],
      payload: { format: 'json', sampleRateHz: '/fs' },
      channels: {
        block: { kind: 'waveform', sampleRateHz: 1000, unit: 'g', payload: { format: 'block' } },
        list: { kind: 'waveform', sampleRateHz: 1000, unit: 'g' },
        bulk: { kind: 'waveform', sampleRateHz: 1000, durability: 'memory', payload: { format: 'block' } },
      },
    },
  };
  const values = Float32Array.of(0.5, -1.25, 3);
  const block = { t0Ms: NOW, sampleRateHz: 1000, unit: 'g', sequence: 4, values };

  it('takes a block and a JSON list to equal records', () => {
    const { send, seen } = acceptor(waves);
    send('w/m/block', encodeWaveformBlock(block));
    send('w/m/list', `{"t":${NOW},"fs":1000,"v":[0.5,-1.25,3]}`);
    const [first, second] = seen().waveforms;
    expect(first).toMatchObject({ t0Ms: NOW, sampleRateHz: 1000, values: [0.5, -1.25, 3], sequence: 4 });
    expect(second).toMatchObject({ t0Ms: NOW, sampleRateHz: 1000, values: [0.5, -1.25, 3], flags: 0 });
  });

  it('lets the last sample of a block without clock be from now', () => {
    const { send, seen } = acceptor(waves);
    send('w/m/block', encodeWaveformBlock({ ...block, t0Ms: null }));
    expect(seen().waveforms[0]).toMatchObject({
      t0Ms: NOW - 2,
      flags: RecordFlag.GATEWAY_TIME | RecordFlag.HAS_SEQUENCE,
    });
  });

  it.each<[string, string | Uint8Array, string]>([
    ['block', encodeWaveformBlock({ ...block, unit: 'm/s2' }), 'wrong_unit'],
    ['block', encodeWaveformBlock({ ...block, sampleRateHz: 1001 }), 'wrong_sample_rate'],
    ['block', encodeWaveformBlock({ ...block, values: Float32Array.of(1, Number.NaN) }), 'not_finite'],
    ['block', encodeWaveformBlock({ ...block, values: new Float32Array(0) }), 'missing_value'],
    ['block', encodeWaveformBlock(block).subarray(0, -1), 'malformed_binary'],
    ['block', encodeWaveformBlock({ ...block, t0Ms: Number.NaN }), 'bad_timestamp'],
    ['block', encodeWaveformBlock({ ...block, t0Ms: NOW + 4999 }), 'future_timestamp'],
    ['list', `{"t":${NOW},"v":[1]}`, 'wrong_sample_rate'],
    ['list', `{"t":${NOW},"fs":1000,"v":1}`, 'not_a_number'],
    ['list', `{"t":${NOW},"fs":1000,"v":[1e39]}`, 'not_finite'],
  ])('refuses on %s %# as %s', (channel, payload, reason) => {
    const { send, seen } = acceptor(waves);
    send(`w/m/${channel}`, payload);
    const { deadLetters, waveforms } = seen();
    expect(waveforms).toEqual([]);
    expect(deadLetters.map((letter) => letter.reason)).toEqual([reason]);
  });

  it('reads int16 blocks with their scale', () => {
    const { send, seen } = acceptor(waves);
    const bytes = Buffer.alloc(36 + 4);
    bytes.write('MWB1', 0, 'latin1');
    bytes[4] = 2;
    bytes[6] = 1;
    bytes.writeDoubleLE(NOW, 8);
    bytes.writeFloatLE(1000, 16);
    bytes.writeFloatLE(0.5, 20);
    bytes.writeUInt32LE(2, 28);
    bytes.write('g', 32, 'latin1');
    bytes.writeInt16LE(-32768, 36);
    bytes.writeInt16LE(3, 38);
    send('w/m/block', bytes);
    expect(seen().waveforms[0]).toMatchObject({ values: [-16384, 1.5], flags: 0 });
  });

  it('marks what need not survive a crash, and says that it may be acknowledged at once', () => {
    const { send, seen } = acceptor(waves);
    expect(send('w/m/bulk', encodeWaveformBlock({ ...block, unit: '' }))).toBe('volatile');
    expect(seen().waveforms[0]!.flags & RecordFlag.VOLATILE).toBe(RecordFlag.VOLATILE);
  });
});

describe('Acceptor, many channels a message', () => {
  const fields: ConfigInput['machineClasses'] = {
    machines: {
      topics: ['f/{machine}'],
      payload: { format: 'json', fields: { temp: '/temperature', flow: '/hydraulics/flow' } },
      channels: { temp: {}, flow: {} },
    },
  };
  const all: ConfigInput['machineClasses'] = {
    machines: {
      topics: ['f/{machine}'],
      payload: { format: 'json', allFields: true, sequence: '/n' },
      channels: { a: {}, b: {}, c: { durability: 'memory' } },
    },
  };

  it('takes each mapped member to its channel, at one time', () => {
    const { send, seen } = acceptor(fields);
    send('f/m1', `{"t":${NOW},"temperature":20,"hydraulics":{"flow":5}}`);
    send('f/m1', `{"t":${NOW + 1},"temperature":21}`);
    const { channels, scalars } = seen();
    expect(channels.map(({ channel }) => channel)).toEqual(['temp', 'flow']);
    expect(scalars.map(({ channel, timeMs, value }) => [channel, timeMs - NOW, value])).toEqual([
      [0, 0, 20],
      [1, 0, 5],
      [0, 1, 21],
    ]);
  });

  it('keeps the good values and the whole message when one value is bad', () => {
    const { send, seen, counters } = acceptor(fields);
    const payload = `{"t":${NOW},"temperature":20,"hydraulics":{"flow":"broken"}}`;
    expect(send('f/m1', payload)).toBe('accepted');
    const { scalars, deadLetters } = seen();
    expect(scalars.map(({ value }) => value)).toEqual([20]);
    expect(deadLetters).toMatchObject([{ reason: 'not_a_number' }]);
    expect(Buffer.from(deadLetters[0]!.payload).toString()).toBe(payload);
    expect([counters.accepted, counters.deadLettered, counters.samples]).toEqual([0, 1, 1]);
  });

  it('tells in the dead letter what was wrong with the first bad value', () => {
    const { send, seen } = acceptor(fields, { limits: { maxChannels: 1 } });
    send('f/m1', `{"t":${NOW},"temperature":true,"hydraulics":{"flow":1}}`);
    send('f/m1', `{"t":${NOW},"temperature":1,"hydraulics":{"flow":[]}}`);
    const { deadLetters, scalars } = seen();
    expect(deadLetters.map(({ reason, detail }) => `${reason} ${detail}`)).toEqual([
      'not_a_number temp is no number',
      'too_many_channels 1 channels are known, temp would be one more',
    ]);
    expect(scalars.map(({ value }) => value)).toEqual([1]);
  });

  it('reads the block that docs/payloads.md shows how to make', () => {
    const { send, seen } = acceptor({
      machines: {
        topics: ['w/{machine}/{channel}'],
        payload: { format: 'block' },
        channels: { '*': { kind: 'waveform', sampleRateHz: 1000, unit: 'g' } },
      },
    });
    // Output of the Python function there for block(1764000000000.0, 1000, 'g', 4, [.5, -1.25, 3]).
    const hex =
      '4d574231010101000000807e69ab794200007a440000803f0400000003000000670000000000003f0000a0bf00004040';
    send('w/m/c', Buffer.from(hex, 'hex'));
    expect(seen().waveforms).toMatchObject([{ t0Ms: NOW, sequence: 4, values: [0.5, -1.25, 3] }]);
  });

  it('finds the channels of allFields by itself, whatever order they come in', () => {
    const { send, seen } = acceptor(all);
    send('f/m1', `{"t":${NOW},"n":1,"a":1,"b":2,"zzz":9,"note":"x"}`);
    send('f/m1', `{"b":4,"n":2,"a":3,"t":${NOW + 1},"c":5}`);
    send('f/m1', `{"t":${NOW + 2},"n":3,"zzz":9}`);
    const { channels, scalars, deadLetters } = seen();
    expect(channels.map(({ channel }) => channel)).toEqual(['a', 'b', 'c']);
    expect(scalars.map(({ channel, value }) => [channel, value])).toEqual([
      [0, 1],
      [1, 2],
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
    expect(scalars[4]!.flags & RecordFlag.VOLATILE).toBe(RecordFlag.VOLATILE);
    expect(deadLetters).toMatchObject([{ reason: 'missing_value' }]);
  });

  it('is volatile only if every value of the message is', () => {
    const { send } = acceptor(all);
    expect(send('f/m1', `{"t":${NOW},"n":1,"c":1}`)).toBe('volatile');
    expect(send('f/m1', `{"t":${NOW},"n":1,"c":1,"a":1}`)).toBe('accepted');
  });
});

describe('Acceptor and the ring', () => {
  it('leaves no trace of a QoS 1 message without room, and takes it later', () => {
    const { send, committer, counters } = acceptor(scalar, { ringBytes: 65_536 });
    let taken = 0;
    while (send('f/m1/temp', `{"t":${NOW},"v":1}`) === 'accepted') taken += 1;
    expect(counters.accepted).toBe(taken);
    expect(send('f/new/temp', `{"t":${NOW},"v":1}`)).toBe('no_room');
    committer.drain();
    expect(send('f/new/temp', `{"t":${NOW},"v":1}`)).toBe('accepted');
    committer.drain();
    expect(committer.seen.scalars.length).toBe(taken + 1);
    expect(committer.seen.channels.map(({ machine }) => machine)).toEqual(['m1', 'new']);
  });

  it('sheds QoS 0 first, above three quarters of the ring', () => {
    const { send, sink, counters } = acceptor(scalar, { ringBytes: 65_536 });
    while (sink.fill <= 0.75) send('f/m1/temp', `{"t":${NOW},"v":1}`, 0);
    expect(send('f/m1/temp', `{"t":${NOW},"v":1}`, 0)).toBe('shed');
    expect(send('f/m1/temp', `{"t":${NOW},"v":1}`, 1)).toBe('accepted');
    expect(counters.shed).toBe(1);
  });

  it('keeps a message as dead letter that could never fit the ring, instead of waiting for ever', () => {
    const { send, seen } = acceptor(
      { machines: { topics: ['f/{machine}/{channel}'], channels: { '*': { periodMs: 1 } } } },
      { ringBytes: 65_536 },
    );
    expect(send('f/m1/p', `{"t":${NOW - 5000},"v":[${'1,'.repeat(2000)}1]}`)).toBe('accepted');
    expect(seen().deadLetters[0]).toMatchObject({ reason: 'oversize' });
  });
});

describe('Acceptor, while the time of day is not known', () => {
  const BOOTED_MS = 1_764_000_000_000 - 90_000;
  const unknown: StampClock = { isSet: false, holding: true, offsetMs: BOOTED_MS, floorMs: NOW };
  const DAY_MS = 86_400_000;
  const stamped: ConfigInput['machineClasses'] = {
    machines: {
      topics: ['f/{machine}/{channel}'],
      payload: { format: 'number' },
      channels: { '*': {} },
    },
  };
  const guarded = { clockGuard: { maxPastMs: DAY_MS } };

  it('stamps with the time since boot, for a later correction', () => {
    const { send, seen } = acceptor(stamped, guarded, [], unknown);
    send('f/m1/temp', '21.5');
    expect(seen().scalars).toMatchObject([
      { timeMs: 90_000, flags: RecordFlag.GATEWAY_TIME | RecordFlag.BOOT_TIME, value: 21.5 },
    ]);
  });

  it('believes devices whose clocks are ahead of its own by years, and none from before the time it knew', () => {
    const { send, seen } = acceptor(scalar, guarded, [], unknown);
    const at = (timeMs: number) => send('f/m1/temp', JSON.stringify({ t: timeMs, v: 1 }));
    const good = [NOW, NOW + 3 * 365 * DAY_MS, NOW - DAY_MS];
    good.forEach(at);
    at(NOW - DAY_MS - 1);
    at(Date.UTC(2100, 0, 1) + 1);
    at(1000);
    const { scalars, deadLetters } = seen();
    expect(scalars.map(({ timeMs, flags }) => [timeMs, flags])).toEqual(good.map((timeMs) => [timeMs, 0]));
    expect(deadLetters.map(({ reason }) => reason)).toEqual([
      'past_timestamp',
      'future_timestamp',
      'past_timestamp',
    ]);
  });

  it('stamps with its best guess once nothing is held any more, and says that it is one', () => {
    const { send, seen } = acceptor(stamped, guarded, [], { ...unknown, holding: false });
    send('f/m1/temp', '21.5');
    expect(seen().scalars).toMatchObject([{ timeMs: NOW, flags: RecordFlag.GATEWAY_TIME, quality: 1 }]);
  });
});
