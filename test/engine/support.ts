// What the engine's tests share: repeatable random values, comparisons, and an operation with its gradients.
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs';
import { RandomField } from '../../src/util/philox.js';

/** Repeatable values of about a normal distribution: the sum of four uniform ones, mean 0 and variance 1. */
function randomValues(seed: number, length: number): Float32Array {
  const field = new RandomField({ seed, step: 0, microBatch: 0, site: 0 });
  const uniform = (i: number) => field.uniform(i) - 0.5;
  return Float32Array.from(
    { length },
    (_, i) => (uniform(4 * i) + uniform(4 * i + 1) + uniform(4 * i + 2) + uniform(4 * i + 3)) * Math.sqrt(3),
  );
}

export function randomTensor(seed: number, shape: number[]): tf.Tensor {
  return tf.tensor(randomValues(seed, tf.util.sizeFromShape(shape)), shape);
}

/** Integers in [0, bound). */
export function randomIds(seed: number, shape: number[], bound: number): tf.Tensor {
  const field = new RandomField({ seed, step: 0, microBatch: 0, site: 1 });
  const values = Int32Array.from({ length: tf.util.sizeFromShape(shape) }, (_, i) => field.integer(i, bound));
  return tf.tensor(values, shape, 'int32');
}

/** tidy() for functions that return something else than tensors. */
export function scoped<T>(f: () => T): T {
  tf.engine().startScope();
  try {
    return f();
  } finally {
    tf.engine().endScope();
  }
}

export function floats(tensor: tf.Tensor): Float32Array {
  return Float32Array.from(tensor.dataSync());
}

/** Every element within `tolerance` of the expected one, relative to the largest expected one (at least 1). */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assert.equal(actual.length, expected.length, `${what}: number of elements`);
  let scale = 1;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]!));
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    assert.ok(
      difference <= tolerance * scale,
      `${what}[${i}]: expected ${expected[i]} within ${tolerance * scale}, got ${actual[i]}`,
    );
  }
}

export interface Evaluated {
  readonly outputs: Float32Array[];
  readonly gradients: Float32Array[];
}

/** Weights of an output in the sum that is differentiated, so that no two of its elements look alike. */
export function outputWeights(output: number, length: number): Float32Array {
  return randomValues(1000 + output, length);
}

/** The outputs of `f`, and the gradients of their weighted sum in `inputs` by tfjs's own reverse walk. */
export function evaluate(f: (inputs: tf.Tensor[]) => tf.Tensor[], inputs: tf.Tensor[]): Evaluated {
  return scoped(() => {
    const outputs = f(inputs).map(floats);
    const gradients = tf.grads((...xs: tf.Tensor[]) => {
      const terms = f(xs).map((y, i) => y.mul(tf.tensor(outputWeights(i, y.size), y.shape)).sum());
      return tf.addN(terms).asScalar();
    })(inputs);
    return { outputs, gradients: gradients.map(floats) };
  });
}

export function assertSame(actual: Evaluated, expected: Evaluated, tolerance: number, what: string): void {
  expected.outputs.forEach((values, i) =>
    assertClose(actual.outputs[i]!, values, tolerance, `${what} output ${i}`),
  );
  expected.gradients.forEach((values, i) =>
    assertClose(actual.gradients[i]!, values, tolerance, `${what} gradient ${i}`),
  );
}
