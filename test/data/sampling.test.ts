import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { permute } from '../../src/data/permutation.js';
import {
  evaluationIndices,
  evaluationMicroBatches,
  sampleIndices,
  type SamplingPlan,
} from '../../src/data/sampling.js';

/** The samples of the first steps, in the order of their counter. */
function firstSamples(plan: SamplingPlan, steps: number, seed: number): number[] {
  return Array.from({ length: steps }, (_, step) =>
    Array.from({ length: plan.microBatches }, (_, microBatch) => sampleIndices(seed, step, microBatch, plan)),
  ).flat(2);
}

test('every epoch visits every sample once, whatever the sizes', () => {
  const small = fc.integer({ min: 1, max: 6 });
  fc.assert(
    fc.property(
      small,
      small,
      fc.integer({ min: 1, max: 40 }),
      fc.nat(),
      (samples, microBatches, size, seed) => {
        const plan = { samplesPerMicroBatch: samples, microBatches, size };
        const steps = Math.ceil((3 * size) / (samples * microBatches));
        const drawn = firstSamples(plan, steps, seed);
        for (let epoch = 0; epoch < 3; epoch++) {
          const visited = drawn.slice(epoch * size, (epoch + 1) * size);
          assert.deepEqual(
            [...visited].sort((a, b) => a - b),
            Array.from({ length: size }, (_, i) => i),
          );
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('how a step is divided into micro-batches does not change which samples it has', () => {
  const seven = firstSamples({ samplesPerMicroBatch: 2, microBatches: 6, size: 31 }, 5, 9);
  const other = firstSamples({ samplesPerMicroBatch: 4, microBatches: 3, size: 31 }, 5, 9);
  assert.deepEqual(seven, other);
});

test('a late step is found without the steps before it', () => {
  const plan = { samplesPerMicroBatch: 3, microBatches: 8, size: 1000 };
  const counter = (4_000_000_000 * 8 + 5) * 3 + 2;
  const last = sampleIndices(11, 4_000_000_000, 5, plan)[2];
  assert.equal(last, permute(counter % 1000, 1000, 11, Math.floor(counter / 1000)));
});

test('evaluation takes the samples in their order, each once', () => {
  const plan = { size: 7, samplesPerMicroBatch: 3 };
  const all = Array.from({ length: evaluationMicroBatches(plan) }, (_, m) => evaluationIndices(m, plan));
  assert.deepEqual(all, [[0, 1, 2], [3, 4, 5], [6]]);
});
