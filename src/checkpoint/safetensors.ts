// safetensors files: open and read tensors by name, create one ahead of its data.

import { UserError, assert, messageOf } from '../util/errors.js';
import { bytesOf } from './files.js';
import { nameOf, type Folder, type OpenFile } from './folder.js';
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
    /** As messages name it. */
    readonly path: string,
    readonly header: SafetensorsHeader,
    private readonly file: OpenFile,
  ) {}

  /** Throws UserError SAFETENSORS_INVALID (what is wrong), or SAFETENSORS_MISSING when it cannot be opened. */
  static async open(folder: Folder, name: string): Promise<SafetensorsFile> {
    const path = nameOf(folder, name);
    const file = await folder.open(name).catch((error: unknown) => {
      throw new UserError('SAFETENSORS_MISSING', `cannot open ${path}: ${messageOf(error)}`, {
        cause: error,
      });
    });
    return SafetensorsFile.read(file, path).catch(async (error: unknown) => {
      await file.close();
      throw error;
    });
  }

  /** Reads the header of an open file; `path` names it in messages. Throws UserError SAFETENSORS_INVALID. */
  static async read(file: OpenFile, path: string): Promise<SafetensorsFile> {
    const { bytes } = file;
    const prefix = new Uint8Array(Math.min(8, bytes));
    await file.read(prefix, 0);
    const json = new Uint8Array(headerLength(prefix, bytes, path));
    await file.read(json, 8);
    return new SafetensorsFile(path, decodeHeader(json, bytes, path), file);
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
      await this.file.read(bytesOf(values), position);
      return values;
    }
    const bytes = new Uint8Array(tensor.end - tensor.begin);
    await this.file.read(bytes, position);
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
    return this.file.read(bytesOf(into), this.header.dataOffset + offset);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** Where the values of a file are written: the path, and the byte at which its data section starts. */
export interface TensorFile {
  readonly path: string;
  readonly dataOffset: number;
}

/** Allocates a file for float32 tensors in the given order: header, then zeros to its full size. */
export async function createSafetensors(
  folder: Folder,
  name: string,
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): Promise<TensorFile> {
  const header = encodeHeader(tensors);
  const size = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 4), 0);
  const path = await folder.allocate(name, header, header.byteLength + size);
  return { path, dataOffset: header.byteLength };
}
