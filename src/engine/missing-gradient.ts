// What stands for "this output has no gradient". tfjs would upload a tensor of zeros in its place, as large as
// the output; the fused kernels' gradients recognise this one instead and skip the work.
import * as tf from '@tensorflow/tfjs';

const missing = new WeakSet<tf.Tensor>();

/** A scalar that the caller disposes; pass it as the gradient of an output that has none. */
export function missingGradient(): tf.Tensor {
  const tensor = tf.scalar(0);
  missing.add(tensor);
  return tensor;
}

export function isMissing(gradient: tf.Tensor): boolean {
  return missing.has(gradient);
}
