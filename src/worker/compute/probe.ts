// A worker's probe: the gradient of a fixed micro-batch of a fixed small model, as a hash. Workers whose engine,
// library, instruction set or silicon compute other bits have another one.
import { createHash } from 'node:crypto';
import type { Engine } from '../../engine/engine.js';
import { valueAndGradients } from '../../engine/reverse.js';
import type { Batch } from '../../model/batch.js';
import type { ModelConfig } from '../../model/config.js';
import { initialParameters } from '../../model/initialise.js';
import { ModelParameters, parameterLayout } from '../../model/parameters.js';
import { Transformer } from '../../model/transformer.js';
import { RandomField } from '../../util/philox.js';

const MODEL: ModelConfig = {
  vocabularySize: 211,
  width: 64,
  heads: 4,
  feedForward: 192,
  encoderLayers: 1,
  decoderLayers: 1,
  maxLength: 48,
  dropout: 0.1,
  norm: 'pre',
  activation: 'gelu',
  padId: 0,
  endId: 1,
  startId: 0,
};
const SAMPLES = 7;
const LENGTH = 41;
const SEED = 20_170_612;

/** SHA-256 (hex) of the probe's gradient, its parameters in the layout's order. */
export function probe(engine: Engine): string {
  const layout = parameterLayout(MODEL);
  const flat = new Float32Array(layout.total);
  initialParameters(layout, MODEL, SEED, flat);
  const parameters = new ModelParameters(engine, layout, flat);
  const model = new Transformer(MODEL, parameters);
  const gradient = new Float32Array(layout.trainable);
  const { trainable } = parameters;
  try {
    valueAndGradients(
      () => model.loss(probeBatch(), { smoothing: 0.1, random: { seed: SEED, step: 0, microBatch: 0 } }),
      trainable.map(({ tensor }) => tensor),
      (index, tensor) => {
        if (tensor) gradient.set(engine.values(tensor), trainable[index]!.spec.offset);
      },
    );
  } finally {
    parameters.dispose();
  }
  return createHash('sha256').update(new Uint8Array(gradient.buffer)).digest('hex');
}

function probeBatch(): Batch {
  const field = new RandomField({ seed: SEED, step: 0, microBatch: 0, site: 0 });
  const ids = (first: number): Int32Array =>
    Int32Array.from(
      { length: SAMPLES * LENGTH },
      (_, i) => 2 + field.integer(first + i, MODEL.vocabularySize - 2),
    );
  const rows = Int32Array.from({ length: SAMPLES * LENGTH }, (_, i) => i);
  return {
    samples: SAMPLES,
    sourceLength: LENGTH,
    targetLength: LENGTH,
    source: ids(0),
    sourceLengths: Int32Array.from({ length: SAMPLES }, (_, i) => LENGTH - 3 * i),
    decoderInput: ids(rows.length),
    targetLengths: new Int32Array(SAMPLES).fill(LENGTH),
    lossRows: rows,
    labels: ids(2 * rows.length),
  };
}
