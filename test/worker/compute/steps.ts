// Trainers of tiny models, and micro-batches of few shapes for them.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Engine } from '../../../src/engine/engine.js';
import type { Batch } from '../../../src/model/batch.js';
import type { ModelConfig } from '../../../src/model/config.js';
import { initialParameters } from '../../../src/model/initialise.js';
import { parameterLayout } from '../../../src/model/parameters.js';
import { Transformer } from '../../../src/model/transformer.js';
import type { Job } from '../../../src/protocol/job.js';
import type { BatchStats } from '../../../src/protocol/stats.js';
import type { Fault } from '../../../src/worker/compute/fault.js';
import { Trainer } from '../../../src/worker/compute/trainer.js';
import { tinyBatch } from '../../model/tiny.js';

export const VOCABULARY = 23;
const SLOTS = [0, 1];

export function jobOf(model: ModelConfig, precision: Job['precision']): Job {
  return {
    seed: 1,
    model,
    objective: { kind: 'causal' },
    tokens: { padId: 0, endId: 1, startId: 0, maskId: 2, vocabularySize: VOCABULARY, specialIds: [0, 1, 2] },
    microBatches: 8,
    labelSmoothing: 0.1,
    precision,
    emulate: true,
    wire: 'float32',
    heartbeat: { intervalMs: 100, timeoutMs: 1000 },
  };
}

/** A batch of the same shape for every number: other ids, other lengths, other rows with loss. */
export function batchOf(number: number): Batch {
  const batch = tinyBatch();
  const moved = (ids: Int32Array): Int32Array =>
    ids.map((id, i) => (id < 2 ? id : 2 + ((id + number * (i + 1)) % (VOCABULARY - 2))));
  return {
    ...batch,
    source: moved(batch.source),
    sourceLengths: Int32Array.of(5 - (number % 2), 3),
    decoderInput: moved(batch.decoderInput),
    lossRows: number % 3 === 0 ? batch.lossRows : Int32Array.of(0, 2, 4, 6, 7),
    labels: moved(batch.labels),
  };
}

/** The same samples without their last target position: another shape. */
function shorterBatch(number: number): Batch {
  const batch = batchOf(number);
  return {
    ...batch,
    targetLength: 3,
    decoderInput: Int32Array.of(0, 4, 13, 0, 17, 9),
    targetLengths: Int32Array.of(3, 3),
    lossRows: Int32Array.of(0, 2, 5),
    labels: batch.labels.slice(0, 3),
  };
}

/** A trainer, and its slots' parameters, which move between steps. */
export function trainerOn(engine: Engine, job: Job, fault: Fault | null = null) {
  const layout = parameterLayout(job.model);
  const parameters = SLOTS.map(() => new Float32Array(layout.total));
  const gradients = SLOTS.map(() => new Float32Array(layout.trainable));
  const trainer = new Trainer({ engine, job, parameters, gradients, fault });
  const handlers = { chunk: () => undefined, progress: () => undefined, isCancelled: () => false };
  /** Of node (1, 0), whose two micro-batches these are, or (0, 0) of one. */
  const compute = (step: number, batches: readonly Batch[]): [BatchStats[], Float32Array] => {
    const slot = step % 2;
    initialParameters(layout, job.model, 1 + step, parameters[slot]!);
    const node = { level: batches.length - 1, index: 0 };
    const stats = trainer.computeNode(step, node, batches, slot, slot, handlers);
    return [stats!, gradients[slot]!.slice()];
  };
  return { compute, evaluate: (batch: Batch) => trainer.evaluate(0, batch, 0) };
}

/** How often tfjs has run the model's forward for a gradient. */
export function countForwards(context: TestContext): () => number {
  const { mock } = context.mock.method(Transformer.prototype, 'loss');
  return () => mock.callCount();
}

/**
 * Trains twelve steps on two shapes, and each step once more on its own, where every shape is new. `more` shapes may be met twice before
 * they are known: what a trainer allocates late takes memory that they had.
 */
export function assertSameBits(engine: Engine, job: Job, context: TestContext, more = 0): void {
  const repeating = trainerOn(engine, job);
  const forwards = countForwards(context);
  const steps: (readonly Batch[])[] = [];
  for (let step = 0; step < 12; step++) {
    const build = step % 4 < 2 ? batchOf : shorterBatch;
    steps.push(step < 8 ? [build(2 * step), build(2 * step + 1)] : [build(step)]);
  }
  const results = steps.map((batches, step) => {
    const result = repeating.compute(step, batches);
    repeating.evaluate(batches[0]!); // takes memory of the steps for a while
    return result;
  });
  // Two slots and two shapes, for the first micro-batch of a node and for its last. Evaluations are forwards, too.
  assert.equal(forwards() - steps.length, 8 + more);
  for (const [step, batches] of steps.entries())
    assert.deepEqual(trainerOn(engine, job).compute(step, batches), results[step]);
}
