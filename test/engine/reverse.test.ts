import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import { loadEngine } from '../../src/engine/load.js';
import type { NativeBackend } from '../../src/engine/native/backend.js';
import * as ops from '../../src/engine/ops.js';
import { valueAndGradients } from '../../src/engine/reverse.js';
import { DROPOUT } from './cases.js';
import { network, networkParameters } from './network.js';
import { assertClose, floats, randomTensor, scoped } from './support.js';

before(async () => {
  await loadEngine('native', { threads: 1 });
  (tf.backend() as NativeBackend).allocator.poison = true;
});

const backend = () => tf.backend() as NativeBackend;

/** A loss for parameters that are plain tensors; nobody looks at `correct`. */
const lossOf = (loss: tf.Tensor) => ({ loss: loss.asScalar(), correct: tf.scalar(0) });

function collect(forward: () => { loss: tf.Scalar; correct: tf.Scalar }, parameters: tf.Tensor[]) {
  const gradients = new Map<number, Float32Array | null>();
  const value = valueAndGradients(forward, parameters, (index, gradient) => {
    assert.ok(!gradients.has(index), `gradient ${index} came twice`);
    gradients.set(index, gradient && floats(gradient));
  });
  return { value, gradients };
}

for (const norm of ['post', 'pre'] as const) {
  for (const activation of ['relu', 'gelu', 'swish'] as const) {
    test(`the walk equals tf.variableGrads on a ${norm}-norm, ${activation} network with a tied table`, () => {
      scoped(() => {
        const variables = networkParameters().map((parameter) => tf.variable(parameter));
        const forward = () => network(variables, { norm, activation, dropout: DROPOUT });
        const stock = tf.variableGrads(() => forward().loss, variables);
        const { value, gradients } = collect(forward, variables);
        assert.equal(value.loss, stock.value.dataSync()[0]);
        assert.equal(value.correct, forward().correct.dataSync()[0]);
        variables.forEach(({ name }, i) => {
          assertClose(gradients.get(i)!, stock.grads[name]!.dataSync(), 1e-6, `gradient ${i}`);
        });
        for (const variable of variables) variable.dispose();
      });
    });
  }
}

test('stock operations with several outputs, repeated and optional inputs are differentiated', () => {
  scoped(() => {
    const [a, b, c] = [randomTensor(1, [4, 6]), randomTensor(2, [6, 3]), randomTensor(3, [3])];
    const f = (x: tf.Tensor, y: tf.Tensor, z: tf.Tensor) => {
      const [left, , right] = tf.split(x, 3, 1); // the middle part gets no gradient
      const product = tf.matMul(tf.concat([left!, right!, left!], 1), y as tf.Tensor2D).add(z);
      return product.mul(product).softmax().mul(product).sum().asScalar();
    };
    const stock = tf.grads((...xs: tf.Tensor[]) => f(xs[0]!, xs[1]!, xs[2]!))([a, b, c]);
    const { gradients } = collect(() => lossOf(f(a, b, c)), [a, b, c]);
    stock.forEach((gradient, i) =>
      assertClose(gradients.get(i)!, gradient.dataSync(), 1e-6, `gradient ${i}`),
    );
  });
});

test('a parameter that the loss does not reach gets null', () => {
  scoped(() => {
    const [used, unused, alone] = [randomTensor(1, [3]), randomTensor(2, [3]), randomTensor(3, [3])];
    const { gradients } = collect(() => {
      unused.mul(2); // on the tape, but on no path to the loss
      return lossOf(used.square().sum());
    }, [unused, used, alone]);
    assert.equal(gradients.get(0), null);
    assertClose(gradients.get(1)!, floats(used.mul(2)), 1e-6, 'gradient');
    assert.equal(gradients.get(2), null);
    const constant = collect(() => lossOf(tf.scalar(3)), [used]);
    assert.equal(constant.value.loss, 3);
    assert.equal(constant.gradients.get(0), null);
  });
});

test('gradients become final from the last layer to the first, the tied table last', () => {
  scoped(() => {
    const order: number[] = [];
    const parameters = networkParameters();
    valueAndGradients(
      () => network(parameters, { norm: 'post', activation: 'relu', dropout: null }),
      parameters,
      (index) => order.push(index),
    );
    assert.equal(order.length, parameters.length);
    assert.equal(order.at(-1), 0);
    const lastLayer = parameters.length - 1;
    assert.ok(order.indexOf(lastLayer) < order.indexOf(1), `order was ${order.join(' ')}`);
  });
});

test('activations are freed while the walk goes on', () => {
  scoped(() => {
    // Sixteen layers save an activation of 1 MiB each.
    const weights = Array.from({ length: 16 }, (_, i) => randomTensor(i, [64, 64]).mul(0.1));
    const bias = tf.zeros([64]);
    const x = randomTensor(99, [4096, 64]);
    const used: number[] = [];
    valueAndGradients(
      () => lossOf(weights.reduce<tf.Tensor>((h, w) => ops.linear(h, w, bias), x).sum()),
      weights,
      () => used.push(backend().memory().usedBytes),
    );
    for (let i = 1; i < used.length - 1; i++) {
      assert.ok(used[i]! <= used[i - 1]! - 2 ** 20, `bytes in use were ${used.join(' ')}`);
    }
  });
});

test('nothing is left behind, whether a step passes or its forward or its callback throws', () => {
  scoped(() => {
    const parameters = networkParameters();
    const options = { norm: 'pre', activation: 'gelu', dropout: DROPOUT } as const;
    const step = (onGradient: () => void = () => undefined) =>
      valueAndGradients(() => network(parameters, options), parameters, onGradient);
    const expected = step().loss;
    const state = () => ({ ...tf.memory() });
    step();
    const before = state();
    for (let i = 0; i < 20; i++) {
      assert.throws(
        () =>
          valueAndGradients(
            () => {
              network(parameters, options);
              throw new Error('in the forward');
            },
            parameters,
            () => undefined,
          ),
        /in the forward/,
      );
      assert.throws(
        () =>
          step(() => {
            throw new Error('in the callback');
          }),
        /in the callback/,
      );
      assert.equal(step().loss, expected);
    }
    assert.deepEqual(state(), before);
  });
});

test('a walk inside a recording is refused, and so is a parameter listed twice', () => {
  scoped(() => {
    const x = tf.scalar(2);
    const square = () => lossOf(x.square());
    assert.throws(() => valueAndGradients(square, [x, x], () => undefined), /listed twice/);
    assert.throws(
      () =>
        tf.grad((y) => {
          valueAndGradients(square, [x], () => undefined);
          return y;
        })(x),
      /while a gradient is being recorded/,
    );
    assert.equal(collect(square, [x]).gradients.get(0)![0], 4);
  });
});
