// The fused operations of the model, each one kernel with a registered gradient. What they compute is written
// down, in plain tfjs, in references.ts; the arguments are checked here and trusted by the kernels.
//
// Shapes: B samples, T positions, d width, H heads, F or N output width, K input width, V vocabulary, R rows of loss.
import * as tf from '@tensorflow/tfjs';
import type { Activation } from '../model/config.js';
import { assert } from '../util/errors.js';
import { expectFloat, expectInt, expectShape } from './expect.js';
import { registerGradients } from './gradients.js';
import { type Dropout, type DropoutAttrs, Kernel, NO_DROPOUT, NO_PADDING, runKernel } from './kernels.js';

/** PyTorch's default, and the one that Hugging Face's Marian and Pegasus use. */
export const LAYER_NORM_EPSILON = 1e-5;

registerGradients();

function dropoutAttrs(op: string, dropout: Dropout): DropoutAttrs {
  if (dropout === null) return NO_DROPOUT;
  const { rate } = dropout;
  assert(rate >= 0 && rate < 1, `${op}: expected a dropout rate in [0, 1), got ${rate}`);
  return dropout;
}

/** x · wᵀ + b: x [..., K], w [N, K], b [N] -> [..., N]. */
export function linear(x: tf.Tensor, w: tf.Tensor, b: tf.Tensor): tf.Tensor {
  expectLinear('linear', { x, w, b });
  return runKernel(Kernel.linear, { x, w, b }, {});
}

/** A linear layer at the model's end: its result is not stored as operands of products are. */
export function lastLinear(x: tf.Tensor, w: tf.Tensor, b: tf.Tensor): tf.Tensor {
  expectLinear('linear', { x, w, b });
  return runKernel(Kernel.linear, { x, w, b }, { isLast: true });
}

/** An input, the weights and the bias, under the names that errors use. */
function expectLinear(op: string, tensors: Readonly<Record<string, tf.Tensor>>): void {
  expectFloat(op, tensors);
  const [x, w, b] = Object.values(tensors) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const [, nameOfW, nameOfB] = Object.keys(tensors) as [string, string, string];
  assert(x.rank >= 1, `${op}: expected x of rank 1 or more, got a scalar`);
  expectShape(op, nameOfW, w, [-1, x.shape[x.rank - 1]!]);
  expectShape(op, nameOfB, b, [w.shape[0]]);
}

/**
 * activation(x · w1ᵀ + b1) · w2ᵀ + b2, the position-wise feed-forward network: x [..., K], w1 [F, K], b1 [F], w2 [N, F], b2 [N] ->
 * [..., N]. `gelu` is the exact one, z Φ(z); `swish` is z σ(z).
 */
export function feedForward(
  x: tf.Tensor,
  [w1, b1]: readonly [tf.Tensor, tf.Tensor],
  [w2, b2]: readonly [tf.Tensor, tf.Tensor],
  activation: Activation,
): tf.Tensor {
  expectLinear('feedForward', { x, w1, b1 });
  expectFloat('feedForward', { w2, b2 });
  expectShape('feedForward', 'w2', w2, [-1, w1.shape[0]]);
  expectShape('feedForward', 'b2', b2, [w2.shape[0]]);
  const attrs = { activation, hasTape: tf.engine().isTapeOn() };
  return runKernel<tf.Tensor[]>(Kernel.feedForward, { x, w1, b1, w2, b2 }, attrs)[0]!;
}

/**
 * Multi-head attention of a sequence to itself: softmax(q·kᵀ / √(d/H))·v.
 * qkv [B, T, 3d] holds q, k and v side by side; lengths int32 [B], keys at or beyond them are hidden -> [B, T, d].
 * `causal`: position i sees 0..i.
 */
export function selfAttention(qkv: tf.Tensor, lengths: tf.Tensor, heads: number, causal: boolean): tf.Tensor {
  expectFloat('selfAttention', { qkv });
  expectInt('selfAttention', { lengths });
  expectShape('selfAttention', 'qkv', qkv, [-1, -1, -1]);
  expectShape('selfAttention', 'lengths', lengths, [qkv.shape[0]]);
  expectHeads('selfAttention', qkv.shape[2]! / 3, heads);
  return runKernel<tf.Tensor[]>(Kernel.selfAttention, { qkv, lengths }, { heads, causal })[0]!;
}

/**
 * Multi-head attention to another sequence: q [B, Tq, d], kv [B, Tk, 2d] holds k and v side by side, lengths
 * int32 [B] counts the keys that are seen -> [B, Tq, d]. A sample without any sees zeros. Also used for decoding
 * with a cache (Tq = 1).
 */
export function crossAttention(q: tf.Tensor, kv: tf.Tensor, lengths: tf.Tensor, heads: number): tf.Tensor {
  expectFloat('crossAttention', { q, kv });
  expectInt('crossAttention', { lengths });
  expectShape('crossAttention', 'q', q, [-1, -1, -1]);
  expectShape('crossAttention', 'kv', kv, [q.shape[0], -1, 2 * q.shape[2]!]);
  expectShape('crossAttention', 'lengths', lengths, [q.shape[0]]);
  expectHeads('crossAttention', q.shape[2]!, heads);
  return runKernel<tf.Tensor[]>(Kernel.crossAttention, { q, kv, lengths }, { heads, causal: false })[0]!;
}

