// Kernels' calls wait until somebody wants a result, and nobody can tell.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../../src/engine/engine.js';
import { loadEngine } from '../../../src/engine/load.js';
import type { NativeBackend } from '../../../src/engine/native/backend.js';
import { CallQueue } from '../../../src/engine/native/call-queue.js';
import { loadAddon } from '../../../src/engine/native/load.js';
import { embedding, linear } from '../../../src/engine/ops.js';
import { valueAndGradients } from '../../../src/engine/reverse.js';
import { tinyBatch, tinyConfig, tinyModel } from '../../model/tiny.js';
import { randomTensor, scoped } from '../support.js';

let engine: Engine;
let backend: NativeBackend;
beforeEach(async () => {
  engine = await loadEngine('native', { threads: 1 });
  backend = tf.backend() as NativeBackend;
});

const layer = () => linear(randomTensor(1, [3, 4]), randomTensor(2, [5, 4]), randomTensor(3, [5]));

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('calls run in their order, when one waits too long or when they are asked to', () => {
  const queue = new CallQueue(loadAddon());
  const ran: number[] = [];
  for (let i = 0; i < 2500; i++) queue.push(() => ran.push(i));
  assert.ok(ran.length > 0 && ran.length < 2500);
  queue.run();
  assert.deepEqual(ran, [...Array(2500).keys()]);
  queue.run();
  assert.equal(ran.length, 2500);
});

/** Doubles a number three times, and tells of it in between. */
function askForDoubles(queue: CallQueue, told: (number: number | undefined) => void): void {
  const values = new Float32Array([1]);
  const found = new WeakRef(values);
  for (let i = 0; i < 3; i++) {
    queue.kernels.add(values, values, values, 1, false);
    queue.push(() => {
      told(found.deref()?.[0]);
    });
  }
}

test("kernels' calls and others run in one order, and what kernels work on lives as long as they wait", async () => {
  const queue = new CallQueue(loadAddon());
  const numbers: unknown[] = [];
  askForDoubles(queue, (number) => numbers.push(number));
  await setImmediate(); // so long a WeakRef keeps what it was made of
  collectGarbage();
  assert.deepEqual(numbers, []);
  queue.run();
  assert.deepEqual(numbers, [2, 4, 8]);
});

/** Doubles a number now, and asks for that once more. */
function askAgainForDoubles(queue: CallQueue, told: (number: number | undefined) => void): void {
  const addon = loadAddon();
  const values = new Float32Array([1]);
  const found = new WeakRef(values);
  const calls = addon.makeKeptCalls();
  addon.keepCalls(calls);
  queue.kernels.add(values, values, values, 1, false);
  addon.keepCalls(null);
  queue.run();
  queue.repeatKernels({ calls, held: [[values]] }, 0, 1);
  queue.push(() => {
    told(found.deref()?.[0]);
  });
}

test('what repeated kernels work on lives as long as they wait, though nobody keeps it', async () => {
  const queue = new CallQueue(loadAddon());
  const numbers: unknown[] = [];
  askAgainForDoubles(queue, (number) => numbers.push(number));
  await setImmediate();
  collectGarbage();
  assert.deepEqual(numbers, []);
  queue.run();
  assert.deepEqual(numbers, [4]);
});

test('what a kernel does not take is refused where it is asked for', () => {
  const queue = new CallQueue(loadAddon());
  const one = new Float32Array(1);
  assert.throws(() => queue.kernels.add(one, one, one, 2, false), /expected at least 2 elements, got 1/);
  queue.run();
});

test('the addon counts the calls that it made, and the time that they took', () => {
  const addon = loadAddon();
  const queue = new CallQueue(addon);
  const values = new Float32Array(1000);
  addon.kernelTimes();
  queue.kernels.add(values, values, values, values.length, false);
  assert.deepEqual(addon.kernelTimes(), []);
  queue.run();
  addon.sumOfSquares(values, values.length);
  const times = addon.kernelTimes();
  assert.deepEqual(
    times.map(({ name, calls }) => [name, calls]),
    [
      ['sumOfSquares', 1],
      ['add', 1],
    ],
  );
  assert.ok(times.every(({ seconds }) => seconds > 0 && seconds < 1));
  assert.deepEqual(addon.kernelTimes(), []);
});

test('a call that throws takes those behind it with it, and everybody who wants something is told', () => {
  const queue = new CallQueue(loadAddon());
  const one = new Float32Array([1]);
  const ran: string[] = [];
  queue.push(() => ran.push('before'));
  queue.push(() => assert.fail('broken'));
  queue.kernels.add(one, one, one, 1, false);
  queue.push(() => ran.push('behind'));
  assert.throws(() => queue.run(), /broken/);
  assert.throws(() => queue.push(() => ran.push('later')), /broken/);
  assert.throws(() => queue.kernels.add(one, one, one, 1, false), /broken/);
  assert.throws(() => queue.run(), /broken/);
  assert.deepEqual(ran, ['before']);
  assert.equal(one[0], 1);
});

test("a call may wait for those behind it, whose failure is everybody's though it is caught", () => {
  const queue = new CallQueue(loadAddon());
  const ran: number[] = [];
  queue.push(() => {
    queue.run();
    ran.push(1);
  });
  queue.push(() => ran.push(2));
  queue.run();
  assert.deepEqual(ran, [2, 1]);

  queue.push(() => assert.throws(() => queue.run(), /broken/));
  queue.push(() => assert.fail('broken'));
  assert.throws(() => queue.run(), /broken/);
});

test('ids that change after they were checked lead nowhere else', () => {
  scoped(() => {
    const ids = new Int32Array([2, 0]);
    const table = randomTensor(1, [3, 4]);
    const options = { scale: 1, first: 0, padding: null, dropout: null };
    const found = embedding(table, tf.zeros([2, 4]), tf.tensor2d(ids, [1, 2], 'int32'), options);
    ids.fill(2 ** 30);
    const rows = table.arraySync() as number[][];
    assert.deepEqual(found.arraySync(), [[rows[2], rows[0]]]);
  });
});

test("what waits to be written to a view's memory is seen by windows of it", () => {
  scoped(() => {
    const flat = new Float32Array([1, 2, 3, 4]);
    const view = engine.view(flat, [4]);
    const window = view.slice([1], [2]);
    engine.gradients.add(flat, flat, flat, 4, false);
    assert.deepEqual([...window.dataSync()], [4, 6]);
    view.dispose();
  });
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
  const gradients = (): Float32Array[] => {
    const { model, parameters } = tinyModel(engine, tinyConfig({ activation: 'gelu' }));
    const found: Float32Array[] = [];
    const { queue } = backend;
    valueAndGradients(
      () => model.loss(tinyBatch(), { smoothing: 0.1, random: null }),
      parameters.trainable.map(({ tensor }) => tensor),
      (index, tensor) => {
        const memory = engine.memoryOf(tensor!) as Float32Array;
        queue.push(() => (found[index] = memory.slice()));
      },
    );
    queue.run();
    parameters.dispose();
    return found;
  };
  const waiting = gradients();
  backend.allocator.poison = true; // what waits is run before memory is handed out
  const atOnce = gradients();
  backend.allocator.poison = false;
  assert.ok(waiting.length > 0 && waiting.every((gradient) => gradient.length > 0));
  assert.deepEqual(waiting, atOnce);
});
