// A model small enough to initialise and to train inside a test, on the native engine with one thread.

import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { valueAndGradients } from '../../src/engine/reverse.js';
import type { Batch } from '../../src/model/batch.js';
import type { ModelConfig } from '../../src/model/config.js';
import { initialParameters } from '../../src/model/initialise.js';
import type { TokenIds } from '../../src/model/objectives.js';
import { ModelParameters, parameterLayout } from '../../src/model/parameters.js';
import { Transformer } from '../../src/model/transformer.js';
import { adamWSpec } from '../../src/optim/adamw.js';
import { tinyConfig } from './tiny.js';

export const MASK = 2;

export const trainableTokens: TokenIds = {
  padId: 0,
  endId: 1,
  startId: 0,
  maskId: MASK,
  vocabularySize: 16,
  specialIds: [0, 1, MASK],
};

export interface TrainableModel {
  readonly engine: Engine;
  readonly config: ModelConfig;
  readonly transformer: Transformer;
  readonly parameters: ModelParameters;
  readonly flat: Float32Array;
}

export async function trainableModel(changes: Partial<ModelConfig> = {}, seed = 1): Promise<TrainableModel> {
  const engine = await loadEngine('native', { threads: 1 });
  const sizes = { vocabularySize: 16, width: 32, feedForward: 64, maxLength: 24, norm: 'pre' } as const;
  const config = tinyConfig({ ...sizes, ...changes });
  const layout = parameterLayout(config);
  const flat = new Float32Array(layout.total);
  initialParameters(layout, config, seed, flat);
  const parameters = new ModelParameters(engine, layout, flat);
  return { engine, config, transformer: new Transformer(config, parameters), parameters, flat };
}

/** Trains with AdamW at a constant learning rate; returns the last batch's mean loss. */
export function train(
  model: TrainableModel,
  steps: number,
  learningRate: number,
  batchAt: (step: number) => Batch,
): number {
  const { flat, parameters, transformer } = model;
  const trainable = parameters.trainable;
  const size = parameters.layout.trainable;
  const [moment1, moment2, gradient] = [0, 1, 2].map(() => new Float32Array(size));
  const config = {
    learningRate,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-9,
    weightDecay: 0,
    clipNorm: null,
    schedule: { kind: 'constant', warmupSteps: 0 },
  } as const;
  let mean = Infinity;
  for (let step = 0; step < steps; step++) {
    const batch = batchAt(step);
    gradient!.fill(0);
    const { loss } = valueAndGradients(
      () => transformer.loss(batch, { smoothing: 0, random: null }),
      trainable.map(({ tensor }) => tensor),
      (index, value) => {
        if (value) gradient!.set(value.dataSync(), trainable[index]!.spec.offset);
      },
    );
    mean = loss / batch.labels.length;
    const terms = {
      update: step + 1,
      learningRate: learningRate * Math.min(1, (step + 1) / 20),
      gradientScale: 1 / batch.labels.length,
    };
    model.engine.addon.adamW(
      flat,
      moment1!,
      moment2!,
      gradient!,
      size,
      new Int32Array(0),
      adamWSpec(terms, config),
    );
  }
  return mean;
}
