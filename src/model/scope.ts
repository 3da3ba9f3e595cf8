// tf.tidy for functions that return plain values.

import * as tf from '@tensorflow/tfjs';

/** Runs `use` and disposes the tensors it made, except those it kept (tf.keep). Its result must hold no tensor. */
export function inScope<T>(use: () => T): T {
  const engine = tf.engine();
  engine.startScope('inScope');
  try {
    return use();
  } finally {
    engine.endScope();
  }
}