function expectHeads(op: string, width: number, heads: number): void {
  assert(
    Number.isInteger(heads) && heads > 0 && Number.isInteger(width / heads),
    `${op}: expected a width that ${heads} heads divide, got ${width}`,
  );
}

/**
 * sum = residual + dropout(x), normed = layerNorm(sum): residual and x [..., d], gamma and beta [d]. `operand` is
 * `normed` once more for the products that take it, in their format and with a gradient of its own.
 * A post-norm layer carries `normed` on as the next residual, a pre-norm one `sum`.
 */
export function addDropoutNorm(
  residual: tf.Tensor,
  x: tf.Tensor,
  gamma: tf.Tensor,
  beta: tf.Tensor,
  dropout: Dropout,
): { sum: tf.Tensor; normed: tf.Tensor; operand: tf.Tensor } {
  expectFloat('addDropoutNorm', { residual, x, gamma, beta });
  expectShape('addDropoutNorm', 'residual', residual, x.shape);
  expectNormParameters('addDropoutNorm', x, gamma, beta);
  const [sum, normed, operand] = runKernel<tf.Tensor[]>(
    Kernel.addDropoutNorm,
    { residual, x, gamma, beta },
    { epsilon: LAYER_NORM_EPSILON, dropout: dropoutAttrs('addDropoutNorm', dropout) },
  );
  return { sum: sum!, normed: normed!, operand: operand! };
}

/** Layer norm of the last dimension, epsilon 1e-5: x [..., d], gamma and beta [d] -> [..., d]. */
export function layerNorm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor): tf.Tensor {
  expectFloat('layerNorm', { x, gamma, beta });
  expectNormParameters('layerNorm', x, gamma, beta);
  const attrs = { epsilon: LAYER_NORM_EPSILON, dropout: NO_DROPOUT };
  return runKernel<tf.Tensor[]>(Kernel.layerNorm, { x, gamma, beta }, attrs)[0]!;
}

function expectNormParameters(op: string, x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor): void {
  assert(x.rank >= 1, `${op}: expected x of rank 1 or more, got a scalar`);
  const width = x.shape[x.rank - 1]!;
  expectShape(op, 'gamma', gamma, [width]);
  expectShape(op, 'beta', beta, [width]);
}

export interface EmbeddingOptions {
  readonly scale: number;
  readonly first: number;
  readonly padding: number | null;
  readonly dropout: Dropout;
}

/**
 * dropout(table[ids] * scale + positions[first .. first + T)): table [V, d], positions [maxLength, d] (a constant),
 * ids int32 [B, T] -> [B, T, d]. Every id must lie in [0, V). Look-ups of the id `padding` have no gradient (null: all
 * have one), as with PyTorch's padding_idx.
 */
export function embedding(
  table: tf.Tensor,
  positions: tf.Tensor,
  ids: tf.Tensor,
  options: EmbeddingOptions,
): tf.Tensor {
  const { scale, first, padding, dropout } = options;
  expectFloat('embedding', { table, positions });
  expectInt('embedding', { ids });
  expectShape('embedding', 'table', table, [-1, -1]);
  expectShape('embedding', 'positions', positions, [-1, table.shape[1]!]);
  expectShape('embedding', 'ids', ids, [-1, -1]);
  const end = first + ids.shape[1]!;
  assert(
    Number.isInteger(first) && first >= 0 && end <= positions.shape[0],
    `embedding: expected positions within [0, ${positions.shape[0]}), got [${first}, ${end})`,
  );
  const attrs = {
    scale,
    first,
    padding: padding ?? NO_PADDING,
    dropout: dropoutAttrs('embedding', dropout),
  };
  return runKernel(Kernel.embedding, { table, positions, ids }, attrs);
}

/**
 * The tied output product and its cross-entropy, over only the rows that carry loss: hidden [B, T, d], table [V, d],
 * bias [V] (a constant), lossRows int32 [R] indices into B * T, ascending, labels int32 [R]. `loss` is the sum over
 * the rows, with label smoothing as PyTorch defines it; `correct` counts the rows whose label has the largest
 * logit and carries no gradient. R = 0 gives zeros.
 */
export function crossEntropy(
  hidden: tf.Tensor,
  table: tf.Tensor,
  bias: tf.Tensor,
  lossRows: tf.Tensor,
  labels: tf.Tensor,
  smoothing: number,
): { loss: tf.Scalar; correct: tf.Scalar } {
  expectFloat('crossEntropy', { hidden, table, bias });
  expectInt('crossEntropy', { lossRows, labels });
  expectShape('crossEntropy', 'hidden', hidden, [-1, -1, -1]);
  expectShape('crossEntropy', 'table', table, [-1, hidden.shape[2]!]);
  expectShape('crossEntropy', 'bias', bias, [table.shape[0]]);
  expectShape('crossEntropy', 'lossRows', lossRows, [-1]);
  expectShape('crossEntropy', 'labels', labels, [lossRows.shape[0]]);
  assert(smoothing >= 0 && smoothing < 1, `crossEntropy: expected smoothing in [0, 1), got ${smoothing}`);
  const name = tf.engine().isTapeOn() ? Kernel.crossEntropy : Kernel.crossEntropyValue;
  const [loss, correct] = runKernel<tf.Scalar[]>(
    name,
    { hidden, table, bias, lossRows, labels },
    { smoothing },
  );
  return { loss: loss!, correct: correct! };
}
