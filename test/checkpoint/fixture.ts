// A small layout and a store, for the checkpoint tests.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import type { TensorLayout } from '../../src/checkpoint/layout.js';
import type { TrainingVectors } from '../../src/checkpoint/load.js';
import type { CheckpointState } from '../../src/checkpoint/state.js';
import {
  CheckpointStore,
  readTokenizerFiles,
  type BegunCheckpoint,
  type StoreOptions,
} from '../../src/checkpoint/store.js';
import { writeSlice } from '../../src/checkpoint/files.js';

/** Two trained tensors and a constant one: 12 + 5 trained elements of 19. */
export const layout: TensorLayout = {
  tensors: [
    { name: 'model.shared.weight', shape: [4, 3], offset: 0, size: 12 },
    { name: 'model.encoder.layers.0.fc1.bias', shape: [5], offset: 12, size: 5 },
    { name: 'final_logits_bias', shape: [1, 2], offset: 17, size: 2 },
  ],
  trainable: 17,
  total: 19,
};

export function vectors(): TrainingVectors {
  return {
    parameters: new Float32Array(new SharedArrayBuffer(4 * layout.total)),
    moment1: new Float32Array(layout.trainable),
    moment2: new Float32Array(layout.trainable),
  };
}

/** Vectors whose every element tells where it belongs. */
export function filled(step: number): TrainingVectors {
  const { parameters, moment1, moment2 } = vectors();
  return {
    parameters: parameters.map((_, i) => step + i / 100),
    moment1: moment1.map((_, i) => -step - i / 100),
    moment2: moment2.map((_, i) => step * 1000 + i),
  };
}

export function stateOf(step: number, validationLoss: number | null = null): CheckpointState {
  return {
    step,
    updates: step,
    tokens: step * 10,
    seed: 1,
    config: { steps: 100, model: { width: 8 } },
    validationLoss,
    best: null,
    dataset: 'd'.repeat(64),
    fingerprint: null,
    expelled: [],
    savedAt: null,
    lockstepVersion: '0.0.0',
  };
}

/** A store under `directory`, with a tokenizer to copy; `changes` replaces options. */
export async function storeIn(
  directory: string,
  changes: Partial<StoreOptions> = {},
): Promise<CheckpointStore> {
  await writeFile(path.join(directory, 'tokenizer.json'), '{"model":{}}');
  await writeFile(
    path.join(directory, 'tokenizer_config.json'),
    '{"tokenizer_class":"PreTrainedTokenizerFast"}',
  );
  return new CheckpointStore({
    checkpoints: new DiskFolder(path.join(directory, 'checkpoints')),
    layout,
    config: { model_type: 'marian' },
    generationConfig: { max_length: 4 },
    tokenizer: await readTokenizerFiles(new DiskFolder(directory)),
    retention: { keepLast: 100, keepBest: false, keepEvery: null },
    term: { contested: false, check: () => Promise.resolve() },
    onWarning: (message) => {
      throw new Error(message);
    },
    ...changes,
  });
}

/** Writes all slices of a begun checkpoint, cut at element `cut` as two reducers would. */
export async function writeSlices(begun: BegunCheckpoint, values: TrainingVectors, cut = 7): Promise<void> {
  const { model, optimizer } = begun;
  const targets = [
    [model.path, model.dataOffset, values.parameters],
    [optimizer.path, optimizer.moment1Offset, values.moment1],
    [optimizer.path, optimizer.moment2Offset, values.moment2],
  ] as const;
  await Promise.all(
    targets.flatMap(([file, offset, vector]) => [
      writeSlice(file, offset + 4 * cut, vector.subarray(cut)),
      writeSlice(file, offset, vector.subarray(0, cut)),
    ]),
  );
}

/** A whole checkpoint of `step`. */
export async function writeCheckpoint(
  store: CheckpointStore,
  step: number,
  loss: number | null = null,
  term = 1,
) {
  const begun = await store.begin(step, term);
  await writeSlices(begun, filled(step));
  return store.finish(begun, stateOf(step, loss));
}

/** Flips one bit of a file, in its byte `fromEnd` before the end (1: the last). */
export async function flipBit(file: string, fromEnd: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.byteLength - fromEnd]! ^= 1;
  await writeFile(file, bytes);
}

/** For loadLatest: nothing is expected to be damaged. */
export function fails(): never {
  throw new Error('no checkpoint is bad');
}

export async function stepsOf(store: CheckpointStore): Promise<number[]> {
  return (await store.list()).map(({ step }) => step);
}
