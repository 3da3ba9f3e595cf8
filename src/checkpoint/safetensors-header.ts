// The header of a safetensors file (https://github.com/huggingface/safetensors, "Format"): eight bytes of length,
// JSON, then data. Everything in it is checked before anything is believed. No I/O here.

import { UserError, messageOf } from '../util/errors.js';
import { isObject } from '../util/json.js';
import { duplicateKey } from './duplicate-key.js';

const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const;
export type Dtype = keyof typeof dtypeBytes;

/** The reference implementation's own limit. */
const MAX_HEADER_BYTES = 100_000_000;

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Bytes from the start of the data section. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Where the data section starts in the file. */
  readonly dataOffset: number;
}

function invalid(file: string, what: string, cause?: unknown): UserError {
  return new UserError('SAFETENSORS_INVALID', `${file} is not a valid safetensors file: ${what}`, { cause });
}

/** JSON's length from the file's first eight bytes; throws UserError SAFETENSORS_INVALID. */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  if (fileBytes < 8 || prefix.byteLength < 8)
    throw invalid(file, `it has ${fileBytes} bytes, expected at least 8`);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw invalid(file, `its header claims ${length} bytes, the limit is ${MAX_HEADER_BYTES}`);
  }
  if (length > BigInt(fileBytes - 8)) {
    throw invalid(file, `its header claims ${length} bytes, the file has ${fileBytes - 8} after the length`);
  }
  return Number(length);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function decodeTensor(name: string, value: unknown, file: string): TensorInfo {
  const where = `tensor ${JSON.stringify(name)}`;
  if (!isObject(value)) throw invalid(file, `${where} is not an object`);
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  const extra = Object.keys(rest)[0];
  if (extra !== undefined) throw invalid(file, `${where} has an unknown field ${JSON.stringify(extra)}`);
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypeBytes, dtype)) {
    throw invalid(
      file,
      `${where} has the dtype ${JSON.stringify(dtype)}, expected one of ${Object.keys(dtypeBytes).join(', ')}`,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw invalid(file, `${where} has no shape of whole numbers`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw invalid(file, `${where} has no data_offsets [begin, end]`);
  }
  const [begin, end] = offsets as [number, number];
  const bytes = shape.reduce((product, size) => product * size, dtypeBytes[dtype as Dtype]);
  if (end - begin !== bytes) {
    throw invalid(
      file,
      `${where}: ${dtype} [${shape.join(', ')}] takes ${bytes} bytes, its data_offsets span ${end - begin}`,
    );
  }
  return { name, dtype: dtype as Dtype, shape, begin, end };
}

function decodeMetadata(value: unknown, file: string): Map<string, string> {
  if (!isObject(value)) throw invalid(file, '__metadata__ is not an object');
  const entries = Object.entries(value);
  for (const [key, entry] of entries) {
    if (typeof entry !== 'string') throw invalid(file, `__metadata__ ${JSON.stringify(key)} is not a string`);
  }
  return new Map(entries as [string, string][]);
}

/** Throws unless the tensors (sorted by begin) cover [0, dataBytes) without a hole and without an overlap. */
function checkCover(sorted: readonly TensorInfo[], dataBytes: number, file: string): void {
  let end = 0;
  let before = 'the start of the data';
  for (const tensor of sorted) {
    const where = `tensor ${JSON.stringify(tensor.name)}`;
    if (tensor.begin < end) throw invalid(file, `${where} overlaps ${before}`);
    if (tensor.begin > end)
      throw invalid(file, `${tensor.begin - end} bytes between ${before} and ${where} belong to no tensor`);
    end = tensor.end;
    before = where;
  }
  if (end !== dataBytes) {
    throw invalid(
      file,
      `its tensors take ${end} bytes, its data section has ${dataBytes} (cut off, or longer than written)`,
    );
  }
}

function parseJson(json: Uint8Array, file: string): Readonly<Record<string, unknown>> {
  if (json[0] !== 0x7b) throw invalid(file, 'its header does not start with "{"');
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json);
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(file, `its header is not JSON (${messageOf(error)})`, error);
  }
  const repeated = duplicateKey(text);
  if (repeated !== null) throw invalid(file, `its header names ${JSON.stringify(repeated)} twice`);
  if (!isObject(value)) throw invalid(file, 'its header is not an object');
  return value;
}

/**
 * Decodes and checks a header. `json` is what follows the length; `fileBytes` the size of the whole file.
 * Throws UserError SAFETENSORS_INVALID that names `file` and what is wrong with it.
 */
export function decodeHeader(json: Uint8Array, fileBytes: number, file: string): SafetensorsHeader {
  const dataOffset = 8 + json.byteLength;
  const { __metadata__: metadata, ...entries } = parseJson(json, file);
  const tensors = Object.entries(entries).map(([name, value]) => decodeTensor(name, value, file));
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCover(tensors, fileBytes - dataOffset, file);
  return {
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    metadata: metadata === undefined ? new Map() : decodeMetadata(metadata, file),
    dataOffset,
  };
}

/**
 * Encodes the header of float32 tensors that lie side by side in the given order. Its length is a multiple of 8, so
 * the data section is aligned. `format: pt` is what Hugging Face's loaders ask for. The same tensors give the same bytes.
 */
export function encodeHeader(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): Uint8Array {
  const parts = ['"__metadata__":{"format":"pt"}'];
  let begin = 0;
  for (const { name, shape } of tensors) {
    const end = begin + shape.reduce((product, size) => product * size, dtypeBytes.F32);
    parts.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype: 'F32', shape, data_offsets: [begin, end] })}`,
    );
    begin = end;
  }
  const json = new TextEncoder().encode(`{${parts.join(',')}}`);
  const length = Math.ceil(json.byteLength / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}
