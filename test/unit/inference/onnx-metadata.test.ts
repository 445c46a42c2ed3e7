import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { staticObjection } from '../../../src/inference/model-folder.ts';
import { OnnxFormatError, readOnnxMetadata } from '../../../src/inference/onnx-metadata.ts';

const MODEL = join(import.meta.dirname, '../../../models/machine-baseline/1.0.0/model.onnx');

/** Protobuf by hand: a varint field and a length-delimited one. */
function number(field: number, value: number): number[] {
  return [field << 3, ...varint(value)];
}

function bytes(field: number, content: readonly number[] | string): number[] {
  const body = typeof content === 'string' ? [...Buffer.from(content)] : content;
  return [...varint(field * 8 + 2), ...varint(body.length), ...body];
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 128))];
}

const OPSET_17 = bytes(8, [...bytes(1, ''), ...number(2, 17)]);

function model(graph: readonly number[], rest: readonly number[] = []): Uint8Array {
  return Uint8Array.from([...number(1, 8), ...OPSET_17, ...bytes(7, graph), ...rest]);
}

describe('readOnnxMetadata', () => {
  it('reads versions and properties of a shipped model', () => {
    const metadata = readOnnxMetadata(readFileSync(MODEL));
    expect(metadata.irVersion).toBe(8);
    expect(metadata.opsets.get('')).toBe(17);
    expect(metadata.properties.get('pdm.task')).toBe('anomaly');
    expect(metadata.nodeCount).toBe(8);
    expect([...metadata.nodeDomains]).toEqual(['']);
    expect(staticObjection(metadata)).toBe('');
  });

  it('refuses every truncation cleanly or reads what is left, and never throws anything else', () => {
    const file = readFileSync(MODEL);
    for (let length = 0; length < file.length; length++) {
      try {
        readOnnxMetadata(file.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(OnnxFormatError);
      }
    }
    expect(() => readOnnxMetadata(new Uint8Array(0))).toThrow(OnnxFormatError);
  });

  it('survives arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (file) => {
        try {
          readOnnxMetadata(file);
        } catch (error) {
          expect(error).toBeInstanceOf(OnnxFormatError);
        }
      }),
    );
  });

  it('finds external data in initializers, attributes and inside sparse tensors', () => {
    const external = number(14, 1);
    const located = bytes(13, [...bytes(1, 'location'), ...bytes(2, '../../etc/passwd')]);
    const graphs = [
      bytes(5, external),
      bytes(5, located),
      bytes(15, bytes(1, external)),
      bytes(1, bytes(5, bytes(5, located))),
      bytes(1, bytes(5, bytes(22, bytes(2, external)))),
      bytes(1, bytes(5, bytes(6, bytes(5, external)))),
    ];
    for (const graph of graphs) {
      expect(staticObjection(readOnnxMetadata(model(graph)))).toContain('other files');
    }
    expect(readOnnxMetadata(model(bytes(5, number(14, 0)))).externalData).toBe(false);
  });

  it('objects to foreign operator domains, in imports, nodes and subgraphs, and to functions', () => {
    const foreign = bytes(8, [...bytes(1, 'com.evil'), ...number(2, 1)]);
    expect(staticObjection(readOnnxMetadata(model([], foreign)))).toContain('com.evil');
    const node = bytes(1, bytes(7, 'com.evil'));
    expect(staticObjection(readOnnxMetadata(model(node)))).toContain('com.evil');
    const nested = bytes(1, bytes(5, bytes(6, node)));
    expect(staticObjection(readOnnxMetadata(model(nested)))).toContain('com.evil');
    expect(staticObjection(readOnnxMetadata(model([], bytes(25, ''))))).toContain('not allowed');
  });

  it('objects to operator sets and IR versions above what was tested', () => {
    const opset99 = Uint8Array.from([...number(1, 8), ...bytes(8, number(2, 99)), ...bytes(7, [])]);
    expect(staticObjection(readOnnxMetadata(opset99))).toContain('99');
    const ir99 = Uint8Array.from([...number(1, 99), ...OPSET_17, ...bytes(7, [])]);
    expect(staticObjection(readOnnxMetadata(ir99))).toContain('IR version 99');
  });

  it('refuses graphs nested deeper than any exporter makes them', () => {
    let graph: number[] = [];
    for (let depth = 0; depth < 20; depth++) graph = bytes(1, bytes(5, bytes(6, graph)));
    expect(() => readOnnxMetadata(model(graph))).toThrow(/nested deeper/);
  });
});
