// A small encoder-decoder made of every fused operation, its table tied three times: two embeddings and the output.
import * as tf from '@tensorflow/tfjs';
import type { Dropout } from '../../src/engine/kernels.js';
import * as ops from '../../src/engine/ops.js';
import type { Activation, NormPlacement } from '../../src/model/config.js';
import { randomIds, randomTensor } from './support.js';

const [VOCABULARY, WIDTH, HEADS, INNER] = [29, 16, 2, 24];
const [BATCH, SOURCE, TARGET] = [3, 9, 7];

const shapes = {
  table: [VOCABULARY, WIDTH],
  qkvWeight: [3 * WIDTH, WIDTH],
  qkvBias: [3 * WIDTH],
  queryWeight: [WIDTH, WIDTH],
  queryBias: [WIDTH],
  keyValueWeight: [2 * WIDTH, WIDTH],
  keyValueBias: [2 * WIDTH],
  gamma: [WIDTH],
  beta: [WIDTH],
  innerWeight: [INNER, WIDTH],
  innerBias: [INNER],
  outerWeight: [WIDTH, INNER],
  outerBias: [WIDTH],
  lastGamma: [WIDTH],
  lastBeta: [WIDTH],
} as const;

type Named = Record<keyof typeof shapes, tf.Tensor>;

/** The table first, then in the order in which the forward meets them. */
export function networkParameters(): tf.Tensor[] {
  return Object.values(shapes).map((shape, i) => randomTensor(50 + i, [...shape]).mul(0.4));
}

export interface NetworkOptions {
  readonly norm: NormPlacement;
  readonly activation: Activation;
  readonly dropout: Dropout;
}

export function network(
  parameters: readonly tf.Tensor[],
  { norm, activation, dropout }: NetworkOptions,
): { loss: tf.Scalar; correct: tf.Scalar } {
  const p = Object.fromEntries(Object.keys(shapes).map((name, i) => [name, parameters[i]!])) as Named;
  const positions = randomTensor(30, [12, WIDTH]);
  const options = { scale: 4, first: 0, padding: null, dropout };
  const source = ops.embedding(p.table, positions, randomIds(31, [BATCH, SOURCE], VOCABULARY), options);
  const target = ops.embedding(p.table, positions, randomIds(32, [BATCH, TARGET], VOCABULARY), options);
  const memory = ops.layerNorm(source, p.gamma, p.beta);

  const qkv = ops.linear(target, p.qkvWeight, p.qkvBias);
  const seen = ops.selfAttention(qkv, tf.tensor1d([7, 5, 2], 'int32'), HEADS, true);
  const first = ops.addDropoutNorm(target, seen, p.gamma, p.beta, dropout);
  const q = ops.linear(first.operand, p.queryWeight, p.queryBias);
  const kv = ops.linear(memory, p.keyValueWeight, p.keyValueBias);
  const found = ops.crossAttention(q, kv, tf.tensor1d([9, 4, 6], 'int32'), HEADS);
  const residual = norm === 'post' ? first.normed : first.sum;
  const second = ops.addDropoutNorm(residual, found, p.gamma, p.beta, dropout);
  const outer = ops.feedForward(
    second.operand,
    [p.innerWeight, p.innerBias],
    [p.outerWeight, p.outerBias],
    activation,
  );
  const next = norm === 'post' ? second.normed : second.sum;
  const { normed } = ops.addDropoutNorm(next, outer, p.lastGamma, p.lastBeta, dropout);

  const rows = tf.tensor1d([0, 1, 4, 6, 8, 11, 14, 15], 'int32');
  const labels = randomIds(33, [8], VOCABULARY);
  return ops.crossEntropy(normed, p.table, randomTensor(34, [VOCABULARY]), rows, labels, 0.1);
}
