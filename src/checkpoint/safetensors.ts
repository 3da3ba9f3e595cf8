// safetensors files on disk: open and read tensors by name, create one ahead of its data.

import { open, type FileHandle } from 'node:fs/promises';
import { UserError, assert, messageOf } from '../util/errors.js';
import { readFully, readSlice } from './files.js';
import { widen } from './half.js';
import {
  decodeHeader,
  encodeHeader,
  headerLength,
  type SafetensorsHeader,
  type TensorInfo,
} from './safetensors-header.js';

function elements(tensor: TensorInfo): number {
  return tensor.shape.reduce((product, size) => product * size, 1);
}

/** An open file whose header is valid. Reads are by position, so they may overlap. */
export class SafetensorsFile {
  private constructor(
    readonly path: string,
    readonly header: SafetensorsHeader,
    private readonly handle: FileHandle,
  ) {}

  /** Throws UserError SAFETENSORS_INVALID (what is wrong), or SAFETENSORS_MISSING when it cannot be opened. */
  static async open(path: string): Promise<SafetensorsFile> {
    const handle = await open(path, 'r').catch((error: unknown) => {
      throw new UserError('SAFETENSORS_MISSING', `cannot open ${path}: ${messageOf(error)}`, {
        cause: error,
      });
    });
    try {
      const { size } = await handle.stat();
      const prefix = new Uint8Array(Math.min(8, size));
      await readFully(handle, prefix, 0);
      const json = new Uint8Array(headerLength(prefix, size, path));
      await readFully(handle, json, 8);
      return new SafetensorsFile(path, decodeHeader(json, size, path), handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The tensor of that name; throws UserError SAFETENSORS_TENSOR_MISSING. */
  tensor(name: string): TensorInfo {
    const tensor = this.header.tensors.get(name);
    if (tensor === undefined) {
      throw new UserError('SAFETENSORS_TENSOR_MISSING', `${this.path} has no tensor ${JSON.stringify(name)}`);
    }
    return tensor;
  }

  /**
   * Reads a float tensor as float32 (F16 and BF16 are widened exactly, F64 is rounded) into `into`, or a new array.
   * Throws UserError SAFETENSORS_TENSOR_MISSING, or SAFETENSORS_DTYPE for integers and 8-bit floats.
   */
  async read(name: string, into?: Float32Array): Promise<Float32Array> {
    const tensor = this.tensor(name);
    const values = into ?? new Float32Array(elements(tensor));
    assert(
      values.length === elements(tensor),
      `${name} has ${elements(tensor)} elements, room for ${values.length}`,
    );
    const position = this.header.dataOffset + tensor.begin;
    if (tensor.dtype === 'F32') {
      await readSlice(this.handle, position, values);
      return values;
    }
    const bytes = new Uint8Array(tensor.end - tensor.begin);
    await readFully(this.handle, bytes, position);
    if (!widen(tensor.dtype, bytes, values)) {
      throw new UserError(
        'SAFETENSORS_DTYPE',
        `${this.path}: ${name} is ${tensor.dtype}, expected F32, F16, BF16 or F64`,
      );
    }
    return values;
  }

  /** Reads float32 values from byte `offset` of the data section, across the bounds of tensors. */
  readFlat(offset: number, into: Float32Array): Promise<void> {
    return readSlice(this.handle, this.header.dataOffset + offset, into);
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

/**
 * Creates `path` (EEXIST if there is one) for float32 tensors in the given order: header, then zeros to its full size.
 * Returns where its data section starts, in bytes.
 */
export async function createSafetensors(
  path: string,
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): Promise<number> {
  const header = encodeHeader(tensors);
  const size = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 4), 0);
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(header);
    await handle.truncate(header.byteLength + size);
  } finally {
    await handle.close();
  }
  return header.byteLength;
}
