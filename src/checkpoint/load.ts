// Reads a checkpoint back into flat vectors, after every sum and the layout have been checked.

import path from 'node:path';
import { UserError, assert } from '../util/errors.js';
import type { TensorLayout } from './layout.js';
import { MODEL_FILE, OPTIMIZER_FILE } from './names.js';
import { optimizerTensors } from './optimizer-layout.js';
import { SafetensorsFile } from './safetensors.js';
import { readState, type CheckpointState } from './state.js';
import { verifyCheckpoint } from './verify.js';

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

async function readParts(
  file: string,
  expected: readonly Expected[],
  parts: readonly Float32Array[],
): Promise<void> {
  const tensors = await SafetensorsFile.open(file);
  try {
    checkTensors(tensors, expected);
    let offset = 0;
    for (const part of parts) {
      await tensors.readFlat(offset, part);
      offset += part.byteLength;
    }
  } finally {
    await tensors.close();
  }
}

/**
 * Loads the checkpoint at `directory`. `check` sees its state before any tensor is read and may throw.
 * Throws UserError CHECKPOINT_BAD (a file is missing or has another sum) or CHECKPOINT_MISMATCH (of another model).
 */
export async function loadCheckpoint(
  directory: string,
  layout: TensorLayout,
  into: TrainingVectors,
  check: (state: CheckpointState) => void = () => {},
): Promise<CheckpointState> {
  const { parameters, moment1, moment2 } = into;
  assert(parameters.length === layout.total, `room for ${layout.total} parameters, got ${parameters.length}`);
  for (const moment of [moment1, moment2]) {
    assert(moment.length === layout.trainable, `room for ${layout.trainable} moments, got ${moment.length}`);
  }
  const { problems } = await verifyCheckpoint(directory);
  if (problems.length > 0) throw new UserError('CHECKPOINT_BAD', `${directory}: ${problems.join('; ')}`);
  const state = await readState(directory);
  check(state);
  await readParts(path.join(directory, MODEL_FILE), layout.tensors, [parameters]);
  await readParts(path.join(directory, OPTIMIZER_FILE), optimizerTensors(layout), [moment1, moment2]);
  return state;
}
