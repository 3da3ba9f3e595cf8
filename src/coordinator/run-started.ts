// What listeners of a run are told of it at the start: what stays the same as long as this coordinator lives.
import { createHash } from 'node:crypto';
import type { RunStarted } from '../metrics/events.js';
import type { OpenRun } from './run.js';

const HASH_DIGITS = 12;

/** `stepsLost`: steps that an earlier coordinator had done beyond the version this one begins with. */
export function runStarted(run: OpenRun, stepsLost: number): RunStarted {
  const { config, runId, term, progress, layout, slices, dataset } = run;
  return {
    kind: 'runStarted',
    run: config.name,
    runId,
    term: term.number,
    version: progress.version,
    stepsLost,
    steps: config.steps,
    microBatches: config.batch.microBatches,
    checkpointEvery: config.checkpoint.every,
    evaluateEvery: config.evaluate.every,
    clipNorm: config.optimizer.clipNorm,
    reducers: slices.length,
    objective: config.objective.kind,
    precision: config.precision,
    wire: config.wire,
    configHash: createHash('sha256').update(JSON.stringify(config)).digest('hex').slice(0, HASH_DIGITS),
    parameters: layout.trainable,
    unigramLoss: dataset.manifest.unigramNats ?? null,
  };
}
