import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { loadEngine } from '../../src/engine/load.js';
import type { NativeBackend } from '../../src/engine/native/backend.js';
import * as ops from '../../src/engine/ops.js';
import * as references from '../../src/engine/references.js';
import { type Case, cases, implementations } from './cases.js';
import {
  assertClose,
  assertSame,
  type Evaluated,
  evaluate,
  outputWeights,
  randomIds,
  randomTensor,
  scoped,
} from './support.js';

function evaluateCase({ inputs, run }: Case, which: 'fused' | 'reference'): Evaluated {
  return scoped(() => evaluate((xs) => run(implementations[which], xs), inputs()));
}

/** d (weighted sum of the outputs) / d inputs by central differences in float64. */
function finiteDifferences(
  f: (inputs: Float64Array[]) => Float64Array[],
  inputs: Float64Array[],
): Float64Array[] {
  const step = 1e-5;
  const weighted = () =>
    f(inputs).reduce((total, output, o) => {
      const weights = outputWeights(o, output.length);
      return total + output.reduce((sum, value, i) => sum + value * weights[i]!, 0);
    }, 0);
  return inputs.map((values) =>
    values.map((value, i) => {
      values[i] = value + step;
      const above = weighted();
      values[i] = value - step;
      const below = weighted();
      values[i] = value;
      return (above - below) / (2 * step);
    }),
  );
}

before(async () => {
  await loadEngine('native', { threads: 2 });
  // A kernel that leaves a part of its result unwritten gives NaN, not yesterday's values.
  (tf.backend() as NativeBackend).allocator.poison = true;
});

describe('a fused operation and its gradients equal the reference', () => {
  // Both are float32 sums of up to 140 terms of about 1: differences of some 1e-6 of the largest value.
  for (const one of cases) {
    test(one.name, () => {
      assertSame(evaluateCase(one, 'fused'), evaluateCase(one, 'reference'), 1e-5, one.name);
    });
  }
});

describe('gradients equal finite differences in float64', () => {
  for (const one of cases) {
    const { float64 } = one;
    if (float64 === null) continue;
    test(one.name, () => {
      const inputs = scoped(() => one.inputs().map((x) => Float64Array.from(x.dataSync())));
      const gradients = scoped(() => finiteDifferences(float64, inputs));
      const outputs = scoped(() => float64(inputs));
      for (const which of ['fused', 'reference'] as const) {
        const actual = evaluateCase(one, which);
        outputs.forEach((values, i) => assertClose(actual.outputs[i]!, values, 1e-5, `${which} output ${i}`));
        gradients.forEach((values, i) =>
          assertClose(actual.gradients[i]!, values, 2e-5, `${which} gradient ${i}`),
        );
      }
    });
  }
});

test('a value is the same with and without a tape', () => {
  for (const { name, inputs, run } of cases) {
    tf.tidy(() => {
      const xs = inputs();
      const without = run(ops, xs).map((y) => y.dataSync());
      let withTape: tf.TypedArray[] = [];
      tf.grads((...taped: tf.Tensor[]) => {
        const outputs = run(ops, taped);
        withTape = outputs.map((y) => y.dataSync());
        return tf.addN(outputs.map((y) => y.sum())).asScalar();
      })(xs);
      assert.deepEqual(withTape, without, name);
    });
  }
});

test('crossEntropy counts the rows whose label has the largest logit', () => {
  tf.tidy(() => {
    const hidden = randomTensor(1, [2, 20, 8]);
    const table = randomTensor(2, [5, 8]);
    const bias = randomTensor(3, [5]);
    const rows = tf.range(0, 40, 1, 'int32');
    const labels = randomIds(4, [40], 5);
    const { correct } = ops.crossEntropy(hidden, table, bias, rows, labels, 0);
    const expected = references.crossEntropy(hidden, table, bias, rows, labels, 0).correct;
    assert.ok(expected.dataSync()[0]! > 0);
    assert.equal(correct.dataSync()[0], expected.dataSync()[0]);
  });
});

test('a wrong shape or type is named with its operation and argument', () => {
  tf.tidy(() => {
    const x = tf.zeros([2, 3]);
    const ids = tf.zeros([2], 'int32');
    assert.throws(
      () => ops.linear(x, tf.zeros([4, 5]), tf.zeros([4])),
      /linear: expected w of shape \[any, 3\], got \[4, 5\]/,
    );
    assert.throws(() => ops.linear(ids, x, tf.zeros([2])), /linear: expected x of float32, got int32/);
    assert.throws(
      () => ops.selfAttention(tf.zeros([2, 4, 12]), tf.zeros([2]), 2, true),
      /expected lengths of int32/,
    );
    assert.throws(
      () => ops.selfAttention(tf.zeros([2, 4, 12]), ids, 3, true),
      /a width that 3 heads divide, got 4/,
    );
    const options = { scale: 1, first: 2, padding: null, dropout: null };
    assert.throws(
      () => ops.embedding(tf.zeros([9, 4]), tf.zeros([3, 4]), tf.zeros([1, 2], 'int32'), options),
      /positions within \[0, 3\), got \[2, 4\)/,
    );
  });
});
