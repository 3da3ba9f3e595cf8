// Kernels' calls wait until somebody wants a result, and nobody can tell.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../../src/engine/engine.js';
import { loadEngine } from '../../../src/engine/load.js';
import type { NativeBackend } from '../../../src/engine/native/backend.js';
import { CallQueue } from '../../../src/engine/native/call-queue.js';
import { linear } from '../../../src/engine/ops.js';
import { valueAndGradients } from '../../../src/engine/reverse.js';
import { tinyBatch, tinyConfig, tinyModel } from '../../model/tiny.js';
import { randomTensor, scoped } from '../support.js';

let engine: Engine;
let backend: NativeBackend;
beforeEach(async () => {
  engine = await loadEngine('native', { threads: 1 });
  backend = tf.backend() as NativeBackend;
});

const layer = () => linear(randomTensor(1, [3, 4]), randomTensor(2, [5, 4]), randomTensor(3, [5]), 'none');

test('calls run in their order, when one waits too long or when they are asked to', () => {
  const queue = new CallQueue();
  const ran: number[] = [];
  for (let i = 0; i < 100; i++) queue.push(() => ran.push(i));
  assert.ok(ran.length > 0 && ran.length < 100);
  queue.run();
  assert.deepEqual(ran, [...Array(100).keys()]);
  queue.run();
  assert.equal(ran.length, 100);
});

test('a call that throws takes those behind it with it, and everybody who wants a result is told', () => {
  const queue = new CallQueue();
  const ran: string[] = [];
  queue.push(() => ran.push('before'));
  queue.push(() => assert.fail('broken'));
  queue.push(() => ran.push('behind'));
  assert.throws(() => queue.run(), /broken/);
  queue.push(() => ran.push('later'));
  assert.throws(() => queue.run(), /broken/);
  assert.deepEqual(ran, ['before']);
});

test('a call may wait for those behind it', () => {
  const queue = new CallQueue();
  const ran: number[] = [];
  queue.push(() => {
    queue.run();
    ran.push(1);
  });
  queue.push(() => ran.push(2));
  queue.run();
  assert.deepEqual(ran, [2, 1]);
});

test('a result is there for whoever reads it: by dataSync, by an operation of tfjs, and as the values of an engine', () => {
  scoped(() => {
    const expected = [...layer().dataSync()];
    assert.deepEqual([...layer().neg().dataSync()], expected.map((value) => -value)); // prettier-ignore
    assert.deepEqual([...engine.values(layer())], expected);
    const waiting = layer();
    const memory = engine.memoryOf(waiting) as Float32Array;
    memory.fill(NaN);
    assert.ok(Number.isNaN(memory[0])); // it has not been computed yet
    assert.deepEqual([...waiting.dataSync()], expected);
  });
});

test('memory that a tensor leaves is taken by the next one before either is computed, with the same bits', () => {
  const gradients = (push: CallQueue['push']): Float32Array[] => {
    const { model, parameters } = tinyModel(engine, tinyConfig({ activation: 'gelu' }));
    const found: Float32Array[] = [];
    const { queue } = backend;
    const usual = queue.push.bind(queue);
    queue.push = push;
    valueAndGradients(
      () => model.loss(tinyBatch(), { smoothing: 0.1, random: null }),
      parameters.trainable.map(({ tensor }) => tensor),
      (index, tensor) => {
        const memory = engine.memoryOf(tensor!) as Float32Array;
        usual(() => (found[index] = memory.slice()));
      },
    );
    queue.run();
    queue.push = usual;
    parameters.dispose();
    return found;
  };
  const { queue } = backend;
  const usual = queue.push.bind(queue);
  const waiting = gradients(usual);
  const atOnce = gradients((call) => {
    usual(call);
    queue.run();
  });
  assert.deepEqual(waiting, atOnce);
});
