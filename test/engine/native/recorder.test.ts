// What can be recorded, and when it can be repeated.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../../src/engine/engine.js';
import { loadEngine } from '../../../src/engine/load.js';
import type { NativeBackend } from '../../../src/engine/native/backend.js';
import { addDropoutNorm, crossEntropy, linear } from '../../../src/engine/ops.js';
import { recordedGradients, type Repeat } from '../../../src/engine/recording.js';
import type { Loss, LossValues } from '../../../src/engine/reverse.js';
import { scoped } from '../support.js';

const [ROWS, WIDTH, VOCABULARY] = [4, 3, 5];

let engine: Engine;
let backend: NativeBackend;
beforeEach(async () => {
  engine = await loadEngine('native', { threads: 1 });
  backend = tf.backend() as NativeBackend;
});

/** A layer, the loss of its outputs, and memory for what goes in. */
class Network {
  readonly memory = new Float32Array(WIDTH * (WIDTH + 1) + VOCABULARY * (WIDTH + 1));
  readonly labels = new Int32Array(ROWS);
  readonly parameters: readonly tf.Tensor[];
  private readonly bias: tf.Tensor;
  private readonly x = tf.keep(tf.tensor3d([1, -2, 3, 0.5, 0, 1, -1, 2, 0.25, 1, 1, 1], [1, ROWS, WIDTH]));

  constructor() {
    let offset = 0;
    const view = (...shape: number[]): tf.Tensor => {
      const start = offset;
      offset += tf.util.sizeFromShape(shape);
      return engine.view(this.memory.subarray(start, offset), shape);
    };
    this.parameters = [view(WIDTH, WIDTH), view(WIDTH), view(VOCABULARY, WIDTH)];
    this.bias = view(VOCABULARY);
  }

  fill(number: number): void {
    this.memory.forEach((_, i) => (this.memory[i] = Math.sin(1 + i * number)));
    this.labels.forEach((_, i) => (this.labels[i] = (i * number) % VOCABULARY));
  }

  /** `between`: what becomes of the layer's outputs. */
  forward(between: (hidden: tf.Tensor) => tf.Tensor = (hidden) => hidden): Loss {
    const [weights, bias, table] = this.parameters as [tf.Tensor, tf.Tensor, tf.Tensor];
    const hidden = between(linear(this.x, weights, bias));
    const rows = tf.range(0, ROWS, 1, 'int32');
    return crossEntropy(hidden, table, this.bias, rows, tf.tensor1d(this.labels, 'int32'), 0.1);
  }
}

type Found = { readonly values: LossValues | undefined; readonly gradients: number[][] };

/** What `compute` hands out and returns. */
function found(compute: (onFinal: Parameters<typeof recordedGradients>[3]) => LossValues | undefined): Found {
  const gradients: number[][] = [];
  const values = compute((index, gradient) => {
    backend.queue.run();
    gradients[index] = [...(gradient as Float32Array)];
  });
  return { values, gradients };
}

const KEY = { seed: 1, step: 0, microBatch: 0 };

const foundAgain = (repeat: Repeat, key = KEY): Found => found((onFinal) => repeat(key, onFinal));

function record(network: Network, forward = () => network.forward()) {
  let repeat: ReturnType<typeof recordedGradients>['repeat'] = null;
  const first = found((onFinal) => {
    const recorded = recordedGradients(engine, forward, network.parameters, onFinal);
    repeat = recorded.repeat;
    return recorded.values;
  });
  return { first, repeat: repeat as ReturnType<typeof recordedGradients>['repeat'] };
}

test('a repetition computes from what memory then holds, and makes no tensor', () => {
  scoped(() => {
    const network = new Network();
    network.fill(1);
    const { first, repeat } = record(network);
    for (const number of [2, 3, 1]) {
      network.fill(number);
      const tensors = tf.memory().numTensors;
      const again = foundAgain(repeat!);
      assert.equal(tf.memory().numTensors, tensors);
      assert.deepEqual(again, record(network).first);
      if (number === 1) assert.deepEqual(again, first);
      else assert.notDeepEqual(again, first);
    }
  });
});

