/** Bytes of an ONNX file enter, the few facts that decide whether it may be loaded leave; nothing is executed. */

/** What a ModelProto says about itself. */
export interface OnnxMetadata {
  readonly irVersion: number;
  /** Operator set version by domain; the default domain `ai.onnx` is stored under ''. */
  readonly opsets: ReadonlyMap<string, number>;
  /** `metadata_props`, exporter's order, later keys win. */
  readonly properties: ReadonlyMap<string, string>;
  readonly producer: string;
  readonly nodeCount: number;
  /** Domains named by the nodes of the graph and its subgraphs ('' = ai.onnx). */
  readonly nodeDomains: ReadonlySet<string>;
  /** True if any tensor keeps its data in another file. */
  readonly externalData: boolean;
}

/** The file is not a well-formed protobuf message of the expected shape. */
export class OnnxFormatError extends Error {
  override readonly name = 'OnnxFormatError';
}

/** Subgraphs (If, Loop, Scan) nest; an honest exporter stays far below this. */
const MAX_DEPTH = 16;

/** Field numbers of onnx.proto (onnx/onnx, IR version 3 and later). */
const MODEL = { irVersion: 1, producerName: 2, graph: 7, opsetImport: 8, metadataProps: 14, functions: 25 };
const GRAPH = { node: 1, initializer: 5, sparseInitializer: 15 };
const NODE = { attribute: 5, domain: 7 };
const ATTRIBUTE = { tensor: 5, graph: 6, tensors: 10, graphs: 11, sparseTensor: 22, sparseTensors: 23 };
const TENSOR = { externalData: 13, dataLocation: 14 };
const DATA_LOCATION_EXTERNAL = 1;

interface Field {
  readonly number: number;
  /** Value of varint fields; 0 otherwise. */
  readonly varint: number;
  /** Content of length-delimited fields; null otherwise. */
  readonly bytes: Uint8Array | null;
}

/**
 * Walks the message far enough to answer; weights are skipped, not copied.
 * @throws OnnxFormatError on truncation, an impossible length or nesting deeper than 16
 */
export function readOnnxMetadata(file: Uint8Array): OnnxMetadata {
  const walk = new GraphWalk();
  const opsets = new Map<string, number>();
  const properties = new Map<string, string>();
  let irVersion = 0;
  let producer = '';
  for (const field of fields(file)) {
    if (field.number === MODEL.irVersion) irVersion = field.varint;
    else if (field.bytes === null) continue;
    else if (field.number === MODEL.producerName) producer = text(field.bytes);
    else if (field.number === MODEL.opsetImport) addOpset(field.bytes, opsets);
    else if (field.number === MODEL.metadataProps) addProperty(field.bytes, properties);
    else if (field.number === MODEL.graph) walk.graph(field.bytes, 0);
    else if (field.number === MODEL.functions) walk.hasFunctions = true;
  }
  if (irVersion === 0 || opsets.size === 0) throw new OnnxFormatError('not an ONNX model');
  if (walk.hasFunctions) walk.domains.add('local functions');
  return {
    irVersion,
    opsets,
    properties,
    producer,
    nodeCount: walk.nodes,
    nodeDomains: walk.domains,
    externalData: walk.externalData,
  };
}

class GraphWalk {
  nodes = 0;
  externalData = false;
  hasFunctions = false;
  readonly domains = new Set<string>();

  graph(bytes: Uint8Array, depth: number): void {
    if (depth > MAX_DEPTH) throw new OnnxFormatError(`subgraphs nested deeper than ${MAX_DEPTH}`);
    for (const field of fields(bytes)) {
      if (field.bytes === null) continue;
      if (field.number === GRAPH.node) this.#node(field.bytes, depth);
      else if (field.number === GRAPH.initializer) this.#tensor(field.bytes);
      else if (field.number === GRAPH.sparseInitializer) this.#sparseTensor(field.bytes);
    }
  }

