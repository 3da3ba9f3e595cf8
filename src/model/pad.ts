// Sequences of different lengths as one tensor.

import * as tf from '@tensorflow/tfjs';

export interface PaddedRows {
  readonly ids: tf.Tensor2D; // int32 [B, longest], padded at the end
  readonly lengths: tf.Tensor1D; // int32 [B]
}

export function padRows(rows: readonly ArrayLike<number>[], padId: number): PaddedRows {
  const longest = Math.max(...rows.map((row) => row.length));
  const ids = new Int32Array(rows.length * longest).fill(padId);
  rows.forEach((row, i) => ids.set(row, i * longest));
  return {
    ids: tf.tensor2d(ids, [rows.length, longest], 'int32'),
    lengths: tf.tensor1d(
      rows.map((row) => row.length),
      'int32',
    ),
  };
}