test('a repetition drops by its own key', () => {
  scoped(() => {
    const network = new Network();
    network.fill(1);
    const [gamma, beta] = [tf.keep(tf.ones([WIDTH])), tf.keep(tf.zeros([WIDTH]))];
    const recordWith = (key: typeof KEY) => {
      const dropout = { rate: 0.5, site: 3, key };
      const drop = (hidden: tf.Tensor): tf.Tensor =>
        addDropoutNorm(hidden, hidden, gamma, beta, dropout).normed;
      return record(network, () => network.forward(drop));
    };
    const { first, repeat } = recordWith(KEY);
    for (const other of [{ seed: 2 ** 40 }, { step: 7 }, { microBatch: 1 }]) {
      const key = { ...KEY, ...other };
      const again = foundAgain(repeat!, key);
      assert.notDeepEqual(again, first);
      assert.deepEqual(again, recordWith(key).first);
    }
    assert.deepEqual(foundAgain(repeat!), first);
  });
});

test('a repetition whose gradients nobody could take is over, and the next is whole', () => {
  scoped(() => {
    const network = new Network();
    network.fill(1);
    const { first, repeat } = record(network);
    assert.throws(() => repeat!(KEY, () => assert.fail('not taken')), /not taken/);
    assert.deepEqual(foundAgain(repeat!), first);
    assert.throws(() => repeat!(KEY, () => assert.fail('not taken')), /not taken/);
    assert.deepEqual(record(network).first, first);
  });
});

test('what read values while it was recorded is not repeated', () => {
  const readers: Record<string, (hidden: tf.Tensor, network: Network) => tf.Tensor> = {
    "a kernel of tfjs's own": (hidden) => hidden.mul(2),
    'dataSync of what a kernel wrote': (hidden) => (hidden.dataSync(), hidden),
    'dataSync of a parameter': (hidden, { parameters }) => (parameters[1]!.dataSync(), hidden),
    'dataSync of ids': (hidden, { labels }) => (tf.tensor1d(labels, 'int32').dataSync(), hidden),
  };
  for (const [name, between] of Object.entries(readers)) {
    scoped(() => {
      const network = new Network();
      network.fill(1);
      const { repeat } = record(network, () => network.forward((hidden) => between(hidden, network)));
      assert.equal(repeat, null, name);
      assert.ok(record(network).repeat, `after ${name}`);
    });
  }
});

test('nothing is repeated in memory that somebody has taken meanwhile', () => {
  scoped(() => {
    const network = new Network();
    network.fill(1);
    const { first, repeat } = record(network);
    const size = ROWS * WIDTH;
    const taken = Array.from({ length: 20 }, () => backend.allocator.acquire(size).fill(7));
    assert.deepEqual(foundAgain(repeat!), { values: undefined, gradients: [] });
    assert.deepEqual(record(network).first, first);
    assert.ok(taken.every((values) => values.every((value) => value === 7)));
    for (const values of taken) backend.allocator.release(values);
    assert.deepEqual(foundAgain(repeat!), first);
  });
});

test('what is computed while gradients are handed out does not touch memory of the repetition', () => {
  scoped(() => {
    const network = new Network();
    network.fill(1);
    const { first, repeat } = record(network);
    const disturbed = found((onFinal) =>
      repeat!(KEY, (index, gradient) => {
        onFinal(index, gradient);
        tf.tidy(() => network.forward().loss.dataSync());
      }),
    );
    assert.deepEqual(disturbed, first);
    assert.deepEqual(foundAgain(repeat!), first);
  });
});

test('memory that nobody writes would show in a repetition, too', (context) => {
  backend.allocator.poison = true;
  context.after(() => (backend.allocator.poison = false));
  scoped(() => {
    const network = new Network();
    network.fill(1);
    const { first, repeat } = record(network);
    assert.deepEqual(foundAgain(repeat!), first);
  });
});

test('an error ends the recording', () => {
  scoped(() => {
    const network = new Network();
    network.fill(1);
    const { first } = record(network);
    const failing = (): Loss => network.forward(() => assert.fail('broken'));
    assert.throws(() => record(network, failing), /broken/);
    assert.equal(backend.queue.observer, null);
    assert.equal(backend.allocator.onHandOut, null);
    assert.deepEqual(record(network).first, first);
  });
});
