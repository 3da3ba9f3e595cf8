// What the fused operations of ops.ts compute, written naively in plain tfjs, which differentiates it. Nothing
// but tests runs this; it holds on any tfjs backend.
//
// Shapes: B samples, T positions, d width, H heads, D = d / H, V vocabulary, R rows of loss.
import * as tf from '@tensorflow/tfjs';
import type { Activation } from '../model/config.js';
import { RandomField } from '../util/philox.js';
import type { Dropout } from './kernels.js';
import { type EmbeddingOptions, LAYER_NORM_EPSILON } from './ops.js';

export function linear(x: tf.Tensor, w: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const [n, k] = w.shape as [number, number];
  const y = tf.matMul(x.reshape([-1, k]), w.as2D(n, k), false, true).add(b);
  return y.reshape([...x.shape.slice(0, -1), n]);
}

export function feedForward(
  x: tf.Tensor,
  [w1, b1]: readonly [tf.Tensor, tf.Tensor],
  [w2, b2]: readonly [tf.Tensor, tf.Tensor],
  activation: Activation,
): tf.Tensor {
  return linear(activate(linear(x, w1, b1), activation), w2, b2);
}

function activate(z: tf.Tensor, activation: Activation): tf.Tensor {
  if (activation === 'relu') return z.relu();
  if (activation === 'swish') return z.mul(z.sigmoid());
  return z.mul(0.5).mul(z.mul(Math.SQRT1_2).erf().add(1));
}

export function selfAttention(qkv: tf.Tensor, lengths: tf.Tensor, heads: number, causal: boolean): tf.Tensor {
  const [q, k, v] = tf.split(qkv, 3, -1) as [tf.Tensor, tf.Tensor, tf.Tensor];
  return attention(q, k, v, lengths, heads, causal);
}

export function crossAttention(q: tf.Tensor, kv: tf.Tensor, lengths: tf.Tensor, heads: number): tf.Tensor {
  const [k, v] = tf.split(kv, 2, -1) as [tf.Tensor, tf.Tensor];
  return attention(q, k, v, lengths, heads, false);
}

/** q [B, Tq, d], k and v [B, Tk, d] -> [B, Tq, d]. */
function attention(
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  lengths: tf.Tensor,
  heads: number,
  causal: boolean,
): tf.Tensor {
  const [batch, queries, width] = q.shape as [number, number, number];
  const keys = k.shape[1]!;
  const headWidth = width / heads;
  const split = (x: tf.Tensor, length: number) =>
    x.reshape([batch, length, heads, headWidth]).transpose<tf.Tensor4D>([0, 2, 1, 3]); // [B, H, T, D]
  const scores = tf.matMul(split(q, queries), split(k, keys), false, true).div(Math.sqrt(headWidth));
  const seen = visible(lengths, queries, keys, causal); // [B, 1, Tq, Tk]
  // Multiplying once more makes zeros of a row that sees nothing, where softmax gives equal weights.
  const weights = tf.softmax(scores.add(tf.sub(1, seen).mul(-1e9))).mul<tf.Tensor4D>(seen);
  return tf.matMul(weights, split(v, keys)).transpose([0, 2, 1, 3]).reshape([batch, queries, width]);
}

/** 1 where query i of a sample may look at key j, else 0: [B, 1, Tq, Tk]. */
function visible(lengths: tf.Tensor, queries: number, keys: number, causal: boolean): tf.Tensor {
  const counts = lengths.dataSync();
  const mask = tf.buffer([counts.length, 1, queries, keys]);
  counts.forEach((count, b) => {
    for (let i = 0; i < queries; i++) {
      const end = causal ? Math.min(count, i + 1 + keys - queries) : count;
      for (let j = 0; j < end; j++) mask.set(1, b, 0, i, j);
    }
  });
  return mask.toTensor();
}

export function addDropoutNorm(
  residual: tf.Tensor,
  x: tf.Tensor,
  gamma: tf.Tensor,
  beta: tf.Tensor,
  dropout: Dropout,
): { sum: tf.Tensor; normed: tf.Tensor; operand: tf.Tensor } {
  const sum = residual.add(applyDropout(x, dropout));
  const normed = layerNorm(sum, gamma, beta);
  return { sum, normed, operand: normed.clone() };
}

export function layerNorm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return x.sub(mean).mul(variance.add(LAYER_NORM_EPSILON).rsqrt()).mul(gamma).add(beta);
}

/** Keeps element i where the Philox word i is at least rate · 2^32, and makes up for the others. */
function applyDropout(x: tf.Tensor, dropout: Dropout): tf.Tensor {
  if (dropout === null || dropout.rate === 0) return x;
  const { rate, site, key } = dropout;
  const field = new RandomField({ ...key, site });
  const mask = Float32Array.from({ length: x.size }, (_, i) =>
    field.word(i) >= rate * 2 ** 32 ? 1 / (1 - rate) : 0,
  );
  return x.mul(tf.tensor(mask, x.shape));
}

export function embedding(
  table: tf.Tensor,
  positions: tf.Tensor,
  ids: tf.Tensor,
  { scale, first, padding, dropout }: EmbeddingOptions,
): tf.Tensor {
  const [length, width] = [ids.shape[1]!, table.shape[1]!];
  const window = positions.slice([first, 0], [length, width]);
  const rows = tf.gather(padding === null ? table : withoutRowGradient(table, padding), ids.toInt());
  return applyDropout(rows.mul(scale).add(window), dropout);
}

/** The matrix itself, but what flows back through it is zero in one row. */
function withoutRowGradient(matrix: tf.Tensor, row: number): tf.Tensor {
  const kept = tf.range(0, matrix.shape[0]).notEqual(row).toFloat().expandDims(1); // [V, 1]
  return tf.customGrad((x, save) => {
    (save as tf.GradSaveFunc)([kept]); // a scope may end before the gradient is wanted
    return {
      value: (x as tf.Tensor).clone(),
      gradFunc: (dy: tf.Tensor, [saved]: tf.Tensor[]) => dy.mul(saved!),
    };
  })(matrix);
}

export function crossEntropy(
  hidden: tf.Tensor,
  table: tf.Tensor,
  bias: tf.Tensor,
  lossRows: tf.Tensor,
  labels: tf.Tensor,
  smoothing: number,
): { loss: tf.Scalar; correct: tf.Scalar } {
  const [vocabulary, width] = table.shape as [number, number];
  if (lossRows.size === 0) {
    const nothing = tf.add(hidden.mul(0).sum<tf.Scalar>(), table.mul(0).sum<tf.Scalar>());
    return { loss: nothing.asScalar(), correct: tf.scalar(0) };
  }
  const rows = tf.gather(hidden.reshape<tf.Tensor2D>([-1, width]), lossRows.as1D());
  const logits = tf.matMul(rows, table.as2D(vocabulary, width), false, true).add(bias); // [R, V]
  const target = tf
    .oneHot(labels.as1D(), vocabulary)
    .toFloat()
    .mul(1 - smoothing)
    .add(smoothing / vocabulary);
  const loss = tf.logSoftmax(logits).mul(target).mul(-1).sum<tf.Scalar>();
  const correct = logits.argMax(-1).equal(labels).toFloat().sum<tf.Scalar>();
  return { loss, correct };
}
