// Reads a checkpoint back into flat vectors. Every file is summed while it is read, so that one pass reads and checks.

import { UserError, assert } from '../util/errors.js';
import { nameOf, type Folder } from './folder.js';
import { SummedFile, hashBytes } from './hash.js';
import type { TensorLayout } from './layout.js';
import { badCheckpoint, inspectManifest, type Manifest } from './manifest.js';
import { MODEL_FILE, OPTIMIZER_FILE, STATE_FILE } from './names.js';
import { optimizerTensors } from './optimizer-layout.js';
import { SafetensorsFile } from './safetensors.js';
import { parseState, type CheckpointState } from './state.js';

/** Where a checkpoint is read to; each may lie on a SharedArrayBuffer. */
export interface TrainingVectors {
  readonly parameters: Float32Array; // [layout.total]
  readonly moment1: Float32Array; // [layout.trainable]
  readonly moment2: Float32Array; // [layout.trainable]
}

type Expected = Pick<TensorLayout['tensors'][number], 'name' | 'shape'>;

/** Throws UserError CHECKPOINT_MISMATCH unless the file holds exactly `expected`, float32, in that order. */
function checkTensors(file: SafetensorsFile, expected: readonly Expected[]): void {
  const found = [...file.header.tensors.values()];
  for (const [index, { name, shape }] of expected.entries()) {
    const tensor = found[index];
    const wanted = `${name} F32 [${shape.join(', ')}]`;
    const got = tensor ? `${tensor.name} ${tensor.dtype} [${tensor.shape.join(', ')}]` : 'nothing';
    if (wanted !== got) {
      throw new UserError(
        'CHECKPOINT_MISMATCH',
        `${file.path}: expected tensor ${index} to be ${wanted}, got ${got}`,
      );
    }
  }
  const extra = found[expected.length];
  if (extra)
    throw new UserError('CHECKPOINT_MISMATCH', `${file.path}: this model has no tensor ${extra.name}`);
}

/** A checkpoint whose manifest is valid, and whose files are compared with it as they are read. */
export class CheckpointReader {
  private constructor(
    readonly folder: Folder,
    private readonly manifest: Manifest,
  ) {}

  /** Throws UserError CHECKPOINT_BAD. */
  static async open(folder: Folder): Promise<CheckpointReader> {
    const found = await inspectManifest(folder);
    if (found.status === 'whole') return new CheckpointReader(folder, found.manifest);
    throw badCheckpoint(folder, found.problem);
  }

  /** Whether a file is the checkpoint's own. */
  lists(name: string): boolean {
    return this.manifest.files.some((file) => file.name === name);
  }

  /** All bytes of a small file. Throws UserError CHECKPOINT_BAD. */
  async read(name: string): Promise<Uint8Array> {
    const bytes = await this.folder.read(name);
    if (bytes === null) throw badCheckpoint(this.folder, `${name} is missing`);
    this.checkSum(name, hashBytes(bytes));
    return bytes;
  }

  /** Throws UserError CHECKPOINT_BAD. */
  async state(): Promise<CheckpointState> {
    const text = new TextDecoder().decode(await this.read(STATE_FILE));
    const state = parseState(text, nameOf(this.folder, STATE_FILE));
    if (state.step === this.manifest.step) return state;
    throw badCheckpoint(
      this.folder,
      `${STATE_FILE} is of step ${state.step}, the manifest of step ${this.manifest.step}`,
    );
  }

  /**
   * Lets `use` read a safetensors file; what it read is right once the promise resolves.
   * Throws UserError CHECKPOINT_BAD when the file has another sum, also when `use` failed on what it found there.
   */
  async readTensors(name: string, use: (tensors: SafetensorsFile) => Promise<void>): Promise<void> {
    const file = new SummedFile(await this.folder.open(name));
    try {
      const used = SafetensorsFile.read(file, nameOf(this.folder, name)).then(use);
      await used.catch(() => {}); // damage is what failed it, if there is damage
      this.checkSum(name, await file.sum());
      await used;
    } finally {
      await file.close();
    }
  }

  /** Compares the sums of the files that nobody has read. Throws UserError CHECKPOINT_BAD. */
  async readRest(read: readonly string[]): Promise<void> {
    for (const { name } of this.manifest.files) if (!read.includes(name)) await this.read(name);
  }

  private checkSum(name: string, sum: string): void {
    const expected = this.manifest.files.find((file) => file.name === name)?.sha256;
    if (sum === expected) return;
    throw badCheckpoint(
      this.folder,
      `${name} has SHA-256 ${sum}, expected ${expected ?? 'it to be in the manifest'}`,
    );
  }
}

async function readParts(
  tensors: SafetensorsFile,
  expected: readonly Expected[],
  parts: readonly Float32Array[],
): Promise<void> {
  checkTensors(tensors, expected);
  let offset = 0;
  for (const part of parts) {
    await tensors.readFlat(offset, part);
    offset += part.byteLength;
  }
}

/**
 * Loads the checkpoint in `folder`. `check` sees its state before any tensor is read and may throw. When it fails, the
 * vectors hold anything. Throws UserError CHECKPOINT_BAD (a file is missing or has another sum) or CHECKPOINT_MISMATCH.
 */
export async function loadCheckpoint(
  folder: Folder,
  layout: TensorLayout,
  into: TrainingVectors,
  check: (state: CheckpointState) => void = () => {},
): Promise<CheckpointState> {
  const { parameters, moment1, moment2 } = into;
  assert(parameters.length === layout.total, `room for ${layout.total} parameters, got ${parameters.length}`);
  for (const moment of [moment1, moment2]) {
    assert(moment.length === layout.trainable, `room for ${layout.trainable} moments, got ${moment.length}`);
  }
  const checkpoint = await CheckpointReader.open(folder);
  const state = await checkpoint.state();
  await checkpoint.readRest([MODEL_FILE, OPTIMIZER_FILE, STATE_FILE]);
  check(state);
  await checkpoint.readTensors(MODEL_FILE, (tensors) => readParts(tensors, layout.tensors, [parameters]));
  await checkpoint.readTensors(OPTIMIZER_FILE, (tensors) =>
    readParts(tensors, optimizerTensors(layout), [moment1, moment2]),
  );
  return state;
}
