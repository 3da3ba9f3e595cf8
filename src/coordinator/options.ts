// What the state machine is set up with, from a run's config.
import { randomBytes } from 'node:crypto';
import { tensorAt } from '../model/parameters.js';
import type { CoordinatorOptions } from './events.js';
import type { OpenRun } from './run.js';

/** @param evaluationBatches micro-batches of a validation that the data has */
export function coordinatorOptions(run: OpenRun, evaluationBatches: number): CoordinatorOptions {
  const { config, layout, slices } = run;
  return {
    steps: config.steps,
    microBatches: config.batch.microBatches,
    reducers: slices.length,
    optimizer: config.optimizer,
    evaluate: { every: config.evaluate.every, batches: evaluationBatches },
    checkpointEvery: config.checkpoint.every,
    audit: { share: config.audit, key: randomBytes(32).toString('hex'), action: config.auditAction },
    maxSkips: config.maxSkips,
    nameOfParameter: (element) => tensorAt(layout, element).name,
    hardware: config.hardware,
    heartbeat: config.heartbeat,
  };
}
