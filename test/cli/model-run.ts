// A prepared data set and runs with a checkpoint, written into a temporary directory for the commands' tests. The
// data are stretches of the alphabet, again and again, so that a small model learns them in seconds.

import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeSlice } from '../../src/checkpoint/files.js';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { CheckpointStore, readTokenizerFiles } from '../../src/checkpoint/store.js';
import { parseRunConfig } from '../../src/config/load.js';
import type { Manifest } from '../../src/data/manifest.js';
import { trainTokenizer } from '../../src/data/train-tokenizer.js';
import type { ModelConfig } from '../../src/model/config.js';
import { generationConfig, toHuggingFace } from '../../src/model/hugging-face.js';
import type { ObjectiveConfig } from '../../src/model/objectives.js';
import { parameterLayout } from '../../src/model/parameters.js';

export const WINDOW = 8;

/** Three special tokens and the bytes; letters are single tokens. */
export const VOCABULARY = 259;

export const modelConfig: ModelConfig = {
  vocabularySize: VOCABULARY,
  width: 32,
  heads: 2,
  feedForward: 64,
  encoderLayers: 1,
  decoderLayers: 1,
  maxLength: 12,
  dropout: 0,
  norm: 'pre',
  activation: 'relu',
  padId: 0,
  endId: 1,
  startId: 0,
};

/** The id of "a"; the letters follow each other. The alphabet of bytes begins with "!". */
const FIRST_LETTER = 3 + 'a'.charCodeAt(0) - '!'.charCodeAt(0);

/** `count` letters of the endless alphabet from letter number `first` on. */
export function letters(first: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => FIRST_LETTER + ((first + i) % 26));
}

/** A prepared folder of text: `tokens` letters of training and of validation data. */
export async function writeDataset(directory: string, tokens: number): Promise<void> {
  await mkdir(directory, { recursive: true });
  const write = async (file: string, bytes: Buffer) => {
    await writeFile(path.join(directory, file), bytes);
    return { file, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  };
  const split = async (name: string, first: number) => {
    const shard = await write(`${name}.bin`, Buffer.from(Uint16Array.from(letters(first, tokens)).buffer));
    return { tokens, documents: 1, shards: [{ ...shard, tokens }] };
  };
  const manifest: Manifest = {
    format: 'lockstep-dataset',
    version: 1,
    kind: 'text',
    vocabularySize: VOCABULARY,
    tokenBytes: 2,
    padId: 0,
    endId: 1,
    maskId: 2,
    specialIds: [0, 1, 2],
    splits: { train: await split('train', 0), validation: await split('validation', 3) },
    unigramNats: Math.log(26),
    input: { files: 1, bytes: 2 * tokens, lines: 1, malformed: 0 },
    files: [
      await write('tokenizer.json', Buffer.from(await trainTokenizer([], VOCABULARY, []))),
      await write('tokenizer_config.json', Buffer.from('{"tokenizer_class":"PreTrainedTokenizerFast"}')),
    ],
  };
  await writeFile(path.join(directory, 'manifest.json'), JSON.stringify(manifest));
}

/** Writes a checkpoint with the parameters `flat`, of step 3 or another, of a run. Returns the checkpoint's directory. */
export async function writeRun(
  directory: string,
  data: string,
  objective: ObjectiveConfig,
  flat: Float32Array,
  step = 3,
): Promise<string> {
  const { vocabularySize: _v, padId: _p, endId: _e, startId: _s, ...model } = modelConfig;
  const config = parseRunConfig(
    { name: 'test', data, model, objective, window: WINDOW, batch: { microBatches: 1, samples: 4 } },
    'test',
  );
  const store = new CheckpointStore({
    checkpoints: new DiskFolder(path.join(directory, 'checkpoints')),
    layout: parameterLayout(modelConfig),
    config: toHuggingFace(modelConfig),
    generationConfig: generationConfig(modelConfig),
    tokenizer: await readTokenizerFiles(new DiskFolder(data)),
    retention: { keepLast: 2, keepBest: false, keepEvery: null },
    term: { contested: false, check: () => Promise.resolve() },
    onWarning: (message) => {
      throw new Error(message);
    },
  });
  const begun = await store.begin(step, 1);
  await writeSlice(begun.model.path, begun.model.dataOffset, flat);
  const { directory: checkpoint } = await store.finish(begun, {
    step,
    updates: step,
    tokens: 0,
    seed: 1,
    config: { ...config },
    validationLoss: null,
    best: null,
    dataset: '',
    fingerprint: null,
    expelled: [],
    savedAt: null,
    lockstepVersion: '0.0.0',
  });
  return checkpoint;
}
