// Small models with weights of their own, and a batch for them.

import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../src/engine/engine.js';
import type { Batch } from '../../src/model/batch.js';
import type { ModelConfig } from '../../src/model/config.js';
import { initialParameters } from '../../src/model/initialise.js';
import { ModelParameters, parameterLayout, type ParameterLayout } from '../../src/model/parameters.js';
import { Transformer } from '../../src/model/transformer.js';

export function tinyConfig(changes: Partial<ModelConfig> = {}): ModelConfig {
  return {
    vocabularySize: 23,
    width: 8,
    heads: 2,
    feedForward: 12,
    encoderLayers: 2,
    decoderLayers: 2,
    maxLength: 10,
    dropout: 0,
    norm: 'post',
    activation: 'relu',
    padId: 0,
    endId: 1,
    startId: 0,
    ...changes,
  };
}

export interface TinyModel {
  readonly config: ModelConfig;
  readonly layout: ParameterLayout;
  readonly flat: Float32Array;
  readonly parameters: ModelParameters;
  readonly model: Transformer;
}

/** A model over `flat`, or over initial parameters moved away from their zeros and ones. */
export function tinyModel(engine: Engine, config: ModelConfig, flat?: Float32Array): TinyModel {
  const layout = parameterLayout(config);
  const values = flat ?? new Float32Array(layout.total);
  if (!flat) {
    initialParameters(layout, config, 5, values);
    for (let i = 0; i < layout.trainable; i++) values[i]! += 0.1 * Math.sin(i);
  }
  const parameters = new ModelParameters(engine, layout, values);
  return { config, layout, flat: values, parameters, model: new Transformer(config, parameters) };
}

/** Two samples, both padded on one side; some of the target's positions carry loss. */
export function tinyBatch(): Batch {
  return {
    samples: 2,
    sourceLength: 5,
    targetLength: 4,
    source: Int32Array.of(5, 9, 20, 7, 1, 11, 6, 1, 0, 0),
    sourceLengths: Int32Array.of(5, 3),
    decoderInput: Int32Array.of(0, 4, 13, 0, 0, 17, 9, 22),
    targetLengths: Int32Array.of(3, 4),
    lossRows: Int32Array.of(0, 1, 2, 5, 7),
    labels: Int32Array.of(4, 13, 1, 9, 1),
  };
}

/** A batch's tensors; the caller disposes them. */
export function batchTensors(batch: Batch) {
  return {
    source: tf.tensor2d(batch.source, [batch.samples, batch.sourceLength], 'int32'),
    sourceLengths: tf.tensor1d(batch.sourceLengths, 'int32'),
    input: tf.tensor2d(batch.decoderInput, [batch.samples, batch.targetLength], 'int32'),
  };
}

/** The largest absolute difference; of arrays of different lengths, NaN. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return NaN;
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}
