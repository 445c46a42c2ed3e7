/** Tensors as they travel between the pipeline and the inference process: plain numbers, no library type. */

/** A dense row-major tensor. */
export interface WireTensor {
  readonly dims: readonly number[];
  /** Length = product of dims; its array type is the element type. */
  readonly data: Float32Array | Float64Array;
}

export type WireTensors = Readonly<Record<string, WireTensor>>;

/** Parameters of one machine, without the batch axis; `key` changes whenever a number in them does. */
export interface ParameterSet {
  readonly key: string;
  readonly tensors: WireTensors;
}

/** Bytes a parameter set occupies in the inference process. */
export function parameterBytes(set: ParameterSet): number {
  let bytes = 0;
  for (const tensor of Object.values(set.tensors)) bytes += tensor.data.byteLength;
  return bytes;
}
