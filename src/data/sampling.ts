// Which samples a micro-batch holds: a pure function of (seed, step, micro-batch). Nothing here depends on who
// computes the micro-batch, or on what ran before it.

import { assert } from '../util/errors.js';
import { permute } from './permutation.js';

export interface SamplingPlan {
  readonly samplesPerMicroBatch: number;
  /** Micro-batches of one step. */
  readonly microBatches: number;
  /** Samples in the data set. */
  readonly size: number;
}

/**
 * Indices of the samples of one micro-batch. Samples are counted through the whole training, the j-th of a
 * micro-batch being number c = (step · microBatches + microBatch) · samplesPerMicroBatch + j; number c is
 * sample c mod size of epoch ⌊c / size⌋, and each epoch has its own permutation. So an epoch visits every
 * sample once, and a micro-batch may straddle two epochs.
 */
export function sampleIndices(seed: number, step: number, microBatch: number, plan: SamplingPlan): number[] {
  const { samplesPerMicroBatch, microBatches, size } = plan;
  assert(microBatch >= 0 && microBatch < microBatches, `micro-batch ${microBatch} of ${microBatches}`);
  const first = (step * microBatches + microBatch) * samplesPerMicroBatch;
  assert(Number.isSafeInteger(first + samplesPerMicroBatch), `sample counter ${first} is beyond 2^53`);
  return Array.from({ length: samplesPerMicroBatch }, (_, j) => {
    const epoch = Math.floor((first + j) / size);
    return permute((first + j) % size, size, seed, epoch);
  });
}

/** Which samples an evaluation reads, and how many of them a micro-batch holds. */
export type EvaluationSampling = Pick<SamplingPlan, 'samplesPerMicroBatch' | 'size'>;

/** Micro-batches of an evaluation of `size` samples. */
export function evaluationMicroBatches({ size, samplesPerMicroBatch }: EvaluationSampling): number {
  return Math.ceil(size / samplesPerMicroBatch);
}

/** Indices of the samples of one of them: in their order, the same for every version; the last one may be short. */
export function evaluationIndices(microBatch: number, plan: EvaluationSampling): number[] {
  const first = microBatch * plan.samplesPerMicroBatch;
  const count = Math.min(plan.samplesPerMicroBatch, plan.size - first);
  return Array.from({ length: count }, (_, j) => first + j);
}