  #node(bytes: Uint8Array, depth: number): void {
    this.nodes += 1;
    let domain = '';
    for (const field of fields(bytes)) {
      if (field.bytes === null) continue;
      if (field.number === NODE.domain) domain = text(field.bytes);
      else if (field.number === NODE.attribute) this.#attribute(field.bytes, depth);
    }
    this.domains.add(domain === 'ai.onnx' ? '' : domain);
  }

  #attribute(bytes: Uint8Array, depth: number): void {
    for (const field of fields(bytes)) {
      if (field.bytes === null) continue;
      const { number } = field;
      if (number === ATTRIBUTE.graph || number === ATTRIBUTE.graphs) this.graph(field.bytes, depth + 1);
      else if (number === ATTRIBUTE.tensor || number === ATTRIBUTE.tensors) this.#tensor(field.bytes);
      else if (number === ATTRIBUTE.sparseTensor || number === ATTRIBUTE.sparseTensors)
        this.#sparseTensor(field.bytes);
    }
  }

  #tensor(bytes: Uint8Array): void {
    for (const field of fields(bytes)) {
      if (field.number === TENSOR.externalData && field.bytes !== null) this.externalData = true;
      if (field.number === TENSOR.dataLocation && field.varint === DATA_LOCATION_EXTERNAL)
        this.externalData = true;
    }
  }

  /** SparseTensorProto holds two TensorProto (values 1, indices 2): the known hiding place of external data. */
  #sparseTensor(bytes: Uint8Array): void {
    for (const field of fields(bytes)) {
      if (field.bytes !== null && (field.number === 1 || field.number === 2)) this.#tensor(field.bytes);
    }
  }
}

function addOpset(bytes: Uint8Array, opsets: Map<string, number>): void {
  let domain = '';
  let version = 0;
  for (const field of fields(bytes)) {
    if (field.number === 1 && field.bytes !== null) domain = text(field.bytes);
    else if (field.number === 2) version = field.varint;
  }
  opsets.set(domain === 'ai.onnx' ? '' : domain, version);
}

function addProperty(bytes: Uint8Array, properties: Map<string, string>): void {
  let key = '';
  let value = '';
  for (const field of fields(bytes)) {
    if (field.bytes === null) continue;
    if (field.number === 1) key = text(field.bytes);
    else if (field.number === 2) value = text(field.bytes);
  }
  properties.set(key, value);
}

/** The fields of one protobuf message, in file order (protobuf encoding, wire types 0, 1, 2 and 5). */
function* fields(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  while (at < bytes.length) {
    const tag = varint(bytes, at);
    at = tag.next;
    const number = Math.floor(tag.value / 8);
    const wireType = tag.value % 8;
    if (wireType === 0) {
      const value = varint(bytes, at);
      at = value.next;
      yield { number, varint: value.value, bytes: null };
    } else if (wireType === 2) {
      const length = varint(bytes, at);
      const end = length.next + length.value;
      if (end > bytes.length) throw new OnnxFormatError('truncated: a field reaches beyond the end');
      at = end;
      yield { number, varint: 0, bytes: bytes.subarray(length.next, end) };
    } else if (wireType === 1 || wireType === 5) {
      at += wireType === 1 ? 8 : 4;
      if (at > bytes.length) throw new OnnxFormatError('truncated: a number reaches beyond the end');
      yield { number, varint: 0, bytes: null };
    } else {
      throw new OnnxFormatError(`wire type ${wireType} does not occur in ONNX`);
    }
  }
}

/** Base-128 varint; values beyond 2^53 lose low bits, which no field read here can reach honestly. */
function varint(bytes: Uint8Array, start: number): { value: number; next: number } {
  let value = 0;
  let factor = 1;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) throw new OnnxFormatError('truncated: a number reaches beyond the end');
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, next: start + i + 1 };
    factor *= 128;
  }
  throw new OnnxFormatError('a number is longer than ten bytes');
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
