import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { loadEngine } from '../../../src/engine/load.js';
import type { Dropout } from '../../../src/engine/kernels.js';
import * as ops from '../../../src/engine/ops.js';
import * as references from '../../../src/engine/references.js';
import { type Case, cases, DROPOUT, type Implementation } from '../cases.js';
import { assertClose, assertSame, evaluate, randomIds, randomTensor, scoped } from '../support.js';
import { skip } from './available.js';

/** What dropout multiplies a tensor of this shape by. */
function factors(shape: number[], dropout: Dropout): tf.Tensor {
  const width = shape.at(-1)!;
  return ops.addDropoutNorm(tf.zeros(shape), tf.ones(shape), tf.ones([width]), tf.zeros([width]), dropout)
    .sum;
}

/** The references with this engine's choice of dropped elements, which is not the native engine's. */
const reference: Implementation = {
  ...references,
  addDropoutNorm: (residual, x, gamma, beta, dropout) =>
    references.addDropoutNorm(residual, x.mul(factors(x.shape, dropout)), gamma, beta, null),
  embedding: (table, positions, ids, { dropout, ...options }) => {
    const embedded = references.embedding(table, positions, ids, { ...options, dropout: null });
    return embedded.mul(factors(embedded.shape, dropout));
  },
};

function evaluateCase({ inputs, run }: Case, on: Implementation) {
  return scoped(() => evaluate((xs) => run(on, xs), inputs()));
}

describe('the tensorflow engine', { skip }, () => {
  before(async () => {
    await loadEngine('tensorflow', { threads: 2 });
  });

  describe('a fused operation and its gradients equal the reference', () => {
    for (const one of cases) {
      test(one.name, () => {
        assert.equal(tf.getBackend(), 'tensorflow');
        assertSame(evaluateCase(one, ops), evaluateCase(one, reference), 1e-5, one.name);
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

  test('what a kernel makes on the way ends with it', () => {
    scoped(() => {
      const x = randomTensor(1, [5, 7]);
      const inner = [randomTensor(2, [3, 7]), randomTensor(3, [3])] as const;
      const outer = [randomTensor(4, [2, 3]), randomTensor(5, [2])] as const;
      ops.feedForward(x, inner, outer, 'gelu'); // uploads the constants
      const before = tf.memory().numTensors;
      ops.feedForward(x, inner, outer, 'gelu');
      assert.equal(tf.memory().numTensors, before + 1);
    });
  });

  test('dropout keeps its share, scaled, and every part of its key matters', () => {
    scoped(() => {
      const shape = [100, 300];
      const { rate, site, key } = DROPOUT!;
      const drawn = factors(shape, DROPOUT).dataSync();
      const kept = drawn.filter((factor) => factor !== 0);
      assertClose(kept, new Float32Array(kept.length).fill(1 / (1 - rate)), 1e-7, 'factors');
      assert.ok(Math.abs(kept.length / drawn.length - (1 - rate)) < 0.01, `${kept.length} are kept`);
      assert.deepEqual(factors(shape, DROPOUT).dataSync(), drawn);
      const others = [
        { site: 17 },
        { key: { ...key, seed: 7 } },
        { key: { ...key, seed: key.seed + 2 ** 32 } },
        { key: { ...key, step: 6 } },
        { key: { ...key, microBatch: 2 } },
      ];
      for (const other of others) {
        const values = factors(shape, { rate, site, key, ...other }).dataSync();
        const same = values.filter((value, i) => value === drawn[i]).length / values.length;
        const byChance = rate ** 2 + (1 - rate) ** 2;
        assert.ok(Math.abs(same - byChance) < 0.02, `${JSON.stringify(other)}: ${same} are the same`);
      }
    });
  });
});
