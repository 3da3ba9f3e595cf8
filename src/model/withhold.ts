// A matrix one row of which gets no gradient.

import * as tf from '@tensorflow/tfjs';

/**
 * `matrix` [N, d] itself (the same memory), but what flows back through it has row `row` set to zero: what
 * nn.Embedding's `padding_idx` does to look-ups. The matrix stays trainable where it is used directly.
 */
export function withholdRowGradient(matrix: tf.Tensor, row: number): tf.Tensor {
  return tf.customGrad((x) => ({
    value: (x as tf.Tensor).clone(),
    gradFunc: (dy: tf.Tensor) => zeroRow(dy, row),
  }))(matrix);
}

/** Slices and joins along the first axis, which are plain copies of memory. */
function zeroRow(matrix: tf.Tensor, row: number): tf.Tensor {
  const [rows, width] = matrix.shape as [number, number];
  const before = tf.slice(matrix, [0, 0], [row, width]);
  const after = tf.slice(matrix, [row + 1, 0], [rows - row - 1, width]);
  return tf.concat([before, tf.zeros([1, width]), after], 0);
}
