import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { valueAndGradients } from '../../src/engine/reverse.js';
import { cases, DROPOUT, implementations } from './cases.js';
import { network, networkParameters } from './network.js';
import { evaluate, randomTensor, scoped } from './support.js';
import { networkDigest } from './worker-thread.js';

let engine: Engine;

before(async () => {
  engine = await loadEngine('native', { threads: 1 });
});

/** Hash of every fused operation's outputs and gradients, of a whole network's, and of a plain product. */
function digest(): string {
  const hash = createHash('sha256');
  scoped(() => {
    for (const { inputs, run } of cases) {
      const { outputs, gradients } = evaluate((xs) => run(implementations.fused, xs), inputs());
      for (const values of [...outputs, ...gradients]) hash.update(values);
    }
    hash.update(tf.matMul(randomTensor(1, [300, 170]), randomTensor(2, [170, 260])).dataSync());
  });
  return hash.update(networkDigest()).digest('hex');
}

test('results have the same bits for 1, 2, 3 and 4 threads', async () => {
  const digests: string[] = [];
  for (const threads of [1, 2, 3, 4]) {
    await loadEngine('native', { threads });
    digests.push(digest());
  }
  assert.equal(new Set(digests).size, 1, digests.join(' '));
});

test('worker threads have engines of their own, at the same time, with the same bits', async () => {
  const expected = networkDigest();
  const workers = [1, 2, 3].map(() => new Worker(new URL('./worker-thread.js', import.meta.url)));
  const exits = workers.map((worker) => once(worker, 'exit'));
  const messages = await Promise.all(workers.map((worker) => once(worker, 'message')));
  assert.deepEqual(messages.flat(), [expected, expected, expected]);
  assert.deepEqual((await Promise.all(exits)).flat(), [0, 0, 0]);
  assert.equal(networkDigest(), expected);
});

test('loading the engine again gives the same backend', async () => {
  const backend = tf.backend();
  const again = await loadEngine('native', { threads: 2 });
  assert.equal(tf.backend(), backend);
  assert.deepEqual(again.fingerprint, engine.fingerprint);
  assert.match(again.fingerprint.matmul, /^float32$/);
  await assert.rejects(loadEngine('native', { threads: 0 }), /expected 1 thread or more, got 0/);
});

test('twenty training steps, with and without dropout, keep no tensor and, once warm, allocate nothing', () => {
  const parameters = scoped(() => networkParameters().map((parameter) => tf.keep(parameter)));
  const step = (rate: number) => {
    const dropout = rate === 0 ? null : { ...DROPOUT!, rate };
    valueAndGradients(
      () => network(parameters, { norm: 'post', activation: 'gelu', dropout }),
      parameters,
      () => undefined,
    );
  };
  for (const rate of [0, 0.1, 0, 0.1]) step(rate);
  const warm = { ...tf.memory() };
  for (let i = 0; i < 20; i++) step(i % 2 === 0 ? 0 : 0.1);
  assert.deepEqual({ ...tf.memory() }, warm);
});
