// Dropout from TensorFlow's counter-based generator: which elements are kept is a pure function of the key, computed
// again in the backward pass. They are not those that the native engine keeps.
import type * as tf from '@tensorflow/tfjs';
import { philox } from '../../../util/philox.js';
import type { DropoutAttrs } from '../../kernels.js';
import type { Operations } from '../operations.js';

/** x with its dropped elements 0 and the others scaled by 1 / (1 - rate). */
export function dropOut(ops: Operations, x: tf.Tensor, attrs: DropoutAttrs): tf.Tensor;
export function dropOut(ops: Operations, x: tf.TensorInfo, attrs: DropoutAttrs): tf.TensorInfo;
export function dropOut(ops: Operations, x: tf.TensorInfo, attrs: DropoutAttrs): tf.TensorInfo {
  const { rate } = attrs;
  if (rate === 0) return x;
  const kept = ops.binary('GreaterEqual', ops.uniform(x.shape, seedOf(attrs)), ops.scalar(rate));
  return ops.select(kept, ops.scale(x, 1 / (1 - rate)), ops.scalar(0));
}

/** TensorFlow takes 64 bits of seed: two words of our own generator under the whole key. */
function seedOf({ site, key: { seed, step, microBatch } }: DropoutAttrs): [number, number] {
  const words = new Uint32Array(4);
  philox(words, seed, Math.floor(seed / 2 ** 32), 0, site, microBatch, step);
  return [words[0]! | 0, words[1]! | 0];
}
