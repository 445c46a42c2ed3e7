import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { exampleYaml, schemaJson } from '../../../src/config/generate.ts';
import { loadConfig, parseConfig } from '../../../src/config/load.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { configJsonSchema, type SchemaNode } from '../../../src/config/schema-tree.ts';
import { FeatureExtractor } from '../../../src/features/extractor.ts';

const CONFIG = new URL('../../../config/', import.meta.url);
const committed = (name: string): string => readFileSync(new URL(name, CONFIG), 'utf8');

/** Keys of every mapping in the schema, however deep. */
function allKeys(node: SchemaNode): string[] {
  const own = Object.entries(node.properties ?? {}).flatMap(([key, inner]) => [key, ...allKeys(inner)]);
  const below = [
    node.items,
    ...(node.oneOf ?? []),
    typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined,
  ];
  return [...own, ...below.flatMap((inner) => (inner === undefined ? [] : allKeys(inner)))];
}

/** Keys that carry a value and do not say what for, neither themselves nor through what they are part of. */
function undescribed(node: SchemaNode, path = ''): string[] {
  const own = Object.entries(node.properties ?? {}).flatMap(([key, inner]) => {
    const here = `${path}.${key}`;
    const isSection = inner.properties !== undefined || inner.oneOf !== undefined;
    const tells =
      inner.description !== undefined ||
      isSection ||
      inner.const !== undefined ||
      inner.items?.properties !== undefined;
    return [...(tells ? [] : [here]), ...(inner.description === undefined ? undescribed(inner, here) : [])];
  });
  const below = [
    ...(node.oneOf ?? []),
    typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined,
  ];
  return [...own, ...below.flatMap((inner) => (inner === undefined ? [] : undescribed(inner, `${path}.*`)))];
}

describe('the generated files', () => {
  it.each([
    ['gateway.example.yaml', exampleYaml],
    ['gateway.schema.json', schemaJson],
  ])('%s is what the schema gives; else run: millwright check --write-schema', (name, generate) => {
    expect(committed(name)).toBe(generate());
  });

  it('show every key, in force or behind a #', () => {
    const example = exampleYaml();
    const missing = allKeys(configJsonSchema()).filter(
      (key) => !new RegExp(`^ *(# *)?(- )?${key}:`, 'm').test(example),
    );
    expect(missing).toEqual([]);
  });

  it('tell of every key what it is for', () => {
    expect(undescribed(configJsonSchema())).toEqual([]);
  });

  it('show the true defaults', () => {
    const example = parse(exampleYaml()) as Record<string, unknown>;
    const {
      sinks: _sinks,
      machineClasses: _classes,
      ...sections
    } = configSchema.parse({ machineClasses: {} });
    for (const [name, values] of Object.entries(sections)) expect(example[name], name).toEqual(values);
  });
});

describe('the configurations we ship', () => {
  const bench = {
    MILLWRIGHT_DATA_DIR: '/tmp/x',
    MILLWRIGHT_MQTT_PORT: '18830',
    MILLWRIGHT_INFLUX_URL: 'http://127.0.0.1:8428',
  };

  it.each([
    ['gateway.example.yaml', {}],
    ['demo.yaml', {}],
    ['bench.yaml', bench],
  ])('%s loads, and every machine class in it computes features', (name, env) => {
    const config = loadConfig(new URL(name, CONFIG).pathname, {}, env);
    for (const machineClass of Object.values(config.machineClasses)) {
      expect(new FeatureExtractor(machineClass).schema()).toBeInstanceOf(Array);
    }
  });

  it('the demonstration watches only features that exist', () => {
    const config = loadConfig(new URL('demo.yaml', CONFIG).pathname, {}, {});
    for (const machineClass of Object.values(config.machineClasses)) {
      const groups = new FeatureExtractor(machineClass).schema();
      const ids = groups.flatMap(({ channel, specs }) => specs.map(({ id }) => `${channel}.${id}`));
      for (const pattern of machineClass.baseline.features) {
        const matches = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
        expect(
          ids.filter((id) => matches.test(id)),
          pattern,
        ).not.toEqual([]);
      }
    }
  });

  it('a commented-out sink of the demonstration is right as soon as the # is gone', () => {
    const text = committed('demo.yaml').replace(/^# (sinks:(\n#.*)+)/m, (block) =>
      block.replaceAll(/^# ?/gm, ''),
    );
    expect(parseConfig(text, { path: 'demo.yaml', env: { INFLUX_TOKEN: 't' } }).sinks).toHaveProperty(
      'influx',
    );
  });
});
