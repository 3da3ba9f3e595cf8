// With products of bfloat16 a layer's results are stored in that format, which tfjs's own operations do not notice.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { loadEngine } from '../../../src/engine/load.js';
import type { NativeBackend } from '../../../src/engine/native/backend.js';
import { feedForward, lastLinear, linear } from '../../../src/engine/ops.js';
import { randomTensor, scoped } from '../support.js';

after(() => loadEngine('native', { threads: 1 }));

const loadIn = (precision: 'float32' | 'bfloat16') =>
  loadEngine('native', { threads: 1, precision, emulate: true });

const backend = () => tf.backend() as NativeBackend;

/** [6, 64] · [64, 32]ᵀ */
const layer = (x = randomTensor(1, [6, 64])) => linear(x, randomTensor(2, [32, 64]), randomTensor(3, [32]));

const isHalf = (value: number) => (new Uint32Array(Float32Array.of(value).buffer)[0]! & 0xffff) === 0;

test("a layer's result takes two bytes a number, and four in float32", async () => {
  const bytesIn = async (precision: 'float32' | 'bfloat16') => {
    await loadIn(precision);
    backend().allocator.trim(); // a larger block that is free would do as well
    return scoped(() => {
      const inputs = tf.keep(randomTensor(1, [6, 64]));
      const before = backend().memory().usedBytes;
      const y = layer(inputs);
      const bytes = backend().memory().usedBytes - before;
      inputs.dispose();
      return [bytes, [...y.dataSync()].every(isHalf)];
    });
  };
  assert.deepEqual(await bytesIn('float32'), [6 * 32 * 4, false]);
  assert.deepEqual(await bytesIn('bfloat16'), [6 * 32 * 2, true]);
});

test("tfjs's operations read what a layer stored, also through a window that outlives it", async () => {
  await loadIn('bfloat16');
  scoped(() => {
    const y = layer();
    const values = [...y.dataSync()];
    assert.deepEqual([...y.mul(2).dataSync()], values.map((value) => value * 2)); // prettier-ignore
    assert.deepEqual([...y.add(y).dataSync()], values.map((value) => value * 2)); // prettier-ignore
    const window = y.reshape([192]).slice(32, 32);
    y.dispose();
    assert.deepEqual([...window.dataSync()], values.slice(32, 64));
  });
});

test('what is read may be overwritten, and the memory comes back when the tensor ends', async () => {
  await loadIn('bfloat16');
  scoped(() => {
    const inputs = randomTensor(1, [6, 64]);
    const before = backend().memory().usedBytes;
    const y = layer(inputs);
    y.dataSync().fill(7);
    assert.notEqual(y.dataSync()[0], 7);
    y.dispose();
    assert.equal(backend().memory().usedBytes, before);
  });
});

test('the logits that a model gives are not rounded', async () => {
  await loadIn('bfloat16');
  scoped(() => {
    const logits = lastLinear(randomTensor(1, [6, 64]), randomTensor(2, [32, 64]), randomTensor(3, [32]));
    assert.ok(![...logits.dataSync()].every(isHalf));
  });
});

test("a layer takes gradients and inputs that tfjs's operations made", async () => {
  const gradientIn = async (precision: 'float32' | 'bfloat16') => {
    await loadIn(precision);
    return scoped(() => {
      const loss = (x: tf.Tensor) =>
        feedForward(
          layer(x).tanh(),
          [randomTensor(4, [8, 32]), randomTensor(5, [8])],
          [randomTensor(6, [8, 8]), randomTensor(7, [8])],
          'gelu',
        )
          .square()
          .sum();
      return [
        ...tf
          .grad(loss)(randomTensor(1, [6, 64]))
          .dataSync(),
      ];
    });
  };
  const exact = await gradientIn('float32');
  const rounded = await gradientIn('bfloat16');
  const apart = Math.hypot(...rounded.map((value, i) => value - exact[i]!)) / Math.hypot(...exact);
  assert.ok(apart > 1e-5 && apart < 0.02, `${apart}`);
});
