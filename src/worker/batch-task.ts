// Builds one micro-batch from its samples, masked and padded: a piscina task, so that neither sockets nor kernels
// wait for it.
import type { Batch, Sample } from '../model/batch.js';
import { buildBatch, buildEvaluationBatch } from '../model/objectives.js';
import type { Job } from '../protocol/job.js';

export interface BatchTask {
  readonly job: Job;
  readonly samples: readonly Sample[];
  /** null: a micro-batch of an evaluation. */
  readonly step: number | null;
  readonly microBatch: number;
}

export default function build({ job, samples, step, microBatch }: BatchTask): Batch {
  const { seed, objective, tokens, model } = job;
  if (step === null)
    return buildEvaluationBatch(samples, objective, tokens, { seed, microBatch }, model.maxLength);
  return buildBatch(samples, objective, tokens, { seed, step, microBatch }, model.maxLength);
}
