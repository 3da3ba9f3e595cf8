// Writes two tiny models, as the trainer writes them, and what we compute with them: the material of
// check_checkpoint.py. Run by hand: node dist/test/golden/write-checkpoint.js DIRECTORY

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { writeSlice } from '../../src/checkpoint/files.js';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { createSafetensors } from '../../src/checkpoint/safetensors.js';
import { loadEngine } from '../../src/engine/load.js';
import type { ModelConfig } from '../../src/model/config.js';
import { generationConfig, toHuggingFace } from '../../src/model/hugging-face.js';
import type { Transformer } from '../../src/model/transformer.js';
import { batchTensors, tinyBatch, tinyConfig, tinyModel } from '../model/tiny.js';

const NEW_TOKENS = 6;

/** The likeliest token at each position, from the start token on, with the cache. One row per sample. */
function greedy(model: Transformer, config: ModelConfig, memory: tf.Tensor, lengths: tf.Tensor): number[][] {
  const samples = memory.shape[0];
  const cache = model.startCache(memory, lengths);
  let tokens = tf.tensor2d(new Int32Array(samples).fill(config.startId), [samples, 1], 'int32');
  const columns: number[][] = [];
  for (let position = 0; position < NEW_TOKENS; position++) {
    const logits = model.logits(model.decodeStep(tokens, cache)); // [B, 1, V]
    tokens = tf.argMax(logits, 2);
    columns.push([...tokens.dataSync()]);
  }
  cache.dispose();
  return Array.from({ length: samples }, (_, row) => columns.map((column) => column[row]!));
}

async function write(directory: string, config: ModelConfig): Promise<void> {
  const engine = await loadEngine('native', { threads: 1 });
  const { layout, flat, model } = tinyModel(engine, config);
  // Layers that outweigh the tied embeddings, or greedy decoding repeats one token.
  for (let i = config.vocabularySize * config.width; i < layout.trainable; i++) flat[i]! += Math.sin(i * i);
  mkdirSync(directory, { recursive: true });
  const json = (name: string, value: unknown) => writeFileSync(join(directory, name), JSON.stringify(value));
  json('config.json', toHuggingFace(config));
  json('generation_config.json', generationConfig(config));
  const file = await createSafetensors(new DiskFolder(directory), 'model.safetensors', layout.tensors);
  await writeSlice(file.path, file.dataOffset, flat);

  const batch = tinyBatch();
  const { source, sourceLengths, input } = batchTensors(batch);
  const memory = model.encode(source, sourceLengths, null);
  const logits = model.logits(model.decode(input, memory, sourceLengths, null));
  json('computed.json', {
    source: source.arraySync(),
    sourceLengths: [...batch.sourceLengths],
    decoderInput: input.arraySync(),
    logits: logits.arraySync(),
    greedy: greedy(model, config, memory, sourceLengths),
  });
}

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error('expected a directory to write to');
for (const [norm, activation] of [
  ['post', 'relu'],
  ['pre', 'gelu'],
] as const) {
  // Different depths: transformers derives some settings from the encoder's alone.
  const config = tinyConfig({ norm, activation, encoderLayers: 1, decoderLayers: 3, dropout: 0.1 });
  await write(join(directory, norm), config);
}
