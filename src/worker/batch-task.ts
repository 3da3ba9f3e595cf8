// Builds one micro-batch from its samples, masked and padded: a piscina task, so that neither sockets nor kernels
// wait for it.
import type { Batch, Sample } from '../model/batch.js';
import { buildBatch, type BatchKey } from '../model/objectives.js';
import type { Job } from '../protocol/job.js';

export interface BatchTask {
  readonly job: Job;
  readonly samples: readonly Sample[];
  readonly key: BatchKey;
}

export default function build({ job, samples, key }: BatchTask): Batch {
  return buildBatch(samples, job.objective, job.tokens, key, job.model.maxLength);
}
