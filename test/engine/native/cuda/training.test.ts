// A training step on the CUDA device against the same step on the host, and what the device promises about bits and memory.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs';
import type { Engine } from '../../../../src/engine/engine.js';
import { loadEngine } from '../../../../src/engine/load.js';
import type { Precision } from '../../../../src/engine/names.js';
import { initialParameters } from '../../../../src/model/initialise.js';
import { parameterLayout } from '../../../../src/model/parameters.js';
import type { Job, WireFormat } from '../../../../src/protocol/job.js';
import { Trainer } from '../../../../src/worker/compute/trainer.js';
import { tinyBatch, tinyConfig } from '../../../model/tiny.js';
import { openTestDevice } from './device.js';

const { info } = await openTestDevice();

after(() => loadEngine('native', { threads: 1 }));

function jobOf(changes: Parameters<typeof tinyConfig>[0], precision: Precision, wire: WireFormat): Job {
  return {
    seed: 1,
    model: tinyConfig({ dropout: 0.1, ...changes }),
    objective: { kind: 'causal' },
    tokens: { padId: 0, endId: 1, startId: 0, maskId: 2, vocabularySize: 23, specialIds: [0, 1, 2] },
    microBatches: 4,
    labelSmoothing: 0.1,
    precision,
    emulate: false,
    wire,
    heartbeat: { intervalMs: 100, timeoutMs: 1000 },
  };
}

/** The gradient of a step's micro-batches [0, 2), and of what else a worker would tell. */
function computeNode(engine: Engine, job: Job) {
  const layout = parameterLayout(job.model);
  const flat = new Float32Array(new SharedArrayBuffer(layout.total * 4));
  initialParameters(layout, job.model, 1, flat);
  const gradient = new Float32Array(new SharedArrayBuffer(layout.trainable * 4)).fill(NaN);
  const trainer = new Trainer({ engine, job, parameters: [flat], gradients: [gradient] });
  const chunks: number[] = [];
  const stats = trainer.computeNode(0, { level: 1, index: 0 }, [tinyBatch(), tinyBatch()], 0, 0, {
    chunk: (chunk) => chunks.push(chunk),
    progress: () => undefined,
    isCancelled: () => false,
  });
  return { stats: stats!, gradient, chunks, evaluated: trainer.evaluate(0, tinyBatch(), 0) };
}

const distance = (a: Float32Array, b: Float32Array): number =>
  Math.hypot(...a.map((value, i) => value - b[i]!)) / Math.hypot(...b);

describe(`training on ${info.name}`, () => {
  // Not bfloat16 with relu: in a model of 12 units one that is rounded across zero changes the gradient by a tenth.
  const activations = { float32: ['relu', 'gelu', 'swish'], bfloat16: ['gelu', 'swish'] } as const;
  for (const [precision, tolerance] of [
    ['float32', 1e-4],
    ['bfloat16', 2e-2],
  ] as const)
    // prettier-ignore
    for (const norm of ['post', 'pre'] as const)
      for (const activation of activations[precision])
        test(`a node's gradient in ${precision}, ${norm}-norm with ${activation}, is the host's`, async () => {
          const job = jobOf({ norm, activation }, precision, 'float32');
          const expected = computeNode(
            await loadEngine('native', { threads: 1 }),
            jobOf({ norm, activation }, 'float32', 'float32'),
          );
          const got = computeNode(
            await loadEngine('native', { threads: 1, device: 'cuda:0', precision }),
            job,
          );
          assert.ok(distance(got.gradient, expected.gradient) < tolerance, `${distance(got.gradient, expected.gradient)}`);
          assert.deepEqual(got.chunks, expected.chunks);
          [...got.stats, got.evaluated].forEach((stats, i) => {
            const other = [...expected.stats, expected.evaluated][i]!;
            assert.equal(stats.tokens, other.tokens);
            assert.ok(Math.abs(stats.loss - other.loss) < tolerance * other.loss);
          });
        });

  for (const precision of ['float32', 'bfloat16'] as const)
    test(`computing a node again gives the same bits in ${precision}, also with the 16-bit wire`, async () => {
      const engine = await loadEngine('native', { threads: 1, device: 'cuda:0', precision });
      for (const wire of ['float32', 'bfloat16'] as const) {
        const [first, second] = [0, 1].map(() => computeNode(engine, jobOf({}, precision, wire)));
        assert.deepEqual(second, first);
      }
    });

  test('a step that repeats takes no more memory of the device, and leaves no tensor', async () => {
    const engine = await loadEngine('native', { threads: 1, device: 'cuda:0' });
    const memory = () => tf.memory() as tf.MemoryInfo & { systemAllocations: number };
    const job = jobOf({}, 'float32', 'float32');
    const layout = parameterLayout(job.model);
    const flat = new Float32Array(layout.total);
    const trainer = new Trainer({
      engine,
      job,
      parameters: [flat],
      gradients: [new Float32Array(layout.trainable)],
    });
    const handlers = { chunk: () => undefined, progress: () => undefined, isCancelled: () => false };
    const step = () =>
      trainer.computeNode(0, { level: 1, index: 0 }, [tinyBatch(), tinyBatch()], 0, 0, handlers);
    step();
    step();
    const before = memory();
    step();
    assert.equal(memory().systemAllocations, before.systemAllocations);
    assert.equal(memory().numTensors, before.numTensors);
  });

  test('operations of tfjs that have no kernel on the device run on the host', async () => {
    await loadEngine('native', { threads: 1, device: 'cuda:0' });
    tf.tidy(() => {
      const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
      const result = x.mul(2).transpose().matMul(x).softmax().sum();
      assert.ok(Math.abs(result.dataSync()[0]! - 3) < 1e-6);
    });
  });

  test('memory that does not suffice is an error that says what to lower', async () => {
    const engine = await loadEngine('native', { threads: 1, device: 'cuda:0' });
    assert.throws(() => engine.gradients.allocate(2 ** 40), {
      code: 'DEVICE_MEMORY',
      message: /out of device memory: a tensor of \d+ MiB does not fit .* lower batch.samples/,
    });
  });
});

test('a device that is not there is refused with those that are', async () => {
  await assert.rejects(loadEngine('native', { threads: 1, device: 'cuda:7' }), {
    code: 'NO_SUCH_DEVICE',
    message: /got cuda:7: there are cuda:0 to cuda:/,
  });
});
