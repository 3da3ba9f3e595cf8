// The attention kernels. What they keep for their gradient, in the place of the log-sums, is the attention weights.
//
// Shapes: B samples, Tq and Tk positions, H heads, D width of a head, d = H * D.
import * as tf from '@tensorflow/tfjs';
import { type AttentionAttrs, Kernel, type Inputs } from '../../kernels.js';
import type { Operations } from '../operations.js';
import { register } from './register.js';

/** Added to the scores of hidden keys. */
const HIDDEN = -1e9;

/** packed [B, T, parts * d] -> each part as [B, H, T, D]. */
function splitHeads(ops: Operations, packed: tf.TensorInfo, parts: number, heads: number): tf.Tensor[] {
  const [batch, length, width] = packed.shape as [number, number, number];
  const apart = ops.reshape(packed, [batch, length, parts, heads, width / (parts * heads)]);
  return ops.unpack(ops.transpose(apart, 2, 0, 3, 1, 4));
}

/** The inverse: parts [B, H, T, D] -> [B, T, parts * d]. */
function joinHeads(ops: Operations, parts: readonly tf.Tensor[]): tf.Tensor {
  const [batch, heads, length, headWidth] = parts[0]!.shape as [number, number, number, number];
  const together = ops.transpose(ops.pack(parts), 1, 3, 0, 2, 4); // [B, T, parts, H, D]
  return ops.reshape(together, [batch, length, parts.length * heads * headWidth]);
}

/** [1, 1, Tq, Tk]: query i sees keys 0 .. i + (Tk - Tq). */
function causalBias(queries: number, keys: number): tf.Tensor {
  const bias = new Float32Array(queries * keys);
  for (let i = 0; i < queries; i++) bias.fill(HIDDEN, i * keys + i + 1 + keys - queries, (i + 1) * keys);
  return tf.tensor(bias, [1, 1, queries, keys]);
}

/** [B, 1, 1, Tk]: keys at or beyond a sample's length are hidden. */
function lengthBias(lengths: ArrayLike<number>, keys: number): tf.Tensor {
  const bias = new Float32Array(lengths.length * keys);
  for (let b = 0; b < lengths.length; b++) bias.fill(HIDDEN, b * keys + lengths[b]!, (b + 1) * keys);
  return tf.tensor(bias, [lengths.length, 1, 1, keys]);
}

/** softmax(q·kᵀ / √D + mask): [B, H, Tq, Tk]. */
function weightsOf(
  ops: Operations,
  q: tf.Tensor,
  k: tf.Tensor,
  lengthsInfo: tf.TensorInfo,
  causal: boolean,
): tf.Tensor {
  const [queries, keys] = [q.shape[2]!, k.shape[2]!];
  const lengths = Array.from(ops.read(lengthsInfo));
  let scores = ops.batchMatMul(scaled(ops, q), k, false, true);
  if (causal) scores = ops.add(scores, causalBias(queries, keys));
  if (lengths.some((length) => length < keys)) scores = ops.add(scores, lengthBias(lengths, keys));
  const weights = ops.softmax('Softmax', scores);
  if (lengths.every((length) => length > 0)) return weights;
  // Softmax gives equal weights to the keys of a sample that has none.
  const seen = lengths.map((length) => (length > 0 ? 1 : 0));
  return ops.multiply(weights, tf.tensor(seen, [lengths.length, 1, 1, 1]));
}

function scaled(ops: Operations, q: tf.Tensor): tf.Tensor {
  return ops.scale(q, 1 / Math.sqrt(q.shape[3]!));
}

/** [out, weights] */
function forward(ops: Operations, heads: readonly tf.Tensor[], lengths: tf.TensorInfo, causal: boolean) {
  const [q, k, v] = heads as [tf.Tensor, tf.Tensor, tf.Tensor];
  const weights = weightsOf(ops, q, k, lengths, causal);
  return [joinHeads(ops, [ops.batchMatMul(weights, v, false, false)]), weights];
}

/** dq, dk and dv as [B, H, T, D]. */
function gradient(ops: Operations, heads: readonly tf.Tensor[], inputs: Inputs, count: number): tf.Tensor[] {
  const [q, k, v] = heads as [tf.Tensor, tf.Tensor, tf.Tensor];
  const { dy, out, logSum: weights } = inputs;
  const [dOut] = splitHeads(ops, dy!, 1, count) as [tf.Tensor];
  const [outHeads] = splitHeads(ops, out!, 1, count) as [tf.Tensor];
  const dv = ops.batchMatMul(weights!, dOut, true, false);
  const dWeights = ops.batchMatMul(dOut, v, false, true);
  // Σ over keys of weight and its gradient, which the output's own product gives more cheaply.
  const mean = ops.overLast('Sum', ops.multiply(dOut, outHeads)); // [B, H, Tq, 1]
  const dScores = ops.multiply(weights!, ops.binary('Sub', dWeights, mean));
  const dq = scaled(ops, ops.batchMatMul(dScores, k, false, false));
  const dk = ops.batchMatMul(dScores, scaled(ops, q), true, false);
  return [dq, dk, dv];
}

export function registerAttention(): void {
  register<AttentionAttrs>(Kernel.selfAttention, (ops, { qkv, lengths }, { heads, causal }) =>
    forward(ops, splitHeads(ops, qkv!, 3, heads), lengths!, causal),
  );
  register<AttentionAttrs>(Kernel.selfAttentionGradient, (ops, inputs, { heads }) =>
    joinHeads(ops, gradient(ops, splitHeads(ops, inputs.qkv!, 3, heads), inputs, heads)),
  );
  register<AttentionAttrs>(Kernel.crossAttention, (ops, { q, kv, lengths }, { heads }) => {
    const parts = [...splitHeads(ops, q!, 1, heads), ...splitHeads(ops, kv!, 2, heads)];
    return forward(ops, parts, lengths!, false);
  });
  register<AttentionAttrs>(Kernel.crossAttentionGradient, (ops, inputs, { heads }) => {
    const parts = [...splitHeads(ops, inputs.q!, 1, heads), ...splitHeads(ops, inputs.kv!, 2, heads)];
    const [dq, ...dkv] = gradient(ops, parts, inputs, heads) as [tf.Tensor, tf.Tensor, tf.Tensor];
    return [joinHeads(ops, [dq]), joinHeads(ops, dkv)];
  });
}
