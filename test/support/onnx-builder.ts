/** Tiny ONNX models by hand, for tests that need graphs nobody would ship: slow, NaN, huge, crashing. */

/** An operator with its inputs and outputs by name. */
export interface NodeInput {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Encoded AttributeProto messages. */
  readonly attributes?: readonly (readonly number[])[];
}

const FLOAT = 1;
const INT64 = 7;

/**
 * A graph from `features` [N, width] float32 to one float32 output; opset 17, IR 8.
 *
 * @param initializers encoded TensorProto messages
 */
export function onnxModel(input: {
  readonly width: number;
  readonly nodes: readonly NodeInput[];
  readonly output: string;
  readonly initializers?: readonly (readonly number[])[];
}): Uint8Array {
  const graph = [
    ...input.nodes.flatMap((node) => message(1, nodeProto(node))),
    ...text(2, 'test'),
    ...(input.initializers ?? []).flatMap((tensor) => message(5, tensor)),
    ...message(11, valueInfo('features', ['N', input.width])),
    ...message(12, valueInfo(input.output, ['N', 1])),
  ];
  const opset = [...text(1, ''), ...integer(2, 17)];
  return Uint8Array.from([...integer(1, 8), ...message(7, graph), ...message(8, opset)]);
}

/** A float32 constant. */
export function floatTensor(name: string, dims: readonly number[], values: readonly number[]): number[] {
  const raw = [...new Uint8Array(Float32Array.from(values).buffer)];
  return [
    ...dims.flatMap((dim) => integer(1, dim)),
    ...integer(2, FLOAT),
    ...text(8, name),
    ...message(9, raw),
  ];
}

/** An int64 constant. */
export function integerTensor(name: string, dims: readonly number[], values: readonly number[]): number[] {
  const raw = [...new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer)];
  return [
    ...dims.flatMap((dim) => integer(1, dim)),
    ...integer(2, INT64),
    ...text(8, name),
    ...message(9, raw),
  ];
}

/** An integer attribute. */
export function intAttribute(name: string, value: number): number[] {
  return [...text(1, name), ...integer(3, value), ...integer(20, 2)];
}

function nodeProto({ operator, inputs, outputs, attributes = [] }: NodeInput): number[] {
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...outputs.flatMap((name) => text(2, name)),
    ...text(4, operator),
    ...attributes.flatMap((attribute) => message(5, attribute)),
  ];
}

function valueInfo(name: string, dims: readonly (string | number)[]): number[] {
  const shape = dims.flatMap((dim) => message(1, typeof dim === 'number' ? integer(1, dim) : text(2, dim)));
  const tensor = [...integer(1, FLOAT), ...message(2, shape)];
  return [...text(1, name), ...message(2, message(1, tensor))];
}

function integer(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)];
}

function text(field: number, value: string): number[] {
  return message(field, [...Buffer.from(value)]);
}

function message(field: number, content: readonly number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(content.length), ...content];
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}
