// Reads what make_golden.py wrote.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Batch } from '../../src/model/batch.js';
import type { Activation, ModelConfig, NormPlacement } from '../../src/model/config.js';
import { FINAL_BIAS, parameterLayout } from '../../src/model/parameters.js';
import { sinusoidalPositions } from '../../src/model/positions.js';
import type { OptimizerConfig } from '../../src/optim/config.js';

// Compiled tests lie in dist/test; the golden files stay where they are.
const directory = join(import.meta.dirname, '..', '..', '..', 'test', 'golden');

interface Weights {
  config: Omit<ModelConfig, 'norm' | 'activation' | 'dropout'>;
  tensors: Record<string, { shape: number[]; denominator: number; integers: string }>;
}

interface PlainBatch extends Record<Exclude<keyof Batch, 'samples' | `${string}Length`>, number[]> {
  samples: number;
  sourceLength: number;
  targetLength: number;
}

export interface Variant {
  readonly norm: NormPlacement;
  readonly activation: Activation;
}

export interface TrainingGolden {
  readonly optimizer: OptimizerConfig;
  readonly smoothing: number;
  readonly batches: readonly Batch[];
  readonly runs: readonly (Variant & { steps: { loss: number; gradientNorm: number }[] })[];
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(join(directory, name), 'utf8'));
}

const weights = read('weights.json') as Weights;

export function goldenConfig(variant: Variant): ModelConfig {
  return { ...weights.config, dropout: 0, norm: variant.norm, activation: variant.activation };
}

/** The flat vector of the golden weights: Hugging Face's, but with positions of our own. */
export function goldenParameters(config: ModelConfig): Float32Array {
  const layout = parameterLayout(config);
  const flat = new Float32Array(layout.total);
  for (const { name, shape, offset } of layout.tensors) {
    if (name === FINAL_BIAS) continue;
    if (name.endsWith('embed_positions.weight')) {
      flat.set(sinusoidalPositions(config.maxLength, config.width), offset);
      continue;
    }
    const tensor = weights.tensors[name];
    if (!tensor || tensor.shape.join() !== shape.join())
      throw new Error(`no golden weight ${name} [${shape.join()}]`);
    const integers = new Int8Array(Buffer.from(tensor.integers, 'base64'));
    flat.set(
      Float32Array.from(integers, (integer) => integer / tensor.denominator),
      offset,
    );
  }
  return flat;
}

function batchOf(plain: PlainBatch): Batch {
  return {
    samples: plain.samples,
    sourceLength: plain.sourceLength,
    targetLength: plain.targetLength,
    source: Int32Array.from(plain.source),
    sourceLengths: Int32Array.from(plain.sourceLengths),
    decoderInput: Int32Array.from(plain.decoderInput),
    targetLengths: Int32Array.from(plain.targetLengths),
    lossRows: Int32Array.from(plain.lossRows),
    labels: Int32Array.from(plain.labels),
  };
}

/** Each variant's logits [B, T, V] of one batch. */
export function goldenLogits(): { batch: Batch; models: (Variant & { logits: Float32Array })[] } {
  const golden = read('logits.json') as { batch: PlainBatch; models: (Variant & { logits: string })[] };
  const models = golden.models.map(({ norm, activation, logits }) => {
    const bytes = Uint8Array.from(Buffer.from(logits, 'base64'));
    return { norm, activation, logits: new Float32Array(bytes.buffer) };
  });
  return { batch: batchOf(golden.batch), models };
}

export function goldenTraining(): TrainingGolden {
  const golden = read('training.json') as Omit<TrainingGolden, 'batches'> & { batches: PlainBatch[] };
  return { ...golden, batches: golden.batches.map(batchOf) };
}
