// The kernels of the embedding: look-up, scale, positions, dropout.
import type * as tf from '@tensorflow/tfjs';
import { type EmbeddingAttrs, Kernel, type Inputs } from '../../kernels.js';
import type { Operations } from '../operations.js';
import { dropOut } from './dropout.js';
import { register } from './register.js';

function embedding(
  ops: Operations,
  { table, positions, ids }: Inputs,
  { scale, first, dropout }: EmbeddingAttrs,
): tf.Tensor {
  const looked = ops.scale(ops.gather(table!, ids!), scale); // [B, T, d]
  return dropOut(ops, ops.add(looked, ops.rows(positions!, first, ids!.shape[1]!)), dropout);
}

function embeddingGradient(
  ops: Operations,
  { dy, table, ids }: Inputs,
  { scale, padding, dropout }: EmbeddingAttrs,
): tf.Tensor {
  const rows = ops.toMatrix(ops.scale(dropOut(ops, dy!, dropout), scale)); // [B * T, d]
  const isPadding = ops.binary('Equal', ids!, ops.integer(padding));
  const counted = ops.select(isPadding, ops.integer(-1), ids!); // rows of segment -1 are left out
  return ops.segmentSum(rows, ops.reshape(counted, [rows.shape[0]]), table!.shape[0]!);
}

export function registerEmbedding(): void {
  register<EmbeddingAttrs>(Kernel.embedding, embedding);
  register<EmbeddingAttrs>(Kernel.embeddingGradient, embeddingGradient);
}
