import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../../src/engine/engine.js';
import { loadEngine } from '../../../src/engine/load.js';
import { valueAndGradients } from '../../../src/engine/reverse.js';
import type { Activation } from '../../../src/model/config.js';
import { tinyBatch, tinyConfig, tinyModel } from '../../model/tiny.js';
import { DROPOUT } from '../cases.js';
import { network, networkParameters } from '../network.js';
import { scoped } from '../support.js';
import { skip } from './available.js';

const runScript = promisify(execFile);

/** The gradient of a small model, as the layout has it, and its loss. */
function modelGradient(engine: Engine, norm: 'pre' | 'post', activation: Activation) {
  const { model, parameters, layout } = tinyModel(engine, tinyConfig({ norm, activation }));
  const gradient = new Float32Array(layout.trainable);
  const { trainable } = parameters;
  const { loss, correct } = valueAndGradients(
    () => model.loss(tinyBatch(), { smoothing: 0.1, random: null }),
    trainable.map(({ tensor }) => tensor),
    (index, tensor) => gradient.set(engine.values(tensor!), trainable[index]!.spec.offset),
  );
  parameters.dispose();
  model.dispose();
  return { loss, correct, gradient };
}

describe('the tensorflow engine', { skip }, () => {
  let engine: Engine;

  before(async () => {
    engine = await loadEngine('tensorflow', { threads: 2 });
  });

  for (const norm of ['pre', 'post'] as const) {
    for (const activation of ['relu', 'gelu', 'swish'] as const) {
      test(`${norm}, ${activation}: a model's loss and gradient are the native engine's within 1e-4`, async () => {
        const native = modelGradient(await loadEngine('native', { threads: 1 }), norm, activation);
        await loadEngine('tensorflow', { threads: 2 });
        const { loss, correct, gradient } = modelGradient(engine, norm, activation);
        assert.ok(Math.abs(loss / native.loss - 1) < 1e-5, `loss ${loss}, native ${native.loss}`);
        assert.equal(correct, native.correct);
        const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value ** 2, 0);
        const error = squares(gradient.map((value, i) => value - native.gradient[i]!));
        const relative = Math.sqrt(error / squares(native.gradient));
        assert.ok(relative < 1e-4, `the gradients differ by ${relative}`);
      });
    }
  }

  test('two processes compute the same bits, dropout included', async () => {
    const script = fileURLToPath(new URL('./digest.js', import.meta.url));
    const [one, two] = await Promise.all([1, 2].map(() => runScript(process.execPath, [script])));
    assert.match(one!.stdout, /^[0-9a-f]{64}$/m);
    assert.equal(one!.stdout, two!.stdout);
  });

  test('a view stands for what its memory held when it was made or last refreshed', () => {
    const values = new Float32Array(new SharedArrayBuffer(24));
    values.set([1, 2, 3, 4, 5, 6]);
    const view = scoped(() => engine.view(values, [2, 3]));
    const doubled = () => tf.tidy(() => Array.from(view.mul(2).dataSync()));
    assert.deepEqual(doubled(), [2, 4, 6, 8, 10, 12]);
    values.fill(7);
    assert.deepEqual(doubled(), [2, 4, 6, 8, 10, 12]);
    engine.refresh(view);
    assert.deepEqual(doubled(), new Array(6).fill(14));
    view.dispose();
    assert.ok(values.every((value) => value === 7));
    assert.throws(() => engine.refresh(view), /is no view/);
    assert.throws(() => engine.view(values, [7]), /expected 7 values, got 6/);
  });

  test('the number of threads is that of the first load', async () => {
    await assert.rejects(loadEngine('tensorflow', { threads: 3 }), /was loaded with 2 threads/);
    assert.match(engine.fingerprint.matmul, /^TensorFlow \d+\.\d+\.\d+/);
  });

  test('training steps, with and without dropout, keep no tensor once warm', () => {
    const parameters = scoped(() => networkParameters().map((parameter) => tf.keep(parameter)));
    const step = (rate: number) => {
      const dropout = rate === 0 ? null : { ...DROPOUT!, rate };
      valueAndGradients(
        () => network(parameters, { norm: 'post', activation: 'gelu', dropout }),
        parameters,
        () => undefined,
      );
    };
    for (const rate of [0, 0.1]) step(rate);
    const count = () => [tf.memory().numTensors, tf.memory().numBytes];
    const warm = count();
    for (let i = 0; i < 10; i++) step(i % 2 === 0 ? 0 : 0.1);
    assert.deepEqual(count(), warm);
  });
});
