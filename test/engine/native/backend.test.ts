import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../../src/engine/engine.js';
import { loadEngine } from '../../../src/engine/load.js';
import type { NativeBackend } from '../../../src/engine/native/backend.js';
import * as ops from '../../../src/engine/ops.js';
import { assertClose, floats, randomIds, randomTensor, scoped } from '../support.js';

type StockOperation = (x: tf.Tensor2D, y: tf.Tensor2D) => tf.Tensor;

const image = () => randomTensor(8, [1, 6, 6, 2]).as4D(1, 6, 6, 2);
const ids = () => randomIds(9, [5], 6);

/** x and y are [6, 8]. A gradient is taken where `differentiable` says so. */
const STOCK: Record<string, StockOperation> = {
  add: (x, y) => x.add(y),
  'add broadcast': (x, y) => x.add(y.slice([2, 0], [1, 8])),
  'add int32': (x) => x.toInt().add(tf.scalar(3, 'int32')),
  sub: (x, y) => x.sub(y),
  mul: (x, y) => x.mul(y),
  div: (x, y) => x.div(y.abs().add(1)),
  maximum: (x, y) => tf.maximum(x, y),
  pow: (x, y) => x.abs().add(1).pow(y),
  matMul: (x, y) => tf.matMul(x, y, false, true),
  'matMul transposed': (x, y) => tf.matMul(x, y, true, false),
  'matMul twice transposed': (x, y) => tf.matMul(x, y.reshape([8, 6]), true, true),
  'matMul of batches': (x, y) => tf.matMul(x.reshape([3, 2, 8]), y.reshape([3, 8, 2])),
  'matMul broadcast': (x, y) => tf.matMul(x.reshape([3, 2, 8]), y.slice(0, 1).reshape([8, 1])),
  'matMul without rows': (x, y) => tf.matMul(x.slice([0, 0], [0, 8]), y, false, true),
  'matMul without inner': (x, y) => tf.matMul(x.slice([0, 0], [6, 0]), y.slice([0, 0], [0, 8])),
  'fused matMul relu': (a, y) => fusedMatMul(a, y, 'relu'),
  'fused matMul elu': (a, y) => fusedMatMul(a, y, 'elu'),
  'fused matMul sigmoid': (a, y) => fusedMatMul(a, y, 'sigmoid'),
  'fused matMul leakyrelu': (a, y) => fusedMatMul(a, y, 'leakyrelu'),
  'fused matMul linear': (a, y) => fusedMatMul(a, y, 'linear'),
  'fused matMul prelu': (a, b) =>
    tf.fused.matMul({
      a,
      b,
      transposeB: true,
      activation: 'prelu',
      preluActivationWeights: tf.tensor1d([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
    }),
  einsum: (x, y) => tf.einsum('ij,kj->ik', x, y),
  relu: (x) => x.relu(),
  gelu: (x) => x.mul(x.erf().add(1)),
  tanh: (x) => x.tanh(),
  softmax: (x) => x.softmax(),
  logSoftmax: (x) => x.logSoftmax(),
  logSumExp: (x) => x.logSumExp(1),
  sum: (x) => x.sum(0),
  mean: (x) => x.mean(1, true),
  max: (x) => x.max(1),
  prod: (x) => x.prod(0),
  cumsum: (x) => x.cumsum(1),
  argMax: (x) => x.argMax(1),
  topk: (x) => tf.topk(x, 3).values,
  transpose: (x) => x.transpose(),
  reshape: (x) => x.reshape([4, 12]),
  slice: (x) => x.slice([1, 2], [3, 4]),
  'contiguous slice': (x) => x.slice([1, 0], [3, 8]),
  stridedSlice: (x) => x.stridedSlice([0, 1], [6, 8], [2, 3]),
  split: (x, y) => tf.split(x.add(y), 3)[1]!,
  concat: (x, y) => tf.concat([x, y, x], 1),
  stack: (x, y) => tf.stack([x, y], 1),
  unstack: (x, y) => tf.unstack(x.add(y), 1)[3]!,
  tile: (x) => x.tile([2, 3]),
  pad: (x) =>
    x.pad([
      [1, 0],
      [0, 2],
    ]),
  reverse: (x) => x.reverse(1),
  gather: (x) => tf.gather(x, ids()),
  oneHot: () => tf.oneHot(ids(), 6),
  where: (x, y) => tf.where(y.greater(0), x, y),
  cast: (x) => x.toInt().toBool().toFloat(),
  'add to a cast': (x, y) => y.greater(0).toInt().toFloat().add(x),
  'add to the real part of a cast': (x, y) => tf.real(y.toInt().cast('complex64')).add(x),
  'matMul of int32 and float32': (x, y) => tf.matMul(x.toInt(), y, false, true),
  clip: (x) => x.clipByValue(-0.5, 0.5),
  conv2d: (x) => tf.conv2d(image(), x.slice([0, 0], [2, 8]).as4D(2, 2, 2, 2), 1, 'same'),
  maxPool: (x) => tf.maxPool(x.as4D(1, 6, 8, 1), 2, 2, 'valid'),
  resize: (x) => tf.image.resizeBilinear(x.as4D(1, 6, 8, 1), [4, 4]),
  'complex and fft': (x, y) => tf.real(tf.fft(tf.complex(x, y))),
};

/** tfjs has no gradient for these, or (resize) a wrong one. */
const NOT_DIFFERENTIABLE = new Set([
  'add int32',
  'matMul without inner',
  'einsum',
  'argMax',
  'topk',
  'stridedSlice',
  'oneHot',
  'cast',
  'resize',
  'complex and fft',
]);

function fusedMatMul(
  a: tf.Tensor2D,
  b: tf.Tensor2D,
  activation: 'relu' | 'elu' | 'sigmoid' | 'leakyrelu' | 'linear',
) {
  const bias = tf.tensor1d([1, -1, 2, -2, 3, -3]);
  return tf.fused.matMul({ a, b, transposeB: true, bias, activation, leakyreluAlpha: 0.3 });
}

interface Result {
  readonly shape: number[];
  readonly values: Float32Array;
  readonly gradient: Float32Array | null;
}

function evaluateStock(name: string): Result {
  const f = STOCK[name]!;
  return scoped(() => {
    const [x, y] = [randomTensor(1, [6, 8]).as2D(6, 8), randomTensor(2, [6, 8]).as2D(6, 8)];
    const result = f(x, y);
    const weighted = (t: tf.Tensor) =>
      f(t as tf.Tensor2D, y)
        .mul(randomTensor(3, result.shape))
        .sum();
    const gradient = NOT_DIFFERENTIABLE.has(name) ? null : floats(tf.grad(weighted)(x));
    return { shape: result.shape, values: floats(result), gradient };
  });
}

let engine: Engine;
const onCpu = new Map<string, Result>();
const backend = () => tf.backend() as NativeBackend;

before(async () => {
  await tf.setBackend('cpu');
  tf.env().set('IS_NODE', false); // the cpu backend's first use prints an advertisement in Node
  for (const name in STOCK) onCpu.set(name, evaluateStock(name));
  tf.env().set('IS_NODE', true);
  engine = await loadEngine('native', { threads: 2 });
  backend().allocator.poison = true;
});

describe('a stock operation equals the cpu backend, and so does its gradient', () => {
  for (const name in STOCK) {
    test(name, () => {
      const expected = onCpu.get(name)!;
      const { numTensors } = tf.memory();
      const { usedBytes } = backend().memory();
      const actual = evaluateStock(name);
      assert.deepEqual(actual.shape, expected.shape);
      assertClose(actual.values, expected.values, 1e-6, 'value');
      if (expected.gradient !== null) assertClose(actual.gradient!, expected.gradient, 1e-6, 'gradient');
      assert.equal(tf.memory().numTensors, numTensors);
      assert.equal(backend().memory().usedBytes, usedBytes);
    });
  }
});

test('matMul broadcasts every leading dimension by itself', () => {
  scoped(() => {
    const x = randomTensor(1, [2, 1, 3, 4]);
    const y = randomTensor(2, [2, 3, 4, 5]);
    const product = tf.matMul(x, y); // [2, 3, 3, 5]
    for (let i = 0; i < 2; i++) {
      for (let j = 0; j < 3; j++) {
        const [left, right] = [x.slice([i, 0], [1, 1]), y.slice([i, j], [1, 1])];
        const expected = tf.matMul(left.reshape<tf.Tensor2D>([3, 4]), right.reshape<tf.Tensor2D>([4, 5]));
        assertClose(floats(product.slice([i, j], [1, 1])), floats(expected), 1e-6, `${i}, ${j}`);
      }
    }
  });
});

test('a slice, a part of a split and an unstacked row outlive the tensor they are windows of', () => {
  const values = randomTensor(1, [6, 8]);
  const windows: ((x: tf.Tensor) => tf.Tensor)[] = [
    (x) => x.slice([2, 0], [3, 8]),
    (x) => tf.split(x, 3)[1]!,
    (x) => tf.unstack(x)[4]!,
    (x) => x.reshape([48]),
    (x) => x.clone(),
  ];
  for (const window of windows) {
    const expected = floats(window(values));
    const sum = tf.add(values, tf.zerosLike(values)); // in memory that is used again
    const part = window(sum);
    sum.dispose();
    tf.add(values, values); // would be written over it
    assertClose(floats(part), expected, 1e-6, 'window');
  }
});

test('values that were read stay as they were after the tensor is gone', () => {
  const x = randomTensor(1, [64]);
  const sum = x.add(x);
  const read = sum.dataSync();
  const expected = Float32Array.from(read);
  sum.dispose();
  x.mul(3).add(x);
  assert.deepEqual(read, expected);
});

test('a view sees later writes to the memory it lies on, shared or not, and no scope ends it', () => {
  for (const buffer of [new ArrayBuffer(64), new SharedArrayBuffer(64)]) {
    const values = new Float32Array(buffer, 16, 6);
    const view = scoped(() => engine.view(values, [2, 3]));
    values.set([1, 2, 3, 4, 5, 6]);
    assert.deepEqual(view.sum(1).arraySync(), [6, 15]);
    assert.equal(engine.values(view), values);
    values[5] = 10;
    assert.deepEqual(view.sum(1).arraySync(), [6, 19]);
    assert.deepEqual(ops.linear(view, view, tf.zeros([2])).arraySync(), [
      [14, 44],
      [44, 141],
    ]);
    const { usedBytes } = backend().memory();
    view.dispose();
    assert.equal(backend().memory().usedBytes, usedBytes);
  }
  assert.throws(() => engine.view(new Float32Array(5), [2, 3]), /expected 6 values, got 5/);
});

test('a tensor moves between the cpu backend and ours', async () => {
  const x = randomTensor(1, [4, 4]);
  const sum = x.add(x);
  const expected = floats(sum);
  await tf.setBackend('cpu');
  const doubled = sum.mul(2);
  await tf.setBackend('native');
  assertClose(floats(doubled.div(2)), expected, 1e-6, 'moved');
  assertClose(floats(sum.add(0)), expected, 1e-6, 'moved back');
});

test('a type, a shape or an inner size that does not fit is refused', () => {
  const [x, y] = [tf.zeros<tf.Rank.R2>([2, 3]), tf.zeros<tf.Rank.R2>([2, 3])];
  assert.throws(() => tf.matMul(x, y), /inner shapes \(3\) and \(2\)/);
});
