/** What the generated example shows where the schema has no default: one class of pumps, two sinks, samples of the rest. */

/** Put into the example as it stands; the first entry of each map is shown with all of its keys. */
export const EXAMPLE: Readonly<Record<string, unknown>> = {
  machineClasses: {
    pump: {
      machines: ['pump-*'],
      topics: ['plant/{machine}/{channel}'],
      channels: {
        vibration: {
          kind: 'waveform',
          unit: 'g',
          sampleRateHz: 12800,
          features: ['vib.basic', 'vib.iso', 'vib.bearing'],
          payload: { format: 'block' },
        },
        temperature: { unit: 'degC', periodMs: 1000 },
        pressure: { unit: 'bar', periodMs: 1000, features: ['proc.basic', 'proc.trend'] },
      },
      parameters: {
        shaftSpeedRpm: 1480,
        bearing: { ballDiameter: 7.94, pitchDiameter: 39.04 },
        isoGroup: 2,
        isoSupport: 'rigid',
      },
      baseline: { enabled: true },
    },
  },
  sinks: {
    influx: { type: 'influxdb2', url: 'http://127.0.0.1:8086', token: '${INFLUX_TOKEN:-}' },
    victoria: {
      type: 'line-protocol',
      url: 'http://127.0.0.1:8428',
      database: 'gw',
      username: 'gateway',
      password: '${VICTORIA_PASSWORD:-}',
    },
  },
};

/** By key: an example for keys that have no default, and for an entry of a list that is empty by default. */
export const SAMPLES: Readonly<Record<string, unknown>> = {
  username: 'gateway',
  password: '${MQTT_PASSWORD}',
  caFile: '/etc/millwright/broker-ca.pem',
  users: [
    {
      username: 'line-3',
      password: '${LINE_3_PASSWORD}',
      publish: ['plant/%u/#'],
      subscribe: [],
    },
  ],
  fields: { temperature: '/temp', pressure: '/p1' },
  periodMs: 1000,
  samplesPerWindow: 25600,
  sampleRateHz: 12800,
  payload: { format: 'json' },
  hopMs: 5000,
  envelopeBandHz: [2000, 6000],
  running: { channel: 'pressure', above: 0.5 },
  ratedLoad: 55,
  rulWarning: 50,
  rulAlarm: 20,
  models: [{ name: 'turbofan-rul', version: 'latest' }],
};
