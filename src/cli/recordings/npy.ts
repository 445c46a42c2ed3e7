/**
 * Bytes of a NumPy `.npy` file enter, its shape and a typed view of its values leave.
 *
 * Source: NumPy enhancement proposal 1 (format versions 1.0 and 2.0), little-endian integers and floats in C order.
 */

import { recordingError, type SourceFile } from './source-file.ts';

export type NpyValues = Int16Array | Int32Array | Float32Array | Float64Array;

export interface NpyArray {
  readonly shape: readonly number[];
  /** Row-major, length = product of shape. */
  readonly values: NpyValues;
}

const TYPES = {
  '<i2': Int16Array,
  '<i4': Int32Array,
  '<f4': Float32Array,
  '<f8': Float64Array,
} as const;

/** @throws GatewayError MW_RECORDING on anything but the four little-endian types in C order, or a cut file */
export function readNpy(file: SourceFile): NpyArray {
  const { bytes, path } = file;
  if (bytes.length < 12 || bytes.toString('latin1', 0, 6) !== '\x93NUMPY') {
    throw recordingError(path, null, 'not a NumPy file');
  }
  const wide = bytes[6]! >= 2;
  const headerFrom = wide ? 12 : 10;
  const headerTo = headerFrom + (wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8));
  const header = bytes.toString('latin1', headerFrom, headerTo);
  const descr = /'descr':\s*'([^']+)'/.exec(header)?.[1];
  const shapeText = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (descr === undefined || shapeText === undefined || !/'fortran_order':\s*False/.test(header)) {
    throw recordingError(path, null, 'NumPy header without descr, shape or C order');
  }
  const ArrayType = TYPES[descr as keyof typeof TYPES];
  if (ArrayType === undefined) {
    throw recordingError(path, null, `NumPy type ${descr} is not one of ${Object.keys(TYPES).join(', ')}`);
  }
  const shape = shapeText
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number);
  const length = shape.reduce((product, n) => product * n, 1);
  const dataBytes = length * ArrayType.BYTES_PER_ELEMENT;
  if (!Number.isSafeInteger(length) || bytes.length - headerTo < dataBytes) {
    throw recordingError(path, null, `holds fewer values than its shape (${shape.join(', ')}) says`);
  }
  // Copied: the data of a gunzipped buffer has no alignment to rely on.
  const data = new Uint8Array(dataBytes);
  data.set(bytes.subarray(headerTo, headerTo + dataBytes));
  return { shape, values: new ArrayType(data.buffer) };
}
